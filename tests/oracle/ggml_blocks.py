#!/usr/bin/env python3
"""Asks ggml what stored blocks mean: for each type, random bytes with finite scales and the floats they decode to.

    tests/oracle/ggml_blocks.py --out tests/golden/ggml [--check]

Writes one file for each type, such as Q4_K.bin: the bytes of 1024 values as they are stored, then ggml's 1024 float32
values. Q8_0.encode.bin has 1024 float32 values, then the blocks that ggml's reference quantizer makes of them. All
numbers are little-endian. With --check nothing is written; ggml is asked about the bytes that each file begins with.

Ends with status 77 (skipped) where the packages numpy or node-llama-cpp are missing.
"""

import argparse
import ctypes
import pathlib
import sys

from ggml_library import load
from skip import require

(numpy,) = require("numpy")

VALUES = 1024

# Name, number in ggml (include/ggml.h), values and bytes of a block, where its binary16 numbers lie.
TYPES = [
    ("F16", 1, 1, 2, [0]),
    ("BF16", 30, 1, 2, []),
    ("Q4_0", 2, 32, 18, [0]),
    ("Q4_1", 3, 32, 20, [0, 2]),
    ("Q5_0", 6, 32, 22, [0]),
    ("Q5_1", 7, 32, 24, [0, 2]),
    ("Q8_0", 8, 32, 34, [0]),
    ("Q2_K", 10, 256, 84, [80, 82]),
    ("Q3_K", 11, 256, 110, [108]),
    ("Q4_K", 12, 256, 144, [0, 2]),
    ("Q5_K", 13, 256, 176, [0, 2]),
    ("Q6_K", 14, 256, 210, [208]),
    ("TQ2_0", 35, 256, 66, [64]),
    ("Q2_0", 42, 64, 18, [0]),
]


class TypeTraits(ctypes.Structure):
    """ggml: include/ggml.h, struct ggml_type_traits."""

    _fields_ = [
        ("type_name", ctypes.c_char_p),
        ("blck_size", ctypes.c_int64),
        ("blck_size_interleave", ctypes.c_int64),
        ("type_size", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
        ("from_float_ref", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
    ]


def traits_of(library, name, number, elements, size):
    library.ggml_get_type_traits.restype = ctypes.POINTER(TypeTraits)
    traits = library.ggml_get_type_traits(number).contents
    found = (traits.type_name.decode().upper(), traits.blck_size, traits.type_size)
    if found != (name.upper(), elements, size):
        sys.exit(f"type {number}: expected {name} with {elements} values in {size} bytes, ggml says {found}")
    return traits


def random_blocks(source, elements, size, f16_offsets):
    """Any bits, but no infinite or undefined scale."""
    blocks = source.integers(0, 256, (VALUES // elements, size), dtype=numpy.uint8)
    for offset in f16_offsets:
        high = blocks[:, offset + 1]
        high[(high & 0x7C) == 0x7C] ^= 0x40
    return blocks


def random_bfloat16(source):
    normal = source.standard_normal(VALUES).astype("<f4")
    return (normal.view("<u4") >> 16).astype("<u2").view(numpy.uint8).reshape(VALUES, 2)


def decoded(traits, blocks):
    stored = numpy.ascontiguousarray(blocks)
    values = numpy.empty(VALUES, dtype="<f4")
    traits.to_float(stored.ctypes.data, values.ctypes.data, VALUES)
    return values


def values_to_encode(source):
    """Of many magnitudes: up to those that overflow binary16 by themselves but whose scale does not, down to those
    whose scale is subnormal. Some are halfway between two codes."""
    blocks = source.standard_normal((VALUES // 32, 32)) * 2.0 ** source.integers(-15, 20, (VALUES // 32, 1))
    blocks[0, :] = numpy.arange(32) - 15.5
    blocks[0, 0] = 127
    blocks[1, :] = 0
    return blocks.astype("<f4")


def encoded(traits, values):
    stored = numpy.zeros(VALUES // 32 * 34, dtype=numpy.uint8)
    traits.from_float_ref(values.ctypes.data, stored.ctypes.data, VALUES)
    return stored


def ask_for_values(traits, elements, size, content):
    """The blocks that a golden file begins with, and what ggml decodes them to."""
    blocks = numpy.frombuffer(content, numpy.uint8, VALUES // elements * size)
    return blocks.tobytes() + decoded(traits, blocks).tobytes()


def ask_for_blocks(traits, content):
    """The values that a golden file of encoding begins with, and what ggml encodes them to."""
    values = numpy.frombuffer(content, "<f4", VALUES)
    return values.tobytes() + encoded(traits, values).tobytes()


def write_or_compare(path, check, fresh, ask):
    """Writes what `ask` makes of `fresh` bytes, or compares the file with what it makes of the file's."""
    if not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(ask(fresh))
    elif ask(path.read_bytes()) != path.read_bytes():
        sys.exit(f"{path}: differs from what ggml says")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the folder of golden files")
    parser.add_argument("--check", action="store_true", help="compare with the golden files")
    arguments = parser.parse_args()
    library = load("libggml-base")
    for name, number, elements, size, f16_offsets in TYPES:
        source = numpy.random.default_rng(number)
        traits = traits_of(library, name, number, elements, size)
        blocks = random_bfloat16(source) if name == "BF16" else random_blocks(source, elements, size, f16_offsets)
        write_or_compare(arguments.out / f"{name}.bin", arguments.check, blocks.tobytes(),
               lambda content: ask_for_values(traits, elements, size, content))
        if name == "Q8_0":
            write_or_compare(arguments.out / "Q8_0.encode.bin", arguments.check, values_to_encode(source).tobytes(),
                   lambda content: ask_for_blocks(traits, content))
    print(f"{arguments.out}: {len(TYPES)} types, {'equal to' if arguments.check else 'written with'} what ggml says")


if __name__ == "__main__":
    main()
