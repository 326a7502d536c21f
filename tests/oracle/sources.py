"""Whose answers an oracle compares: those that are committed, or those of a program."""

import argparse
import pathlib


def parse_arguments(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--golden", action="store_true")
    source.add_argument("--carat", metavar="PROG")
    return parser.parse_args()
