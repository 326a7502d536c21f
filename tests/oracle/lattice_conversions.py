#!/usr/bin/env python3
"""Asks other implementations whether a conversion left any weight on its lattice.

    lattice_conversions.py CARAT FOLDER...

FOLDER holds a model in bfloat16. Its matrices are moved onto a 4-bit lattice by numpy, once with each of two rules for
the scale of 32 weights: bfloat16(largest magnitude / 7.5), and bfloat16(extremum / -8). Carat converts that

    bfloat16 -> GGUF -> compressed-tensors -> bfloat16 -> MLX

and every file on the way is decoded by somebody else: the GGUF file by ggml, the compressed-tensors folder by the
package of that name, the MLX folder by numpy after MLX's definition. Rounded to bfloat16, what they find must be the
matrices of the beginning, every bit but the sign of zeros; the bfloat16 folder must have them as they were. Ends with
status 77 (skipped) where node-llama-cpp or a package is missing.
"""

import argparse
import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import ggml_library
import mobile_gguf
import skip

numpy, torch, safetensors_torch = skip.require("numpy", "torch", "safetensors.torch")
BLOCK = 32
# The scheme q4_0 leaves these as they are.
LEFT_ALONE = ("per_layer_model_projection", "router.proj")


def is_quantized(name, tensor):
    return tensor.dim() > 1 and not any(part in name for part in LEFT_ALONE)


def on_lattice(tensor, rule):
    blocks = tensor.float().reshape(-1, BLOCK)
    extremum = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
    scale = extremum.abs() / 7.5 if rule == "absmax / 7.5" else extremum / -8
    scale = scale.bfloat16().float()
    codes = (blocks / torch.where(scale == 0, 1.0, scale)).round().clamp(-8, 7)
    return (codes * scale).bfloat16().reshape(tensor.shape)


def write_source(folder, rule, target):
    shutil.copytree(folder, target)
    tensors = safetensors_torch.load_file(folder / "model.safetensors")
    moved = {name: on_lattice(tensor, rule) if is_quantized(name, tensor) else tensor for name, tensor in tensors.items()}
    safetensors_torch.save_file(moved, target / "model.safetensors", metadata={"format": "pt"})
    return {name: tensor for name, tensor in moved.items() if is_quantized(name, tensor)}


def with_experts_apart(matrices):
    """MLX keeps the gates of all experts in one tensor and their ups in another."""
    for name, tensor in matrices.items():
        yield from tensor.chunk(2, dim=1) if name.endswith("gate_up_proj") else [tensor]


def digests(tensors):
    """What tells matrices apart, whatever their names: their bfloat16 values, +0 for every zero."""
    plain = (tensor.float().bfloat16() + torch.zeros((), dtype=torch.bfloat16) for tensor in tensors)
    return sorted(hashlib.sha256(tensor.contiguous().view(torch.int16).numpy().tobytes()).hexdigest() for tensor in plain)


def convert(carat, source, target, *options):
    done = subprocess.run([carat, "convert", source, target, "--json", *options], stdout=subprocess.PIPE, check=True)
    result = json.loads(done.stdout)
    if result["moved_weights"] != 0:
        sys.exit(f"{target.name}: carat says that {result['moved_weights']} weights moved")


def decoded_by_ggml(library, path):
    return [torch.from_numpy(values) for _, kind, values in mobile_gguf.decoded_tensors(library, path) if kind == "q4_0"]


def decoded_by_compressed_tensors(folder):
    skip.require("compressed_tensors", "transformers")
    import compressed_tensors_check
    import compressed_tensors_models
    model, compressor = compressed_tensors_check.load(folder)
    quantized = set(compressed_tensors_models.modules_of(model))
    compressor.decompress_model(model)
    return [module.weight.detach() for name, module in model.named_modules() if name in quantized and name != "lm_head"]


def decoded_as_mlx(folder):
    """scale * code + bias, group by group, codes from the lowest bits of 32-bit words on (MLX: mx.dequantize)."""
    tensors = safetensors_torch.load_file(folder / "model.safetensors")
    for name in [name for name in tensors if name.endswith(".scales")]:
        module = name.removesuffix(".scales")
        words = tensors[f"{module}.weight"].to(torch.int64) & 0xFFFFFFFF
        codes = ((words[..., None] >> (4 * torch.arange(8))) & 15).flatten(-2).float()
        scales, biases = (tensors[f"{module}.{part}"].float()[..., None] for part in ("scales", "biases"))
        yield (codes.unflatten(-1, (-1, BLOCK)) * scales + biases).flatten(-2)


def check(library, carat, folder, rule, scratch):
    matrices = write_source(folder, rule, scratch / "source")

    def compare(what, found, expected=matrices.values()):
        if digests(found) != digests(expected):
            sys.exit(f"{folder.name}, {rule}: {what} has other weights than the bfloat16 folder")

    gguf, compressed, floats, mlx = (scratch / name for name in ("q4_0.gguf", "compressed", "bf16", "mlx"))
    convert(carat, scratch / "source", gguf, "--scheme", "q4_0")
    compare("ggml, reading the GGUF file,", decoded_by_ggml(library, gguf))
    readers = ["ggml"]
    has_experts = any("experts" in name for name in matrices)
    if not has_experts:  # compressed-tensors knows no experts in one tensor
        convert(carat, gguf, compressed, "--format", "compressed-tensors")
        compare("compressed-tensors", decoded_by_compressed_tensors(compressed))
        readers.append("compressed-tensors")
    convert(carat, gguf if has_experts else compressed, floats, "--scheme", "bf16")
    found = safetensors_torch.load_file(floats / "model.safetensors")
    compare("the bfloat16 folder", [tensor for name, tensor in found.items() if is_quantized(name, tensor)])
    if any(tensor.dtype != torch.bfloat16 for name, tensor in found.items() if is_quantized(name, tensor)):
        sys.exit(f"{folder.name}: expected a folder of bfloat16 matrices")
    convert(carat, floats, mlx, "--scheme", "q4_0", "--format", "mlx")
    compare("MLX", decoded_as_mlx(mlx), with_experts_apart(matrices))
    print(f"{folder.name}, {rule}: {len(matrices)} matrices, the same weights by {', '.join(readers)}, in bfloat16 and "
          "by MLX's rule")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("carat")
    parser.add_argument("folders", type=pathlib.Path, nargs="+")
    arguments = parser.parse_args()
    library = ggml_library.load("libggml-base")
    torch.set_num_threads(1)
    for folder in arguments.folders:
        for rule in ("absmax / 7.5", "extremum / -8"):
            with tempfile.TemporaryDirectory() as scratch:
                check(library, arguments.carat, folder, rule, pathlib.Path(scratch))


if __name__ == "__main__":
    main()
