#!/usr/bin/env python3
"""Writes the tiny random Gemma 4 models under tests/golden/transformers/, with transformers itself.

Each is a HuggingFace folder plus prompts.txt (token ids) and logits.npy (what transformers answers, float32): the five
structures of Gemma 4, three times each, with other seeds, types, layers and constants. Running it again with the same
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
# Widths are multiples of 32, so that every matrix has a Q4_0 form.
STRUCTURES = {
    # Per-layer embeddings; the last layers read the keys and values of others and have twice the feed-forward width.
    "e2b": dict(num_attention_heads=2, num_key_value_heads=1, hidden_size_per_layer_input=32, use_double_wide_mlp=True),
    # The same with grouped key-value heads and one feed-forward width.
    "e4b": dict(num_attention_heads=4, num_key_value_heads=2, hidden_size_per_layer_input=32),
    # Full layers take their values from the key projection and have fewer key-value heads; nothing is shared.
    "12b": dict(num_attention_heads=4, num_key_value_heads=2, full_kv_heads=1, attention_k_eq_v=True),
    # The same with a mixture of experts beside the dense branch.
    "26b": dict(num_attention_heads=4, num_key_value_heads=4, full_kv_heads=1, attention_k_eq_v=True,
                enable_moe_block=True, num_experts=8, top_k_experts=2, moe_intermediate_size=32),
    # As 12b, with more heads.
    "31b": dict(num_attention_heads=8, num_key_value_heads=4, full_kv_heads=2, attention_k_eq_v=True),
}
# old_keys: config.json with global_head_dim and num_global_key_value_heads in place of per_layer_config.
MODELS = {
    "e2b_bf16": dict(seed=1, layers="SSSSFSF", num_kv_shared_layers=2, sliding_window=4),
    "e2b_f16": dict(seed=2, layers="SSFSSF", num_kv_shared_layers=3, sliding_window=5, final_logit_softcapping=8.0,
                    old_keys=True),
    "e2b_f32": dict(seed=3, layers="SFSF", num_kv_shared_layers=2, sliding_window=6, rms_norm_eps=1e-5,
                    rope=(300.0, 20000.0, 0.5)),
    "e4b_bf16": dict(seed=20, layers="SSSSSFF", num_kv_shared_layers=1, sliding_window=5, old_keys=True),
    "e4b_f16": dict(seed=5, layers="SSFSF", num_kv_shared_layers=2, sliding_window=8, final_logit_softcapping=12.0,
                    rope=(500.0, 50000.0, 0.5)),
    "e4b_f32": dict(seed=6, layers="SFSF", num_kv_shared_layers=2, sliding_window=4, full_kv_heads=1,
                    final_logit_softcapping=None),
    "12b_bf16": dict(seed=7, layers="SSSSSFSF", sliding_window=6, old_keys=True),
    "12b_f16": dict(seed=8, layers="SSSSSF", sliding_window=4, rms_norm_eps=1e-4),
    "12b_f32": dict(seed=9, layers="SSFF", sliding_window=7, rope=(2000.0, 300000.0, 0.75)),
    "26b_bf16": dict(seed=10, layers="SSSF", sliding_window=5),
    "26b_f16": dict(seed=11, layers="SSF", sliding_window=4, top_k_experts=3, rope=(1000.0, 100000.0, 0.25),
                    old_keys=True),
    "26b_f32": dict(seed=12, layers="SF", sliding_window=6, top_k_experts=4, rms_norm_eps=1e-5,
                    final_logit_softcapping=None),
    "31b_bf16": dict(seed=13, layers="SSSSSF", sliding_window=4),
    "31b_f16": dict(seed=14, layers="SSSSSF", sliding_window=6, final_logit_softcapping=5.0, old_keys=True),
    "31b_f32": dict(seed=15, layers="SSF", sliding_window=7, final_logit_softcapping=None, rms_norm_eps=1e-5),
}
# With --wide: every row is a multiple of 256 values long, so that every matrix has a form in each of GGUF's types.
WIDE = 8
WIDTHS = ("hidden_size", "intermediate_size", "head_dim", "hidden_size_per_layer_input", "moe_intermediate_size")
DTYPES = {"bf16": "bfloat16", "f16": "float16", "f32": "float32"}
FULL_HEAD_WIDTH = 32


def config_of(transformers, layers, widen=1, full_kv_heads=None, full_head_width=FULL_HEAD_WIDTH,
              rope=(10000.0, 1000000.0, 0.25), **shape):
    shape = {"hidden_size": 32, "intermediate_size": 32, "head_dim": 16, "hidden_size_per_layer_input": 0,
             "final_logit_softcapping": 30.0, **shape}
    shape.update({key: widen * shape[key] for key in WIDTHS if shape.get(key)})
    full = {"head_dim": widen * full_head_width, "num_key_value_heads": full_kv_heads or shape["num_key_value_heads"]}
    return transformers.Gemma4TextConfig(
        vocab_size=tiny_tokenizer.SIZE, vocab_size_per_layer_input=tiny_tokenizer.SIZE,
        num_hidden_layers=len(layers), max_position_embeddings=512,
        layer_types=[{"S": S, "F": F}[letter] for letter in layers],
        rope_parameters={
            S: {"rope_type": "default", "rope_theta": rope[0]},
            F: {"rope_type": "proportional", "rope_theta": rope[1], "partial_rotary_factor": rope[2]}},
        per_layer_config={index: full for index, letter in enumerate(layers) if letter == "F"}, **shape)


def fill(torch, model, seed):
    """Weights that make every part of the model matter: gains and scalars are ones where transformers begins."""
    random = torch.Generator().manual_seed(seed)
    for name, tensor in sorted(model.state_dict().items()):
        normal = torch.randn(tensor.shape, generator=random)
        if name.endswith("layer_scalar"):
            tensor.copy_(0.8 + 0.2 * normal.clamp(-2, 2))
        elif name.endswith("k_norm.weight"):
            tensor.copy_(0.3 + 0.1 * normal)
        elif name.endswith("model.norm.weight"):
            tensor.copy_(0.15 * normal)  # of both signs: with a tied head, gains above zero favour the token just read
        elif "post_" in name:
            tensor.copy_(0.5 + 0.2 * normal)
        elif name.endswith("router.proj.weight"):
            tensor.copy_(normal)
        elif tensor.ndim == 1:
            tensor.copy_(1.0 + 0.4 * normal)
        elif "embed_tokens" in name or name == "lm_head.weight":
            tensor.copy_(0.5 * normal)
        else:
            tensor.copy_(normal / tensor.shape[-1] ** 0.5)


def write_old_keys(path):
    """The form of config.json that came first: the widths of full layers as keys of their own."""
    config = json.loads(path.read_text(encoding="utf-8"))
    full = next(iter(config.pop("per_layer_config").values()))
    config["global_head_dim"] = full["head_dim"]
    config["num_global_key_value_heads"] = full["num_key_value_heads"] if config["attention_k_eq_v"] else None
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_model(folder, torch, transformers, seed, dtype, old_keys=False, **shape):
    torch.manual_seed(seed)
    model = transformers.Gemma4ForCausalLM(config_of(transformers, **shape))
    with torch.no_grad():
        fill(torch, model, seed)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    if old_keys:
        write_old_keys(folder / "config.json")
    generation = {"bos_token_id": 2, "eos_token_id": [1, 16], "pad_token_id": 0, "do_sample": True, "temperature": 1.0,
                  "top_k": 64, "top_p": 0.95}
    for name, content in (("tokenizer.json", tiny_tokenizer.tokenizer_json()), ("generation_config.json", generation)):
        text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
        (folder / name).write_text(text, encoding="utf-8")


def check_unified(torch, transformers, folder, asked, expected):
    """The text part of the unified 12B is another class in transformers: it must give the same logits."""
    if not hasattr(transformers, "Gemma4UnifiedForCausalLM"):
        print(f"{folder.name}: transformers {transformers.__version__} has no Gemma4UnifiedForCausalLM to compare with")
        return
    model = transformers_logits.load(folder)
    shape = {key: value for key, value in model.config.to_dict().items() if key not in ("model_type", "architectures")}
    config = transformers.Gemma4UnifiedTextConfig(**shape)
    config._attn_implementation = "eager"
    unified = transformers.Gemma4UnifiedForCausalLM(config).eval()
    unified.load_state_dict(model.state_dict())
    with torch.no_grad():
        found = torch.cat([unified(torch.tensor([prompt])).logits[0] for prompt in asked]).numpy()
    difference = abs(found - expected).max()
    print(f"{folder.name}: the unified class differs by {difference:.3g}")
    assert difference < 1e-5, folder


def write_golden(folder, torch, numpy, transformers, spec):
    write_model(folder, torch, transformers, **spec)
    asked = prompts.prompts_for(tiny_tokenizer.SIZE, spec["sliding_window"], bos=2)
    prompts.write_prompts(folder / "prompts.txt", asked)
    logits = transformers_logits.all_logits(folder, asked)
    numpy.save(folder / "logits.npy", logits)
    if folder.name == "12b_f32":
        check_unified(torch, transformers, folder, asked, logits)
    print(f"{folder.name}: {logits.shape[0]} positions, logits within {abs(logits).max():.2f}, "
          f"{sum(file.stat().st_size for file in folder.iterdir())} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    golden = pathlib.Path(__file__).resolve().parent.parent / "golden" / "transformers"
    parser.add_argument("--out", type=pathlib.Path, default=golden)
    parser.add_argument("--wide", action="store_true",
                        help=f"the float32 model of each structure alone, {WIDE} times as wide (for llama.cpp's types)")
    arguments = parser.parse_args()
    torch, numpy = skip.require("torch", "numpy")
    transformers = transformers_logits.transformers_with_gemma4()
    for name, variant in MODELS.items():
        structure, dtype = name.split("_")
        if arguments.wide and dtype != "f32":
            continue
        spec = {**STRUCTURES[structure], **variant, "dtype": DTYPES[dtype], "widen": WIDE if arguments.wide else 1}
        folder = arguments.out / name
        folder.mkdir(parents=True, exist_ok=True)
        write_golden(folder, torch, numpy, transformers, spec)


if __name__ == "__main__":
    main()
