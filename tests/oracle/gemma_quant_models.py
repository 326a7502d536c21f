#!/usr/bin/env python3
"""Writes the tiny random checkpoints of the mobile format under tests/golden/mobile/, with transformers' own layers.

Each is a HuggingFace folder with `"quant_method": "gemma"` and beside it

    prompts.txt      token ids, one prompt a line
    logits.npy       what transformers answers in float32
    logits_f64.npy   the same computed in float64, stored as float32
    weights.json     SHA-256 of the float32 values of every quantized tensor, by its text-only name
    probes.json      linear layers alone: codes that go in, codes that come out, the scales of both

The schedules are those of E2B (sharing layers twice as wide at 2 bits, per-layer table at 4) and of E4B (4 bits
throughout, per-layer table at 2). `e2b_1` is a composite checkpoint with an image tower. Scales of activations and of
the cache come from running the model on random tokens. Keys and values with scales of their own are something that
transformers does not compute: `logits.npy` is of a model whose cache is float. Running this again with the same
versions of torch and transformers writes the same bytes.
"""

import argparse
import hashlib
import json
import pathlib

import gemma_quant
import prompts
import skip
import tiny_models
import tiny_tokenizer
import transformers_logits

E2B = dict(num_attention_heads=2, num_key_value_heads=1, use_double_wide_mlp=True)
E4B = dict(num_attention_heads=2, num_key_value_heads=2)
MODELS = {
    "e2b_1": dict(seed=1, layers="SFF", num_kv_shared_layers=1, sliding_window=4, composite=True, **E2B),
    "e2b_2": dict(seed=2, layers="SSFF", num_kv_shared_layers=1, sliding_window=5, final_logit_softcapping=8.0, **E2B),
    "e2b_3": dict(seed=3, layers="SFSF", num_kv_shared_layers=2, sliding_window=4, rms_norm_eps=1e-5, **E2B),
    "e4b_1": dict(seed=11, layers="SFSF", num_kv_shared_layers=2, sliding_window=4, **E4B),
    "e4b_2": dict(seed=12, layers="SSF", num_kv_shared_layers=0, sliding_window=5, final_logit_softcapping=None, **E4B),
    "e4b_3": dict(seed=13, layers="SFF", num_kv_shared_layers=1, sliding_window=6, **E4B),
}
WIDTHS = dict(hidden_size=64, intermediate_size=64, head_dim=32, full_head_width=64, hidden_size_per_layer_input=32)
NOT_CONVERTED = ["per_layer_model_projection", "vision_tower.patch_embedder", "embed_vision", "embed_audio"]
# How far codes spread and which share of the largest activation the quantizers reach.
SPREAD = {2: 1.0, 4: 3.0, 8: 40.0}
REACH = 0.9


def quantization(name, spec):
    """As the published files have it: specific rules first, the rest by the default."""
    owners = len(spec["layers"]) - spec["num_kv_shared_layers"]
    narrow = "|".join(str(layer) for layer in range(owners))
    wide_bits = 2 if name.startswith("e2b") else 4
    rules = {
        "lm_head": 2,
        r"embed_tokens$": 2,
        "embed_tokens_per_layer": 4 if name.startswith("e2b") else 2,
        rf"layers\.({narrow})\.mlp\.": 4,
        r"layers\.\d+\.mlp\.": wide_bits,
        r"per_layer_(input_gate|projection)$": 8,
    }
    if spec.get("composite"):
        rules = {"vision_tower": 8, **rules}
    return {"quant_method": "gemma", "num_bits": 4, "quantize_embeddings": True,
            "module_quant_configs": {pattern: {"num_bits": bits} for pattern, bits in rules.items()},
            "modules_to_not_convert": NOT_CONVERTED}


def config_of(transformers, name, spec):
    shape = {key: value for key, value in spec.items() if key not in ("seed", "composite")}
    text = tiny_models.config_of(transformers, **WIDTHS, **shape)
    text.tie_word_embeddings = False
    if not spec.get("composite"):
        config = text
    else:
        vision = transformers.Gemma4VisionConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=1, head_dim=8,
                                                 num_attention_heads=2, num_key_value_heads=2, patch_size=4,
                                                 position_embedding_size=8)
        config = transformers.Gemma4Config(text_config=text, vision_config=vision, audio_config=None,
                                           tie_word_embeddings=False)
    config.quantization_config = quantization(name, spec)
    return config


def pack(torch, codes, bits):
    """Offset binary, the first code in the lowest bits."""
    if bits == 8:
        return codes.to(torch.int8)
    per_byte = 8 // bits
    parts = (codes + 2 ** (bits - 1)).to(torch.int32).reshape(*codes.shape[:-1], -1, per_byte)
    return sum(parts[..., k] << (bits * k) for k in range(per_byte)).to(torch.uint8)


def draw(torch, random, rows, columns, bits, groups, deviation):
    """Bell-shaped codes, scales that differ by row and group, of values with this standard deviation."""
    codes = (SPREAD[bits] * torch.randn(rows, columns, generator=random)).round()
    codes = codes.clamp(-2 ** (bits - 1), 2 ** (bits - 1) - 1)
    jitter = 0.75 + 0.5 * torch.rand(rows, groups, generator=random)
    return pack(torch, codes, bits), jitter * deviation / SPREAD[bits]


def fill_quantized(torch, model, layers, seed):
    """Random weights of all quantized layers; the rest as in the other tiny models."""
    random = torch.Generator().manual_seed(seed)
    for name, module in sorted(quantized_layers(model)):
        if hasattr(module, "embedding_quantized"):
            groups = layers if name.endswith("_per_layer") else 1
            packed, scale = draw(torch, random, module.num_embeddings, module.embedding_dim, module.num_bits, groups,
                                 deviation=0.5)
            module.embedding_quantized.copy_(packed)
            module.embedding_scale = torch.nn.Parameter(scale, requires_grad=False)
        else:
            packed, scale = draw(torch, random, module.out_features, module.in_features, module.num_bits, 1,
                                 deviation=module.in_features ** -0.5)
            module.weight.copy_(packed)
            module.weight_scale.copy_(scale)
    text = next(module for name, module in model.named_modules() if name.endswith(("language_model", "model"))
                and hasattr(module, "embed_tokens"))
    model.lm_head.weight.copy_(text.embed_tokens.embedding_quantized)
    model.lm_head.weight_scale.copy_(text.embed_tokens.embedding_scale)


def quantized_layers(model):
    return [(name, module) for name, module in model.named_modules()
            if type(module).__name__ in ("QuantizedLinear", "QuantizedEmbedding")]


def text_linears(model):
    return [(name, module) for name, module in quantized_layers(model)
            if hasattr(module, "weight_scale") and "vision" not in name and name != "lm_head"]


def calibrate(torch, model, seed):
    """Static scales from the largest magnitudes on random tokens. Returns those of keys and values, by layer."""
    largest = {}

    def watch(name):
        def hook(module, inputs, output):
            for key, tensor in ((name + ".input", inputs[0]), (name + ".output", output)):
                largest[key] = max(largest.get(key, 0.0), tensor.abs().max().item())
        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in text_linears(model)]
    tokens = torch.randint(0, tiny_tokenizer.SIZE, (4, 24), generator=torch.Generator().manual_seed(seed))
    cache = model(tokens, use_cache=True).past_key_values
    for handle in handles:
        handle.remove()
    for name, module in text_linears(model):
        module.input_activation_scale.fill_(REACH * largest[name + ".input"] / 127)
        module.output_activation_scale.fill_(REACH * largest[name + ".output"] / 127)
    return [tuple(REACH * part.abs().max() / 127 for part in (layer.keys, layer.values))
            for layer in cache.layers if layer.keys is not None]


def keep_order(path, settings):
    """transformers sorts what it saves; in the published files the order of the rules decides between them."""
    config = json.loads(path.read_text(encoding="utf-8"))
    assert config["quantization_config"] == settings
    config["quantization_config"] = settings
    path.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def add_cache_scales(torch, folder, spec, scales, prefix):
    """The scalars that transformers leaves unread; sharing layers repeat those of their owner."""
    safetensors, = skip.require("safetensors.torch")
    tensors = safetensors.load_file(folder / "model.safetensors")
    owners = len(spec["layers"]) - spec["num_kv_shared_layers"]
    for layer, kind in enumerate(spec["layers"]):
        owner = layer if layer < owners else max(i for i in range(owners) if spec["layers"][i] == kind)
        for part, scale in zip(("k", "v"), scales[owner]):
            name = f"{prefix}layers.{layer}.self_attn.{part}_cache_scale"
            tensors[name] = scale.clone().to(torch.float32).reshape(())
    safetensors.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def weight_digests(torch, model):
    digests = {}
    for name, module in quantized_layers(model):
        if "vision" in name:
            continue
        values = module.weight if hasattr(module, "embedding_quantized") else module._dequantize_weights(torch.float32)
        values = values.to(torch.float32).contiguous().numpy().astype("<f4")
        digests[gemma_quant.text_only(name) + ".weight"] = hashlib.sha256(values.tobytes()).hexdigest()
    return digests


def probe(torch, name, module, random):
    """Rows of random input codes whose outputs are nowhere near a half step, so that float32 and float64 agree."""
    input_scale, output_scale = module.input_activation_scale, module.output_activation_scale
    weight = module._dequantize_weights(torch.float64)
    rows = []
    while len(rows) < 3:
        codes = (40 * torch.randn(module.in_features, generator=random)).round().clamp(-128, 127)
        steps = torch.nn.functional.linear(codes.double() * input_scale.double(), weight) / output_scale.double()
        if ((steps - steps.floor() - 0.5).abs() < 1e-3).any():
            continue
        for dtype in (torch.float32, torch.float64):
            out = module(codes.to(dtype) * input_scale.to(dtype)) / output_scale.to(dtype)
            assert torch.equal(out.round().double(), steps.round().clamp(-128, 127)), name
        rows.append((codes.int().tolist(), out.round().int().tolist()))
    return {"module": gemma_quant.text_only(name), "bits": module.num_bits, "input_scale": input_scale.item(),
            "output_scale": output_scale.item(), "input": [row[0] for row in rows], "output": [row[1] for row in rows]}


def probes(torch, model, seed):
    """One linear layer of each width and kind."""
    random = torch.Generator().manual_seed(seed)
    chosen = {}
    for name, module in text_linears(model):
        chosen.setdefault((name.split(".")[-1], module.num_bits), (name, module))
    wanted = ("q_proj", "gate_proj", "down_proj", "per_layer_input_gate")
    return [probe(torch, name, module, random) for (kind, _), (name, module) in chosen.items()
            if kind in wanted and module.output_activation_scale != 0]


def build(torch, transformers, name, spec):
    from transformers.integrations.gemma_quant import replace_with_quant_layers
    config = config_of(transformers, name, spec)
    settings = transformers.utils.quantization_config.GemmaQuantizationConfig(**config.quantization_config)
    torch.manual_seed(spec["seed"])
    kind = transformers.Gemma4ForConditionalGeneration if spec.get("composite") else transformers.Gemma4ForCausalLM
    config._attn_implementation = "eager"
    model = kind(config).eval()
    tiny_models.fill(torch, model, spec["seed"])
    replace_with_quant_layers(model, quantization_config=settings,
                              modules_to_not_convert=settings.modules_to_not_convert)
    fill_quantized(torch, model, len(spec["layers"]), spec["seed"])
    return model


def write_model(folder, torch, transformers, name, spec):
    with torch.no_grad():
        model = build(torch, transformers, name, spec)
        scales = calibrate(torch, model, spec["seed"])
        if name == "e4b_3":  # one quantizer that was never calibrated
            dict(text_linears(model))["model.layers.1.per_layer_projection"].output_activation_scale.fill_(0)
        digests, tried = weight_digests(torch, model), probes(torch, model, spec["seed"])
        for parameter, tensor in model.named_parameters():
            if "vision" not in parameter and parameter.endswith(("norm.weight", "per_layer_model_projection.weight")):
                tensor.data = tensor.data.to(torch.bfloat16)
    model.save_pretrained(folder)
    keep_order(folder / "config.json", quantization(name, spec))
    add_cache_scales(torch, folder, spec, scales, "model.language_model." if spec.get("composite") else "model.")
    (folder / "model.safetensors").chmod(0o644)
    for file, content in (("weights.json", digests), ("probes.json", tried)):
        (folder / file).write_text(json.dumps(content) + "\n", encoding="utf-8")
    generation = {"bos_token_id": 2, "eos_token_id": [1, 16], "pad_token_id": 0, "do_sample": True, "temperature": 1.0,
                  "top_k": 64, "top_p": 0.95}
    for file, content in (("tokenizer.json", tiny_tokenizer.tokenizer_json()), ("generation_config.json", generation)):
        (folder / file).write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    golden = pathlib.Path(__file__).resolve().parent.parent / "golden" / "mobile"
    parser.add_argument("--out", type=pathlib.Path, default=golden)
    arguments = parser.parse_args()
    torch, numpy = skip.require("torch", "numpy")
    torch.set_num_threads(1)
    transformers = transformers_logits.transformers_with_gemma4()
    for name, spec in MODELS.items():
        folder = arguments.out / name
        folder.mkdir(parents=True, exist_ok=True)
        write_model(folder, torch, transformers, name, spec)
        asked = prompts.prompts_for(tiny_tokenizer.SIZE, spec["sliding_window"], bos=2)
        prompts.write_prompts(folder / "prompts.txt", asked)
        logits = gemma_quant.logits_of(folder, asked, torch.float32)
        double = gemma_quant.logits_of(folder, asked, torch.float64)
        numpy.save(folder / "logits.npy", logits)
        numpy.save(folder / "logits_f64.npy", double)
        print(f"{name}: logits within {abs(logits).max():.2f}, float32 and float64 differ by "
              f"{abs(logits - double).max():.3g}, {sum(file.stat().st_size for file in folder.iterdir())} bytes")


if __name__ == "__main__":
    main()
