#!/usr/bin/env python3
"""Asks mlx and mlx-lm what an MLX folder holds.

    mlx_lm_check.py FOLDER --golden      what FOLDER, one of tests/golden/mlx/, holds
    mlx_lm_check.py FOLDER --carat PROG  the same of what PROG makes of FOLDER: `convert` to mlx; and its logits

mlx-lm must load the folder: every tensor that its model has must be there, and no other. Its quantized layers, with
scales and biases in float32, must have the values of mlx_folder.py, every bit; in the type of the scales it is said how
many are right. With --carat mlx-lm computes logits in float32, which must be those of `PROG run`, below 1e-5.
"""

import pathlib
import sys
import tempfile

import mlx_check
import mlx_folder
import skip
import sources
import transformers_logits

numpy, mx, utils, mlx_utils = skip.require("numpy", "mlx.core", "mlx_lm.utils", "mlx.utils")

TOLERANCE = 1e-5


def load(folder, as_float32):
    model, _ = utils.load_model(folder, strict=True)
    if as_float32:
        def widened(array):
            return array.astype(mx.float32) if mx.issubdtype(array.dtype, mx.floating) else array
        model.update(mlx_utils.tree_map(widened, model.parameters()))
    return model


def dequantized(model):
    """The values of each quantized layer by Carat's name for its weight."""
    found = {}
    for name, layer in model.named_modules():
        if "scales" not in layer:
            continue
        values = mx.dequantize(layer.weight, layer.scales, layer.biases, layer.group_size, layer.bits)
        found[mlx_folder.carat_name(name)] = numpy.array(values.astype(mx.float32))
    return found


def check_values(folder):
    config, tensors = mlx_folder.load(folder)
    modules = mlx_folder.modules_of(config, tensors)
    exact, stored = dequantized(load(folder, True)), dequantized(load(folder, False))
    if exact.keys() != modules.keys():
        sys.exit(f"{folder}: mlx-lm has other quantized layers: {sorted(exact.keys() ^ modules.keys())}")
    right = same = weights = 0
    for name, module in modules.items():
        # A scale of 24 bits times a stored code is rounded in float32.
        expected = module.values() if module.scale_type == "BF16" else module.kernel_values()
        if not numpy.array_equal(exact[name], expected):
            sys.exit(f"{folder}: {name}: mlx finds other values")
        weights += expected.size
        right += (stored[name] == module.rounded(module.values())).sum()
        same += (stored[name] == module.kernel_values()).sum()
    print(f"{folder}: mlx finds the same values of {len(modules)} layers in float32; in the type of the scales "
          f"{100 * right / weights:.2f} % of them, and {100 * same / weights:.2f} % of what two roundings give")


def check_logits(program, folder):
    model = load(folder, True)
    asked = transformers_logits.prompts_of(folder)
    expected = numpy.concatenate([numpy.array(model(mx.array([prompt]))[0]) for prompt in asked])
    found = transformers_logits.carat_logits(program, folder, asked)
    difference = abs(found - expected).max()
    print(f"{folder}: {len(expected)} positions, largest logit difference {difference:.3g}")
    if not difference < TOLERANCE:
        sys.exit(f"{folder}: the difference is not below {TOLERANCE}")


def main():
    arguments = sources.parse_arguments(__doc__)
    if arguments.golden:
        check_values(arguments.folder)
        return
    with tempfile.TemporaryDirectory() as scratch:
        out = pathlib.Path(scratch) / "carat"
        mlx_check.convert(arguments.carat, arguments.folder, out)
        check_values(out)
        check_logits(arguments.carat, out)


if __name__ == "__main__":
    main()
