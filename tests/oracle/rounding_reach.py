#!/usr/bin/env python3
"""How far ggml's quantizers, with and without weights of importance, move the weights of a model from where they were.

    tests/oracle/rounding_reach.py FOLDER [--tensors N]

`carat eval` takes a reference for another training run when more than 1 % of the model's quantized weights lie farther
than 0.52 of a step from the reference's (docs/report.md, src/eval/same_run.cc). So rounding alone may not do that. For
each type this prints the part of the weights of N matrices of the folder that lie farther, by the rule of same_run.cc: a
step is the least distance of two values that share a scale, and the ends of a group do not count. Fails when a part is
more than 1 %.

Importance is random, the square of a normal number for each column.

Ends with status 77 (skipped) where the packages numpy, torch, safetensors or node-llama-cpp are missing.
"""

import argparse
import ctypes
import pathlib
import sys

from ggml_library import load
from skip import require

numpy, torch, safetensors = require("numpy", "torch", "safetensors.torch")

REACH = 0.52
MOST = 0.01

# Name, number in ggml (include/ggml.h), values of a block, values that share a scale.
TYPES = [("q4_0", 2, 32, 32), ("q4_1", 3, 32, 32), ("q5_0", 6, 32, 32), ("q5_1", 7, 32, 32), ("q8_0", 8, 32, 32),
         ("q2_K", 10, 256, 16), ("q3_K", 11, 256, 16), ("q4_K", 12, 256, 32), ("q5_K", 13, 256, 32), ("q6_K", 14, 256, 16)]


def quantized(library, name, number, weights, importance):
    rows, columns = weights.shape
    library.ggml_row_size.restype = ctypes.c_size_t
    library.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
                                            ctypes.c_int64, ctypes.c_void_p]
    decode = getattr(library, "dequantize_row_" + name)
    decode.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    stored = numpy.zeros(library.ggml_row_size(number, columns) * rows, numpy.uint8)
    library.ggml_quantize_chunk(number, weights.ctypes.data, stored.ctypes.data, 0, rows, columns,
                                None if importance is None else importance.ctypes.data)
    values = numpy.zeros((rows, columns), numpy.float32)
    decode(stored.ctypes.data, values.ctypes.data, values.size)
    return values


def moved(before, after, group):
    """How many weights count, and how many of them lie farther from where they were than REACH steps."""
    before, after = before.reshape(-1, group).astype(numpy.float64), after.reshape(-1, group).astype(numpy.float64)
    distances = numpy.diff(numpy.sort(after, axis=1), axis=1)
    steps = numpy.where(distances > 0, distances, numpy.inf).min(axis=1, keepdims=True)
    inside = (after > after.min(axis=1, keepdims=True)) & (after < after.max(axis=1, keepdims=True))
    return inside.sum(), (inside & (numpy.abs(after - before) > REACH * steps)).sum()


def matrices(folder, count):
    """Up to `count` matrices, spread over the model."""
    tensors = safetensors.load_file(folder / "model.safetensors")
    names = sorted(name for name, tensor in tensors.items() if tensor.ndim == 2 and tensor.shape[1] % 32 == 0)
    for name in names[::max(1, len(names) // count)][:count]:
        yield tensors[name].to(torch.float32).numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--tensors", type=int, default=12)
    arguments = parser.parse_args()
    library = load("libggml-base")
    weights = list(matrices(arguments.folder, arguments.tensors))
    random = numpy.random.default_rng(1)
    worst = 0.0
    for name, number, block, group in TYPES:
        parts = []
        for with_importance in (False, True):
            seen = farther = 0
            for matrix in weights:
                # Rows of whole blocks: where a row of the model is none, the next one follows in it.
                whole = matrix.reshape(-1)[:matrix.size // block * block]
                width = matrix.shape[1] if matrix.shape[1] % block == 0 else block
                rows = numpy.ascontiguousarray(whole.reshape(-1, width))
                importance = (random.normal(size=width)**2 + 1e-3).astype(numpy.float32) if with_importance else None
                counted, off = moved(rows, quantized(library, name, number, rows, importance), group)
                seen, farther = seen + counted, farther + off
            parts.append(farther / seen)
        worst = max(worst, *parts)
        print(f"{name}: {parts[0]:.3%} of {seen} weights farther than {REACH} of a step, {parts[1]:.3%} with importance")
    if worst > MOST:
        sys.exit(f"{worst:.3%} is more than {MOST:.0%}")


if __name__ == "__main__":
    main()
