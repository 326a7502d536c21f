#!/usr/bin/env python3
"""Asks transformers for the logits of a folder in the mobile format, and compares `carat run --logits` with them.

    mobile_logits.py FOLDER --carat PROG

In four ways, each in float32 and in float64:

    as trained but for the cache    static quantizers around the linear layers, keys and values in float32
    as trained                      keys and values too go through their static quantizers; transformers reads their scales
                                    and leaves them unused, so its cache is told to apply them
    no input quantizers             their scales set to zero, keys and values in float32
    no quantizers                   all scales set to zero

Codes make the model discontinuous: where a value lies next to a half step, another last bit gives another code. At each
position carat's logits must be those of float32 or of float64 but for rounding, unless a code of its own lies next to a
half step: such positions are counted and must be few. Without quantizers there are none.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import gemma_quant
import prompts
import skip

SAME_CODES = 1e-5
LARGEST = 0.5
LEAST_SAME_SHARE = 0.95
WAYS = {
    "as trained but for the cache": dict(cache="f32", flags=[]),
    "as trained": dict(cache="int8", flags=[]),
    "no input quantizers": dict(cache="f32", flags=["--no-input-quantizers"]),
    "no quantizers": dict(cache="f32", flags=["--no-input-quantizers", "--no-output-quantizers"]),
}


def drop_quantizers(model, flags):
    for module in model.modules():
        if hasattr(module, "input_activation_scale"):
            if "--no-input-quantizers" in flags:
                module.input_activation_scale.data.zero_()
            if "--no-output-quantizers" in flags:
                module.output_activation_scale.data.zero_()


def cache_scales(folder):
    """(keys, values) by layer."""
    safetensors, = skip.require("safetensors.torch")
    tensors = safetensors.load_file(folder / "model.safetensors")
    scales = {}
    for name, tensor in tensors.items():
        for place, part in enumerate(("k_cache_scale", "v_cache_scale")):
            if name.endswith(part):
                scales.setdefault(int(name.split("layers.")[1].split(".")[0]), [None, None])[place] = tensor
    return scales


def rounding_cache(transformers, scales):
    """A cache that moves keys and values to their static lattices."""
    from transformers.integrations.gemma_quant import apply_srq

    class RoundingCache(transformers.DynamicCache):
        def update(self, keys, values, layer, *rest, **options):
            key_scale, value_scale = scales[layer]
            return super().update(apply_srq(keys, key_scale), apply_srq(values, value_scale), layer, *rest, **options)

    return RoundingCache


def transformers_logits_of(folder, asked, dtype, way):
    torch, numpy, transformers = skip.require("torch", "numpy", "transformers")
    model = gemma_quant.load(folder, dtype)
    drop_quantizers(model, way["flags"])
    kind = transformers.DynamicCache if way["cache"] == "f32" else rounding_cache(transformers, cache_scales(folder))
    rows = []
    with torch.no_grad():
        for prompt in asked:
            cache = kind(config=model.config.get_text_config())
            rows.append(model(torch.tensor([prompt]), past_key_values=cache, use_cache=True).logits[0].double().numpy())
    return numpy.concatenate(rows)


def carat_logits(program, folder, asked, way):
    numpy, = skip.require("numpy")
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        out = pathlib.Path(scratch) / "logits.npy"
        for prompt in asked:
            subprocess.run([program, "run", "-m", str(folder), "--token-ids", ",".join(map(str, prompt)), "-n", "1",
                            "--temp", "0", "--json", "--logits", str(out), "--cache-type", way["cache"], *way["flags"]],
                           check=True, stdout=subprocess.DEVNULL)
            rows.append(numpy.load(out)[:len(prompt)])
    return numpy.concatenate(rows)


def compare(name, way, program, folder, asked):
    """Whether carat's logits are those of transformers; says what was found."""
    torch, numpy = skip.require("torch", "numpy")
    single, double = (transformers_logits_of(folder, asked, dtype, way) for dtype in (torch.float32, torch.float64))
    found = carat_logits(program, folder, asked, way)
    moved = abs(single - double).max(axis=1)
    difference = numpy.minimum(abs(found - single).max(axis=1), abs(found - double).max(axis=1))
    same = difference < SAME_CODES
    print(f"{name}: {same.sum()} of {len(same)} positions have the codes of float32 or float64, there within "
          f"{difference[same].max():.3g}, elsewhere within {difference.max():.3g}; "
          f"float32 and float64 are {moved.max():.3g} apart")
    least = 1.0 if name == "no quantizers" else LEAST_SAME_SHARE
    return same.mean() >= least and difference.max() < LARGEST


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--carat", metavar="PROG", required=True)
    arguments = parser.parse_args()
    asked = prompts.read_prompts(arguments.folder / "prompts.txt")
    results = [compare(name, way, arguments.carat, arguments.folder, asked) for name, way in WAYS.items()]
    if not all(results):
        sys.exit(f"{arguments.folder}: the logits are not those of transformers")


if __name__ == "__main__":
    main()
