"""Runs the built program for the tests in this folder. CARAT names it."""

import array
import json
import os
import pathlib
import pty
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

CARAT = os.environ["CARAT"]
SOURCE = pathlib.Path(__file__).resolve().parents[2]
DONE, FAILED, WRONG_USAGE, REFUSED, INTERRUPTED = 0, 1, 2, 3, 130
SKIPPED = 77


def golden(name):
    """A tiny model with prompts and the logits that transformers gave."""
    return SOURCE / "tests" / "golden" / "transformers" / name


def golden_names():
    return sorted(folder.name for folder in golden("").iterdir())


def prompts(folder):
    return [line.strip() for line in (folder / "prompts.txt").read_text(encoding="ascii").splitlines()]


def read_npy(path):
    """(shape, values) of a float32 .npy file."""
    content = path.read_bytes()
    length, = struct.unpack_from("<H", content, 8)
    header = content[10:10 + length].decode("latin1")
    assert content[:6] == b"\x93NUMPY" and "'<f4'" in header and "'fortran_order': False" in header, header
    shape = tuple(int(extent) for extent in header.split("(")[1].split(")")[0].split(",") if extent.strip())
    values = array.array("f")
    values.frombytes(content[10 + length:])
    return shape, values


def open_terminal():
    """Both ends of a pseudo-terminal. Where the machine has none, the test is skipped."""
    try:
        return pty.openpty()
    except OSError as error:
        raise unittest.SkipTest(f"needs a pseudo-terminal (/dev/pts): {error}") from error


def main():
    """Runs the tests of a file. When some were skipped and none failed, ctest is told so: neither passed nor failed."""
    result = unittest.main(exit=False).result
    if not result.wasSuccessful():
        sys.exit(FAILED)
    sys.exit(SKIPPED if result.skipped else DONE)


class ProgramTest(unittest.TestCase):
    def setUp(self):
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="carat-e2e-"))
        self.addCleanup(shutil.rmtree, self.scratch)

    def carat(self, *arguments, expect=DONE, timeout=120, **options):
        """Runs the program; it must end with the exit code `expect`, with a message when that is not 0."""
        done = subprocess.run([CARAT, *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
                              stdin=None if "input" in options else subprocess.DEVNULL, check=False, **options)
        self.assertEqual(done.returncode, expect, f"{arguments}\n{done.stdout}\n{done.stderr}")
        if expect != DONE:
            self.assertNotEqual(done.stderr.strip(), "", "an error without a message")
        return done

    def json(self, *arguments, **options):
        return json.loads(self.carat(*arguments, "--json", **options).stdout)

    def gguf(self, name, *scheme):
        """The golden model `name` as a GGUF file."""
        path = self.scratch / f"{name}.gguf"
        self.carat("convert", golden(name), path, *scheme)
        return path
