#!/usr/bin/env python3
"""Asks transformers (float32, eager attention) for the logits of a HuggingFace folder.

    transformers_logits.py FOLDER --golden      compare with FOLDER/logits.npy
    transformers_logits.py FOLDER --carat PROG  compare with what `PROG run --logits` writes

The prompts are those of FOLDER/prompts.txt, or two, one of them longer than three sliding windows.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import prompts
import skip
import sources

TOLERANCE = 1e-3


def transformers_with_gemma4():
    transformers, = skip.require("transformers")
    if not hasattr(transformers, "Gemma4ForCausalLM"):
        skip.skip(f"transformers {transformers.__version__} has no Gemma 4; pip install --upgrade transformers")
    transformers.utils.logging.disable_progress_bar()
    return transformers


def load(folder, dtype=None, **options):
    torch, = skip.require("torch")
    torch.set_num_threads(1)
    return transformers_with_gemma4().AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype or torch.float32, attn_implementation="eager", **options).eval()


def all_logits(folder, asked):
    """The logits of all prompts, one row for each token, one prompt after the other."""
    torch, numpy = skip.require("torch", "numpy")
    model = load(folder)
    with torch.no_grad():
        return numpy.concatenate([model(torch.tensor([prompt])).logits[0].numpy() for prompt in asked])


def prompts_of(folder):
    stored = folder / "prompts.txt"
    if stored.exists():
        return prompts.read_prompts(stored)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = config.get("text_config", config)
    return prompts.prompts_for(config["vocab_size"], config["sliding_window"], config.get("bos_token_id", 2))


def carat_logits(program, folder, asked):
    """The same from `carat run`, one run for each prompt."""
    numpy, = skip.require("numpy")
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        out = pathlib.Path(scratch) / "logits.npy"
        for prompt in asked:
            subprocess.run([program, "run", "-m", str(folder), "--token-ids", ",".join(map(str, prompt)), "-n", "1",
                            "--temp", "0", "--json", "--logits", str(out)], check=True, stdout=subprocess.DEVNULL)
            rows.append(numpy.load(out)[:len(prompt)])
    return numpy.concatenate(rows)


def main():
    arguments = sources.parse_arguments(__doc__)
    numpy, = skip.require("numpy")

    asked = prompts_of(arguments.folder)
    expected = all_logits(arguments.folder, asked)
    if arguments.golden:
        found = numpy.load(arguments.folder / "logits.npy")
    else:
        found = carat_logits(arguments.carat, arguments.folder, asked)
    if found.shape != expected.shape:
        sys.exit(f"{arguments.folder}: expected logits {expected.shape}, found {found.shape}")
    difference = abs(found - expected).max()
    print(f"{arguments.folder}: {len(expected)} positions, largest logit difference {difference:.3g}")
    if not difference < TOLERANCE:
        sys.exit(f"{arguments.folder}: the difference is not below {TOLERANCE}")


if __name__ == "__main__":
    main()
