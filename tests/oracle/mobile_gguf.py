#!/usr/bin/env python3
"""Has ggml read the GGUF file that Carat makes of a checkpoint of integer codes, and decode its weights.

    tests/oracle/mobile_gguf.py CARAT FOLDER...

FOLDER is one of `"quant_method": "gemma"`. Each weight that ggml decodes must be the code of the folder times its scale
rounded to binary16, exactly. Ends with status 77 (skipped) where the packages numpy, safetensors or node-llama-cpp are
missing.
"""

import argparse
import ctypes
import pathlib
import subprocess
import sys
import tempfile

from ggml_blocks import TypeTraits
from ggml_library import load
from skip import require

numpy, safetensors = require("numpy", "safetensors")

MODULES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
           "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
           "inp_gate": "per_layer_input_gate", "proj": "per_layer_projection"}
TABLES = {"token_embd": "embed_tokens", "per_layer_token_embd": "embed_tokens_per_layer"}


class Parameters(ctypes.Structure):
    """ggml: include/gguf.h, struct gguf_init_params."""

    _fields_ = [("no_alloc", ctypes.c_bool), ("context", ctypes.c_void_p)]


def function(library, name, result, *arguments):
    found = getattr(library, name)
    found.restype, found.argtypes = result, arguments
    return found


def decoded_tensors(library, path):
    """The values of all tensors, by GGUF's names, as ggml reads them."""
    opened = function(library, "gguf_init_from_file", ctypes.c_void_p, ctypes.c_char_p, Parameters)(
        str(path).encode(), Parameters(True, None))
    if not opened:
        sys.exit(f"{path}: ggml does not read it")
    file = ctypes.c_void_p(opened)
    number = [ctypes.c_void_p, ctypes.c_int64]
    name_of = function(library, "gguf_get_tensor_name", ctypes.c_char_p, *number)
    type_of = function(library, "gguf_get_tensor_type", ctypes.c_int, *number)
    offset_of = function(library, "gguf_get_tensor_offset", ctypes.c_size_t, *number)
    size_of = function(library, "gguf_get_tensor_size", ctypes.c_size_t, *number)
    begin = function(library, "gguf_get_data_offset", ctypes.c_size_t, ctypes.c_void_p)(file)
    traits_of = function(library, "ggml_get_type_traits", ctypes.POINTER(TypeTraits), ctypes.c_int)
    count = function(library, "gguf_get_n_tensors", ctypes.c_int64, ctypes.c_void_p)(file)
    content = numpy.fromfile(path, numpy.uint8)
    for index in range(count):
        traits = traits_of(type_of(file, index)).contents
        first, size = begin + offset_of(file, index), size_of(file, index)
        stored = numpy.ascontiguousarray(content[first : first + size])
        values = numpy.empty(size // traits.type_size * traits.blck_size, dtype="<f4")
        if traits.is_quantized:
            traits.to_float(stored.ctypes.data, values.ctypes.data, values.size)
            yield name_of(file, index).decode(), traits.type_name.decode(), values


def folder_name(name):
    module = name.removesuffix(".weight")
    if module in TABLES:
        return TABLES[module]
    _, layer, leaf = module.split(".")
    return f"layers.{layer}.{MODULES[leaf]}"


def expected_values(tensors, module, count):
    """codes * binary16(scale), by the format's definition: fields of a byte from the lowest bits on, less half of
    their range."""
    names = [".embedding_quantized", ".embedding_scale"] if "embed_tokens" in module else [".weight", ".weight_scale"]
    stored, scales = (tensors.get_tensor(module + name) for name in names)
    if stored.dtype == numpy.int8:
        codes = stored.astype(numpy.int32)
    else:
        per_byte = count // stored.size
        bits = 8 // per_byte
        fields = (stored[..., None] >> (numpy.arange(per_byte) * bits).astype(numpy.uint8)) & ((1 << bits) - 1)
        codes = fields.reshape(stored.shape[0], -1).astype(numpy.int32) - (1 << (bits - 1))
    rounded = scales.astype("<f2").astype("<f4")
    groups = codes.reshape(codes.shape[0], rounded.shape[1], -1)
    return (groups.astype("<f4") * rounded[:, :, None]).reshape(-1), codes


def check(library, carat, folder, scratch):
    gguf = scratch / f"{folder.name}.gguf"
    subprocess.run([carat, "convert", folder, gguf, "--requantize"], check=True, stdout=subprocess.DEVNULL)
    tensors = safetensors.safe_open(folder / "model.safetensors", framework="numpy")
    prefix = "model.language_model" if any("language_model" in name for name in tensors.keys()) else "model"
    types = {}
    for name, kind, values in decoded_tensors(library, gguf):
        expected, codes = expected_values(tensors, f"{prefix}.{folder_name(name)}", values.size)
        if not numpy.array_equal(values, expected):
            sys.exit(f"{folder}: {name} {kind}: ggml decodes other values than codes times rounded scales")
        types.setdefault(kind, set()).update(numpy.unique(codes).tolist())
    if not types:
        sys.exit(f"{folder}: no tensor of blocks")
    print(f"{folder}: ggml decodes the same values; " +
          ", ".join(f"{kind} with codes {min(codes)} to {max(codes)}" for kind, codes in sorted(types.items())))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("carat", type=pathlib.Path)
    parser.add_argument("folders", type=pathlib.Path, nargs="+")
    arguments = parser.parse_args()
    library = load("libggml-base")
    with tempfile.TemporaryDirectory() as scratch:
        for folder in arguments.folders:
            check(library, arguments.carat, folder, pathlib.Path(scratch))


if __name__ == "__main__":
    main()
