#!/usr/bin/env python3
"""Works MLX folders out by MLX's rule, in numpy.

    mlx_check.py FOLDER --golden      compare with FOLDER/codes.json
    mlx_check.py FOLDER --carat PROG  compare with what PROG makes of FOLDER: `convert` to mlx

FOLDER has codes.json, as those under tests/golden/mlx/ and tests/golden/compressed_tensors/w4a16: the SHA-256 of every
quantized tensor's integers and float32 values; or else it has floats, and the values of PROG's codes must round to them.
The tensors that are not quantized must be the same. It also says how many weights a kernel gets right that computes in
the type of the scales: stored code * scale, rounded, plus bias, rounded, against the true value, rounded once.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import mlx_folder
import skip
import sources

numpy, = skip.require("numpy")


def convert(program, folder, out):
    subprocess.run([program, "convert", str(folder), str(out), "--format", "mlx"], check=True,
                   stdout=subprocess.DEVNULL)


def check_digests(out, expected, modules):
    found = mlx_folder.described(modules)
    for name in sorted(expected.keys() | found.keys()):
        if found.get(name) != expected.get(name):
            sys.exit(f"{out}: {name}: expected {expected.get(name)}, found {found.get(name)}")
    print(f"{out}: the same integers and values of {len(found)} tensors")


def values_of(folder):
    """Of a folder without codes.json, by Carat's names; experts' gates and ups apart."""
    values = {}
    for name, tensor in mlx_folder.read_tensors(folder / "model.safetensors").items():
        array = mlx_folder.floats(tensor)
        if name.endswith(".gate_up_proj"):
            gate, up = numpy.split(array, 2, axis=1)
            values[name.replace("gate_up_proj", "gate_proj")] = (tensor[0], gate)
            values[name.replace("gate_up_proj", "up_proj")] = (tensor[0], up)
        else:
            values[name] = (tensor[0], array)
    return values


def check_values(out, source, modules):
    weights = 0
    for name, module in modules.items():
        dtype, expected = source[name]
        values = module.values()
        found = mlx_folder.rounded_to_bf16(values) if dtype == "BF16" else values
        if not numpy.array_equal(found, expected):
            sys.exit(f"{out}: {name}: {(found != expected).sum()} of {found.size} weights are not those of the source")
        weights += found.size
    print(f"{out}: all {weights} weights of {len(modules)} tensors are those of the source")


def plain_tensors(config, tensors):
    """What is not quantized, by its text-only name; a scalar of 1 is what a layer without one has."""
    quantized = {name.rpartition(".")[0] for name in tensors if name.endswith((".scales", ".weight_scale"))}
    found = {}
    for name, tensor in tensors.items():
        module, _, last = name.rpartition(".")
        text_name = name.removeprefix("language_model.")
        if module in quantized or not text_name.startswith("model.") or last == "weight_packed":
            continue
        if ".experts." not in name and not (last == "layer_scalar" and (mlx_folder.floats(tensor) == 1).all()):
            found[text_name] = mlx_folder.floats(tensor)
    return found


def check_plain(out, folder, written, modules):
    expected = plain_tensors(*mlx_folder.load(folder))
    for name in expected.keys() - modules.keys():
        if name not in written or not numpy.array_equal(written[name], expected[name]):
            sys.exit(f"{out}: {name} is not that of {folder}")
    if extra := written.keys() - expected.keys():
        sys.exit(f"{out}: {sorted(extra)} are not in {folder}")
    print(f"{out}: the same {len(written)} tensors of floats")


def print_kernel_figure(out, modules):
    for scale_type in sorted({module.scale_type for module in modules.values()}):
        weights = right = 0
        worst = 0.0
        for module in modules.values():
            if module.scale_type != scale_type:
                continue
            exact, computed = module.rounded(module.values()), module.kernel_values()
            steps = abs(computed - exact) / abs(numpy.repeat(module.scales[..., 0], module.columns, axis=-1))
            weights, right, worst = weights + exact.size, right + (exact == computed).sum(), max(worst, steps.max())
        print(f"{out}: in {scale_type} arithmetic {100 * right / weights:.2f} % of {weights} weights come out right, the "
              f"worst is off by {worst:.3g} of its scale")


def check(out, folder):
    config, tensors = mlx_folder.load(out)
    modules = mlx_folder.modules_of(config, tensors)
    if not modules:
        sys.exit(f"{out}: has no quantized module")
    stored = folder / "codes.json"
    if stored.exists():
        check_digests(out, json.loads(stored.read_text(encoding="utf-8"))["weights"], modules)
    else:
        check_values(out, values_of(folder), modules)
    if out != folder:
        check_plain(out, folder, plain_tensors(config, tensors), modules)
    print_kernel_figure(out, modules)


def main():
    arguments = sources.parse_arguments(__doc__)
    if arguments.golden:
        check(arguments.folder, arguments.folder)
        return
    with tempfile.TemporaryDirectory() as scratch:
        out = pathlib.Path(scratch) / "carat"
        convert(arguments.carat, arguments.folder, out)
        check(out, arguments.folder)


if __name__ == "__main__":
    main()
