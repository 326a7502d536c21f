#!/usr/bin/env python3
"""Which modules transformers quantizes, and to how many bits, for many sets of rules.

    gemma_quant_rules.py          writes tests/golden/mobile/rules.json
    gemma_quant_rules.py --check  compares that file with what transformers says

Some sets are written by hand, the others drawn from lists of patterns whose matches overlap, in random order.
"""

import argparse
import json
import pathlib
import random
import sys

import skip
import transformers_logits

LINEARS = [
    "lm_head", "model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj", "model.layers.11.mlp.up_proj",
    "model.layers.1.self_attn.q_proj", "model.layers.11.self_attn.k_proj", "model.layers.1.per_layer_input_gate",
    "model.layers.11.per_layer_projection", "model.per_layer_model_projection",
    "model.language_model.layers.1.mlp.down_proj", "model.language_model.layers.11.mlp.down_proj",
    "model.vision_tower.encoder.layers.1.mlp.up_proj.linear", "model.audio_tower.layers.1.lconv1d.linear_start",
]
EMBEDDINGS = ["model.embed_tokens", "model.embed_tokens_per_layer", "model.language_model.embed_tokens"]
PATTERNS = [
    "mlp", r"\.mlp\.", r"layers\.1\.", r"layers\.(0|1)\.mlp", r"layers\.\d+\.mlp", r"language_model\.layers\.\d+",
    "per_layer", r"per_layer_(input_gate|projection)$", "embed_tokens$", "embed_tokens", "embed_tokens_per_layer",
    "^lm_head", "vision_tower", r"audio_tower\..*linear_start", "audio_tower", "up_proj|down_proj", "(up|q)_proj",
    "model", r"layers\.1[0-9]", "a|mlp", "", r"[a-z]+_proj$", r"(?:layers\.)(?:1|11)\.self_attn", "q_proj$|^model",
]
EXCEPTIONS = [
    "lm_head", "per_layer_model_projection", "model.layers.1", "model.layers.1.", "model.layers.1.mlp.up", "up_proj",
    "mlp", r"model.*\.mlp", r"model\.layers\.(0|11)", "embed_tokens", "_proj", "vision_tower", r"model\.vision_tower",
    "model.embed", r"(model\.)", "model.layers.1|model.layers.0", "linear_start",
]
BY_HAND = [
    # A later rule whose match begins earlier in the name decides.
    dict(module_quant_configs={r"layers\.(0|1)\.mlp": {"num_bits": 4},
                               r"language_model\.layers\.\d+\.mlp": {"num_bits": 2}}),
    # Of two that begin together, the earlier one does.
    dict(module_quant_configs={r"layers\.(0|1)\.mlp": {"num_bits": 8}, r"layers\.\d+\.mlp": {"num_bits": 2}}),
    dict(module_quant_configs={r"layers\.\d+\.mlp": {"num_bits": 2}, r"layers\.(0|1)\.mlp": {"num_bits": 8}}),
    # Defaults.
    dict(), dict(num_bits=8, modules_to_not_convert=[]), dict(quantize_embeddings=True),
    dict(num_bits=2, module_quant_configs={"mlp": {}, "model": {"num_bits": 8}}),
]


def drawn(count):
    numbers = random.Random(1)
    for _ in range(count):
        patterns = numbers.sample(PATTERNS, numbers.randint(1, 6))
        yield {"num_bits": numbers.choice((2, 4, 8)), "quantize_embeddings": numbers.random() < 0.7,
               "module_quant_configs": {pattern: {"num_bits": numbers.choice((2, 4, 8))} for pattern in patterns},
               "modules_to_not_convert": numbers.sample(EXCEPTIONS, numbers.randint(0, 3))}


def bits_of(torch, transformers, settings):
    """Runs transformers' own replacement on modules of these names; one number each, 0 for one that it leaves alone."""
    from transformers.integrations.gemma_quant import replace_with_quant_layers
    root = torch.nn.Module()
    for name in LINEARS + EMBEDDINGS:
        parent = root
        *path, leaf = name.split(".")
        for part in path:
            if not hasattr(parent, part):
                parent.add_module(part, torch.nn.Module())
            parent = getattr(parent, part)
        parent.add_module(leaf, torch.nn.Embedding(8, 8) if name in EMBEDDINGS else torch.nn.Linear(8, 8, bias=False))
    config = transformers.utils.quantization_config.GemmaQuantizationConfig(**settings)
    replace_with_quant_layers(root, config, settings.get("modules_to_not_convert", ["lm_head"]))
    return [getattr(root.get_submodule(name), "num_bits", 0) for name in LINEARS + EMBEDDINGS]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    torch, = skip.require("torch")
    transformers = transformers_logits.transformers_with_gemma4()
    golden = pathlib.Path(__file__).resolve().parent.parent / "golden" / "mobile" / "rules.json"
    cases = [{"quantization_config": {"quant_method": "gemma", **settings},
              "bits": bits_of(torch, transformers, settings)} for settings in [*BY_HAND, *drawn(60)]]
    names = {"linears": LINEARS, "embeddings": EMBEDDINGS}
    text = json.dumps(names)[:-1] + ', "cases": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]}\n"
    if not arguments.check:
        golden.write_text(text, encoding="utf-8")
    elif golden.read_text(encoding="utf-8") != text:
        sys.exit(f"{golden}: transformers {transformers.__version__} decides otherwise")
    print(f"{len(cases)} sets of rules, {sum(len(case['bits']) for case in cases)} modules")


if __name__ == "__main__":
    main()
