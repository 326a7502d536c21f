#!/usr/bin/env python3
"""Has llama.cpp quantize a GGUF file with its own quantizers, as a file that Carat must read.

    tests/oracle/quantize_gguf.py IN.gguf OUT.gguf Q6_K

The third argument is one of the file types in FILE_TYPES; F32 gives the values that llama.cpp reads in a file of any
type. For the others IN has F32 or F16 weights (`carat convert FOLDER IN.gguf --scheme f32`); llama.cpp chooses the type
of each tensor by it, and takes another where the rows are no whole number of blocks.

Ends with status 77 (skipped) where the package node-llama-cpp is missing.
"""

import argparse
import ctypes
import pathlib
import sys

from ggml_library import folder, load

# llama.cpp: include/llama.h, enum llama_ftype.
FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12,
              "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "BF16": 32, "TQ2_0": 37}


class QuantizeParameters(ctypes.Structure):
    """llama.cpp: include/llama.h, struct llama_model_quantize_params. `rest` is longer than what follows there."""

    _fields_ = [
        ("threads", ctypes.c_int32),
        ("file_type", ctypes.c_int32),
        ("output_tensor_type", ctypes.c_int32),
        ("token_embedding_type", ctypes.c_int32),
        ("allow_requantize", ctypes.c_bool),
        ("rest", ctypes.c_uint8 * 255),
    ]


def quantize(source, target, file_type):
    load("libggml-base")
    load("libggml").ggml_backend_load_all_from_path(str(folder()).encode())
    llama = load("libllama")
    llama.llama_backend_init()
    llama.llama_model_quantize_default_params.restype = QuantizeParameters
    parameters = llama.llama_model_quantize_default_params()
    parameters.file_type = file_type
    parameters.allow_requantize = file_type == FILE_TYPES["F32"]
    llama.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(QuantizeParameters)]
    llama.llama_model_quantize.restype = ctypes.c_uint32
    return llama.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(parameters)) == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("target", type=pathlib.Path)
    parser.add_argument("file_type", choices=FILE_TYPES)
    arguments = parser.parse_args()
    if not quantize(arguments.source, arguments.target, FILE_TYPES[arguments.file_type]):
        sys.exit(f"{arguments.source}: llama.cpp could not quantize it to {arguments.file_type}")


if __name__ == "__main__":
    main()
