#!/usr/bin/env python3
"""Writes the tiny random checkpoints under tests/golden/compressed_tensors/, compressed by the compressed-tensors package.

Each is a HuggingFace folder and beside it codes.json: for every quantized tensor, by its name, the SHA-256 of its integers
as int8 and of integer * scale as float32, both row by row, as the package unpacks them; for every static quantizer its
scale. `mobile` has the groups of the mobile format, a kv_cache_scheme and bfloat16 scales, `w4a16` 4-bit groups of 32 and
no quantizers. Running it again with the same versions of the packages writes the same bytes.
"""

import argparse
import hashlib
import json
import pathlib

import skip
import tiny_models
import tiny_tokenizer
import transformers_logits

SHAPE = dict(sliding_window=4, num_attention_heads=2, num_key_value_heads=1, intermediate_size=64, head_dim=32,
             full_head_width=64, hidden_size_per_layer_input=32, use_double_wide_mlp=True)
WEIGHTS = {"type": "int", "symmetric": True, "dynamic": False}
RANGE = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "tensor", "dynamic": False}


def channel(bits):
    return {"num_bits": bits, "strategy": "channel", **WEIGHTS}


def grouped(bits, size):
    return {"num_bits": bits, "strategy": "group", "group_size": size, **WEIGHTS}


def group(targets, weights, ranges=False, format="pack-quantized"):
    ranges = {"input_activations": RANGE, "output_activations": RANGE} if ranges else {}
    return {"targets": targets, "weights": weights, "format": format, **ranges}


# Shape and quantization_config.
MODELS = {
    "mobile": (dict(seed=41, layers="SFSF", num_kv_shared_layers=2, hidden_size=64), dict(
        kv_cache_scheme=RANGE, ignore=[], config_groups={
            "vocabulary": group(["re:.*embed_tokens$", "re:.*lm_head$"], channel(2)),
            "per_layer": group(["model.embed_tokens_per_layer"], grouped(4, SHAPE["hidden_size_per_layer_input"])),
            "narrow": group([r"re:.*self_attn\.(q|k|v|o)_proj$", r"re:model\.layers\.[01]\.mlp"], channel(4), True),
            "wide": group([r"re:.*layers\.(2|3)\.mlp\."], channel(2), True),
            "gates": group(["re:.*per_layer_(input_gate|projection)$"], channel(8), True, "int-quantized"),
        })),
    "w4a16": (dict(seed=42, layers="SF", num_kv_shared_layers=0, hidden_size=32), dict(
        ignore=["lm_head", r"re:.*per_layer_model_projection$"],
        config_groups={"group_0": group(["Linear"], grouped(4, 32))})),
}


def modules_of(model):
    """What the package has quantized, by name."""
    return {name: module for name, module in model.named_modules() if hasattr(module, "quantization_scheme")}


def set_scales(torch, model, random):
    """Scales of the weights that use all codes; ranges of activations at random, in float32."""
    for module in modules_of(model).values():
        weights = module.quantization_scheme.weights
        for name in ("input_scale", "output_scale", "k_scale", "v_scale"):
            if hasattr(module, name):
                value = 0.01 + 0.05 * torch.rand(1, generator=random)
                setattr(module, name, torch.nn.Parameter(value, requires_grad=False))
        if weights is None:
            continue
        groups = module.weight_scale.shape[-1]
        largest = module.weight.float().unflatten(-1, (groups, -1)).abs().amax(-1)
        module.weight_scale.data.copy_(largest / (2 ** (weights.num_bits - 1) - 0.5))


def make(torch, transformers, shape, quantization):
    """A model of random weights with the package's parameters beside them."""
    from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config
    seed = shape.pop("seed")
    torch.manual_seed(seed)
    config = tiny_models.config_of(transformers, tie_word_embeddings=False, **SHAPE, **shape)
    # The package asks for one head width, which the scales of keys and values do not depend on.
    config.allow_global_per_layer_attribute_access = True
    model = transformers.Gemma4ForCausalLM(config)
    with torch.no_grad():
        tiny_models.fill(torch, model, seed)
        model.lm_head.weight.copy_(model.model.embed_tokens.weight)
    model.to(torch.bfloat16)
    quantization = QuantizationConfig.model_validate({"quantization_status": "frozen", **quantization})
    apply_quantization_config(model, quantization)
    set_scales(torch, model, torch.Generator().manual_seed(seed))
    return model


def codes_of(module):
    """The integers of a compressed module, as int8."""
    from compressed_tensors.compressors.pack_quantized.helpers import unpack_from_int32
    if not hasattr(module, "weight_packed"):
        return module.weight
    return unpack_from_int32(module.weight_packed, module.quantization_scheme.weights.num_bits, module.weight_shape)


def sha256(tensor):
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


def described(module):
    codes = codes_of(module)
    scale = module.weight_scale.float()
    values = (codes.float().unflatten(-1, (scale.shape[-1], -1)) * scale.unsqueeze(-1)).flatten(-2)
    return {"codes": sha256(codes), "values": sha256(values)}


def expected_of(model):
    """What codes.json says of a compressed model."""
    weights, scales = {}, {}
    for name, module in modules_of(model).items():
        if module.quantization_scheme.weights is not None:
            weights[name + ".weight"] = described(module)
        for parameter in ("input_scale", "output_scale", "k_scale", "v_scale"):
            if hasattr(module, parameter):
                scales[f"{name}.{parameter}"] = float(getattr(module, parameter))
    return {"weights": weights, "scales": scales}


def write_json(path, content):
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def write_model(folder, torch, transformers, spec):
    from compressed_tensors.compressors import ModelCompressor
    model = make(torch, transformers, *spec)
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    write_json(folder / "codes.json", expected_of(model))
    model.save_pretrained(folder)
    compressor.update_config(str(folder))
    (folder / "model.safetensors").chmod(0o644)
    write_json(folder / "tokenizer.json", tiny_tokenizer.tokenizer_json())
    generation = folder / "generation_config.json"
    write_json(generation, {"bos_token_id": 2, "eos_token_id": [1, 16], "pad_token_id": 0})
    print(f"{folder.name}: {sum(file.stat().st_size for file in folder.iterdir())} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    golden = pathlib.Path(__file__).resolve().parent.parent / "golden" / "compressed_tensors"
    parser.add_argument("--out", type=pathlib.Path, default=golden)
    arguments = parser.parse_args()
    torch, _ = skip.require("torch", "compressed_tensors")
    transformers = transformers_logits.transformers_with_gemma4()
    for name, spec in MODELS.items():
        folder = arguments.out / name
        folder.mkdir(parents=True, exist_ok=True)
        write_model(folder, torch, transformers, spec)


if __name__ == "__main__":
    main()
