#!/usr/bin/env python3
"""Writes the tiny random Gemma 4 models under tests/golden/transformers/, with transformers itself.

Each is a HuggingFace folder plus prompts.txt (token ids) and logits.npy (what transformers answers, float32).
Together the three cover what may differ between Gemma 4 models: see MODELS. Running it again with the same
versions of torch and transformers writes the same bytes.
"""

import argparse
import json
import pathlib

import prompts
import skip
import tiny_tokenizer
import transformers_logits

S, F = "sliding_attention", "full_attention"
MODELS = {
    # Keys and values shared by type, feed-forward twice as wide there, bfloat16.
    "sharing": dict(
        seed=1, dtype="bfloat16", layer_types=[S, S, F, S, F, S, S, F], num_kv_shared_layers=3,
        use_double_wide_mlp=True, hidden_size=64, intermediate_size=32, num_attention_heads=2, num_key_value_heads=1,
        head_dim=16, full_head_dim=32, hidden_size_per_layer_input=32, sliding_window=4, final_logit_softcapping=30.0),
    # Two key-value heads, other rotary bases, a tight soft-cap, float16.
    "grouped": dict(
        seed=2, dtype="float16", layer_types=[S, F, S, F, S, F], num_kv_shared_layers=2, use_double_wide_mlp=False,
        hidden_size=32, intermediate_size=64, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
        full_head_dim=32, hidden_size_per_layer_input=64, sliding_window=8, final_logit_softcapping=12.0,
        rope=(500.0, 50000.0, 0.5)),
    # No sharing, no per-layer embeddings, no soft-cap, one key-value head in full layers only, float32.
    "plain": dict(
        seed=3, dtype="float32", layer_types=[S, S, F, S, S, F], num_kv_shared_layers=0, use_double_wide_mlp=False,
        hidden_size=32, intermediate_size=64, num_attention_heads=4, num_key_value_heads=4, head_dim=16,
        full_head_dim=32, full_kv_heads=1, hidden_size_per_layer_input=0, sliding_window=12,
        final_logit_softcapping=None, rms_norm_eps=1e-5),
}


def config_of(transformers, seed, dtype, full_head_dim, full_kv_heads=None, rope=(10000.0, 1000000.0, 0.25), **shape):
    full = {"head_dim": full_head_dim, "num_key_value_heads": full_kv_heads or shape["num_key_value_heads"]}
    return transformers.Gemma4TextConfig(
        vocab_size=tiny_tokenizer.SIZE, vocab_size_per_layer_input=tiny_tokenizer.SIZE,
        num_hidden_layers=len(shape["layer_types"]), max_position_embeddings=512,
        rope_parameters={
            S: {"rope_type": "default", "rope_theta": rope[0]},
            F: {"rope_type": "proportional", "rope_theta": rope[1], "partial_rotary_factor": rope[2]}},
        per_layer_config={index: full for index, kind in enumerate(shape["layer_types"]) if kind == F}, **shape)


def fill(torch, model, seed):
    """Weights that make every part of the model matter: gains and scalars are ones where transformers begins."""
    random = torch.Generator().manual_seed(seed)
    for name, tensor in sorted(model.state_dict().items()):
        normal = torch.randn(tensor.shape, generator=random)
        if name.endswith("layer_scalar"):
            tensor.copy_(0.8 + 0.2 * normal.clamp(-2, 2))
        elif name.endswith("k_norm.weight") or name == "model.norm.weight":
            tensor.copy_(0.3 + 0.1 * normal)
        elif "post_" in name:
            tensor.copy_(0.5 + 0.2 * normal)
        elif tensor.ndim == 1:
            tensor.copy_(1.0 + 0.4 * normal)
        elif "embed_tokens" in name or name == "lm_head.weight":
            tensor.copy_(0.5 * normal)
        else:
            tensor.copy_(normal / tensor.shape[1] ** 0.5)


def write_model(folder, torch, transformers, spec):
    torch.manual_seed(spec["seed"])
    config = config_of(transformers, **spec)
    model = transformers.Gemma4ForCausalLM(config)
    with torch.no_grad():
        fill(torch, model, spec["seed"])
    model.to(getattr(torch, spec["dtype"])).save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    generation = {"bos_token_id": 2, "eos_token_id": [1, 16], "pad_token_id": 0, "do_sample": True, "temperature": 1.0,
                  "top_k": 64, "top_p": 0.95}
    for name, content in (("tokenizer.json", tiny_tokenizer.tokenizer_json()), ("generation_config.json", generation)):
        text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
        (folder / name).write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    golden = pathlib.Path(__file__).resolve().parent.parent / "golden" / "transformers"
    parser.add_argument("--out", type=pathlib.Path, default=golden)
    out = parser.parse_args().out
    torch, numpy = skip.require("torch", "numpy")
    transformers = transformers_logits.transformers_with_gemma4()
    for name, spec in MODELS.items():
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        write_model(folder, torch, transformers, spec)
        asked = prompts.prompts_for(tiny_tokenizer.SIZE, spec["sliding_window"], bos=2)
        prompts.write_prompts(folder / "prompts.txt", asked)
        logits = transformers_logits.all_logits(folder, asked)
        numpy.save(folder / "logits.npy", logits)
        print(f"{name}: {logits.shape[0]} positions, logits within {abs(logits).max():.2f}, "
              f"{sum(file.stat().st_size for file in folder.iterdir())} bytes")


if __name__ == "__main__":
    main()
