#!/usr/bin/env python3
"""Asks the compressed-tensors package what a checkpoint holds.

    compressed_tensors_check.py FOLDER --golden      compare with FOLDER/codes.json
    compressed_tensors_check.py FOLDER --carat PROG  compare with what PROG makes of FOLDER: `convert` to compressed-tensors

FOLDER is one of tests/golden/compressed_tensors/. The package parses the configuration, matches its targets, gives every
module the parameters that it expects, and these must be the tensors of the file, no more and no fewer. It then unpacks
integers and scales. With --carat the logits of both folders must be the same too. Or FOLDER is one of
tests/golden/mobile/: then the values of PROG's integers are compared with FOLDER/weights.json.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import compressed_tensors_models
import skip
import sources
import transformers_logits

PROMPT = [2, 17, 5, 300, 42, 42, 7, 128]


def load(folder):
    """The model of a folder, its modules compressed, every tensor as it lies in the file."""
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config
    from safetensors.torch import load_file
    torch, = skip.require("torch")
    transformers = transformers_logits.transformers_with_gemma4()
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    quantization = QuantizationConfig.model_validate(content.pop("quantization_config"))
    # transformers itself cannot load embeddings of codes.
    model = transformers.Gemma4ForCausalLM(transformers.Gemma4TextConfig(**content)).to(torch.bfloat16)
    apply_quantization_config(model, quantization, show_progress=False)
    compressor = ModelCompressor(quantization_config=quantization)
    compressor.compress_model(model)
    model.load_state_dict(load_file(folder / "model.safetensors"), strict=True, assign=True)
    return model.eval(), compressor


def logits(model, compressor):
    torch, = skip.require("torch")
    compressor.decompress_model(model)
    with torch.no_grad():
        return model.float()(torch.tensor([PROMPT])).logits


def convert(program, folder, out):
    subprocess.run([program, "convert", str(folder), str(out), "--format", "compressed-tensors"], check=True,
                   stdout=subprocess.DEVNULL)


def difference(found, expected):
    """The first thing in which two descriptions differ, or None."""
    for kind in expected:
        for name in sorted(set(found[kind]) | set(expected[kind])):
            if found[kind].get(name) != expected[kind].get(name):
                return f"{name}: expected {expected[kind].get(name)}, found {found[kind].get(name)}"
    return None


def expected_of(folder):
    """What the folder's files say that the package must find."""
    stored = folder / "codes.json"
    if stored.exists():
        return json.loads(stored.read_text(encoding="utf-8"))
    return {"values": json.loads((folder / "weights.json").read_text(encoding="utf-8"))}


def found_in(model, kinds):
    found = compressed_tensors_models.expected_of(model)
    found["values"] = {name: weight["values"] for name, weight in found["weights"].items()}
    return {kind: found[kind] for kind in kinds}


def check(folder, expected):
    """Compares what the package finds in the folder."""
    model, compressor = load(folder)
    found = found_in(model, expected)
    if problem := difference(found, expected):
        sys.exit(f"{folder}: {problem}")
    print(f"{folder}: the same " + " and ".join(f"{len(found[kind])} {kind}" for kind in found))
    return model, compressor


def check_logits(folder, model, original):
    torch, = skip.require("torch")
    if not torch.equal(logits(*model), logits(*load(original))):
        sys.exit(f"{folder}: the logits are not those of {original}")
    print(f"{folder}: the same logits")


def main():
    arguments = sources.parse_arguments(__doc__)
    torch, _, _ = skip.require("torch", "compressed_tensors", "safetensors")
    torch.set_num_threads(1)
    expected = expected_of(arguments.folder)
    if arguments.golden:
        check(arguments.folder, expected)
        return
    with tempfile.TemporaryDirectory() as scratch:
        out = pathlib.Path(scratch) / "carat"
        convert(arguments.carat, arguments.folder, out)
        model = check(out, expected)
        if "values" not in expected:
            check_logits(out, model, arguments.folder)


if __name__ == "__main__":
    main()
