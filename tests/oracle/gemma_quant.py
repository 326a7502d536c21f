#!/usr/bin/env python3
"""Checkpoints of `"quant_method": "gemma"` that Carat wrote, loaded by transformers.

    gemma_quant.py FOLDER --carat PROG  writes FOLDER again with `PROG convert` and compares the two in transformers:
                                        widths, integers and scales of every quantized layer, other tensors, logits
    gemma_quant.py FOLDER --golden      compares FOLDER/logits.npy and logits_f64.npy with what transformers says
"""

import pathlib
import subprocess
import sys
import tempfile

import skip
import sources
import transformers_logits

# A sum in another order moves a value across a rounding step of the static quantizers: sometimes in float32, where the
# logits then move by this much, hardly ever in float64.
TOLERANCES = {"logits.npy": 0.2, "logits_f64.npy": 1e-5}


def load(folder, dtype=None):
    """The model of a folder, with the scales of its per-layer table.

    transformers makes room for one scale a row of an embedding and computes with as many as there are; when it loads a
    checkpoint it refuses more than one, so they are set afterwards.
    """
    torch, safetensors = skip.require("torch", "safetensors.torch")
    model = transformers_logits.load(folder, dtype, ignore_mismatched_sizes=True)
    stored = safetensors.load_file(folder / "model.safetensors")
    for name, module in model.named_modules():
        scale = stored.get(name + ".embedding_scale")
        if scale is not None and scale.shape != module.embedding_scale.shape:
            module.embedding_scale = torch.nn.Parameter(scale, requires_grad=False)
    return model


def logits_of(folder, asked, dtype):
    """The logits of all prompts, one row for each token, one prompt after the other."""
    torch, numpy = skip.require("torch", "numpy")
    model = load(folder, dtype)
    with torch.no_grad():
        return numpy.concatenate([model(torch.tensor([prompt])).logits[0].float().numpy() for prompt in asked])


def text_only(name):
    return name.replace("model.language_model.", "model.")


def text_parts(folder):
    """Every parameter of the text model, and the widths of its quantized layers, by text-only name."""
    model = load(folder)
    widths = {text_only(name): module.num_bits for name, module in model.named_modules() if hasattr(module, "num_bits")}
    parts = {text_only(name): tensor for name, tensor in model.state_dict().items()}
    return tuple({name: value for name, value in items.items() if "vision" not in name} for items in (widths, parts))


def compare(folder, written):
    torch, = skip.require("torch")
    (widths, parts), (found_widths, found_parts) = text_parts(folder), text_parts(written)
    if widths != found_widths:
        sys.exit(f"{written}: widths {set(found_widths.items()) ^ set(widths.items())} differ")
    if parts.keys() != found_parts.keys():
        sys.exit(f"{written}: tensors {found_parts.keys() ^ parts.keys()} differ")
    for name, tensor in parts.items():
        if tensor.dtype != found_parts[name].dtype or not torch.equal(tensor, found_parts[name]):
            sys.exit(f"{written}: {name} differs")
    asked = transformers_logits.prompts_of(folder)
    if (logits_of(folder, asked, torch.float32) != logits_of(written, asked, torch.float32)).any():
        sys.exit(f"{written}: logits differ")
    print(f"{folder}: {len(widths)} quantized layers and {len(parts)} tensors are the same, logits too")


def check_golden(folder):
    torch, numpy = skip.require("torch", "numpy")
    asked = transformers_logits.prompts_of(folder)
    for file, dtype in (("logits.npy", torch.float32), ("logits_f64.npy", torch.float64)):
        difference = abs(logits_of(folder, asked, dtype) - numpy.load(folder / file)).max()
        print(f"{folder / file}: largest difference {difference:.3g}")
        if not difference < TOLERANCES[file]:
            sys.exit(f"{folder / file}: the difference is not below {TOLERANCES[file]}")


def main():
    arguments = sources.parse_arguments(__doc__)
    if arguments.golden:
        check_golden(arguments.folder)
        return
    with tempfile.TemporaryDirectory() as scratch:
        written = pathlib.Path(scratch) / "written"
        subprocess.run([arguments.carat, "convert", str(arguments.folder), str(written), "--format", "safetensors"],
                       check=True, stdout=subprocess.DEVNULL)
        compare(arguments.folder, written)


if __name__ == "__main__":
    main()
