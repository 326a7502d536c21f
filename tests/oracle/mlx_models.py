#!/usr/bin/env python3
"""Writes the tiny random checkpoints under tests/golden/mlx/ as mlx-lm would, with numpy alone.

Each is a folder for mlx-lm and beside it codes.json: for every quantized tensor, by Carat's name for it, the SHA-256 of
its integers as int8 and of integer * scale as float32, without negative zeros, both row by row. `dense` has the per-layer embeddings and shared
keys and values of E2B, 4-bit groups of 32, one table of 2-bit groups of 64, and bfloat16 scales of both signs. `experts`
is a composite model with a mixture of experts, float32 scales, and a module of a vision tower whose groups have offsets
of their own. Running it again writes the same bytes.
"""

import argparse
import json
import pathlib

import mlx_folder
import skip
import tiny_tokenizer

numpy, = skip.require("numpy")

COMMON = {
    "vocab_size": tiny_tokenizer.SIZE, "vocab_size_per_layer_input": tiny_tokenizer.SIZE, "hidden_size": 64,
    "intermediate_size": 64, "num_attention_heads": 2, "head_dim": 32, "global_head_dim": 64, "sliding_window": 4,
    "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "final_logit_softcapping": 30.0, "tie_word_embeddings": True,
    "hidden_activation": "gelu_pytorch_tanh",
    "rope_parameters": {
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        "full_attention": {"rope_type": "proportional", "rope_theta": 1000000.0, "partial_rotary_factor": 0.25}},
}
DENSE = {**COMMON, "model_type": "gemma4_text", "dtype": "bfloat16", "num_key_value_heads": 1,
         "attention_k_eq_v": False, "num_kv_shared_layers": 2, "use_double_wide_mlp": True,
         "hidden_size_per_layer_input": 32, "enable_moe_block": False}
EXPERTS = {**COMMON, "model_type": "gemma4_text", "dtype": "float32", "num_key_value_heads": 2,
           "num_global_key_value_heads": 1, "attention_k_eq_v": True, "num_kv_shared_layers": 0,
           "use_double_wide_mlp": False, "hidden_size_per_layer_input": 0, "enable_moe_block": True, "num_experts": 4,
           "top_k_experts": 2, "moe_intermediate_size": 32}
LAYER_TYPES = {"S": "sliding_attention", "F": "full_attention"}
MOST = {"group_size": 32, "bits": 4, "mode": "affine"}


class Folder:
    """Tensors and the settings of their modules; every number is drawn from one generator, in order of the calls."""

    def __init__(self, seed, scale_type, prefix=""):
        self.random = numpy.random.default_rng(seed)
        self.scale_type, self.prefix = scale_type, prefix
        self.tensors, self.quantization, self.codes = {}, dict(MOST), {}

    def stored(self, values):
        if self.scale_type == "BF16":
            return "BF16", mlx_folder.to_bf16(values)
        return "F32", values.astype(numpy.float32)

    def vector(self, name, length, mean=1.0, spread=0.2):
        values = mean + spread * self.random.standard_normal(length)
        self.tensors[self.prefix + name] = self.stored(values)

    def plain(self, module, *shape, spread=None):
        """A matrix of floats."""
        values = self.random.standard_normal(shape) * (spread or shape[-1] ** -0.5)
        self.tensors[f"{self.prefix}{module}.weight"] = self.stored(values)
        self.quantization[self.prefix + module] = False

    def coded(self, module, *shape, bits=4, columns=32, spread=None):
        """A matrix, or one for each expert, on a symmetric lattice; half of the scales are below zero."""
        lowest = -2 ** (bits - 1)
        codes = self.random.integers(lowest, -lowest, shape)
        groups = (*shape[:-1], shape[-1] // columns)
        sizes = self.random.uniform(0.5, 1.0, groups) * (spread or shape[-1] ** -0.5) / -lowest * 2
        signs = numpy.where(self.random.random(groups) < 0.5, -1, 1)
        scales = mlx_folder.floats(self.stored(sizes * signs))
        name = self.prefix + module
        self.tensors[name + ".weight"] = ("U32", mlx_folder.packed(codes - lowest, bits))
        self.tensors[name + ".scales"] = self.stored(scales)
        self.tensors[name + ".biases"] = self.stored(lowest * scales)
        if (bits, columns) != (MOST["bits"], MOST["group_size"]):
            self.quantization[name] = {"group_size": columns, "bits": bits}
        values = codes.reshape(*groups, columns).astype(numpy.float32) * scales[..., None] + 0.0
        self.codes[mlx_folder.carat_name(name)] = {"codes": mlx_folder.sha256(codes.astype(numpy.int8)),
                                                  "values": mlx_folder.sha256(values)}

    def offset(self, name):
        """A module whose groups are not symmetric."""
        self.tensors[name + ".weight"] = ("U32", mlx_folder.packed(self.random.integers(0, 16, (32, 32)), 4))
        self.tensors[name + ".scales"] = self.stored(self.random.uniform(0.5, 1.0, (32, 1)))
        self.tensors[name + ".biases"] = self.stored(self.random.uniform(-5.0, -4.0, (32, 1)))


def add_attention(folder, shape, name, full, owns):
    width = shape["global_head_dim"] if full else shape["head_dim"]
    value_is_key = full and shape["attention_k_eq_v"]
    kv = shape["num_global_key_value_heads"] if value_is_key else shape["num_key_value_heads"]
    hidden, heads = shape["hidden_size"], shape["num_attention_heads"]
    folder.coded(name + "q_proj", heads * width, hidden)
    folder.vector(name + "q_norm.weight", width)
    if owns:
        folder.coded(name + "k_proj", kv * width, hidden)
        folder.vector(name + "k_norm.weight", width, 0.3, 0.1)
        if not value_is_key:
            folder.coded(name + "v_proj", kv * width, hidden)
    folder.coded(name + "o_proj", hidden, heads * width)


def add_feed_forward(folder, shape, name, doubled):
    hidden, width = shape["hidden_size"], shape["intermediate_size"] * (2 if doubled else 1)
    folder.coded(name + "mlp.gate_proj", width, hidden)
    folder.coded(name + "mlp.up_proj", width, hidden)
    folder.coded(name + "mlp.down_proj", hidden, width)
    if not shape["enable_moe_block"]:
        return
    experts, narrow = shape["num_experts"], shape["moe_intermediate_size"]
    folder.plain(name + "router.proj", experts, hidden, spread=1.0)
    folder.vector(name + "router.scale", hidden)
    folder.vector(name + "router.per_expert_scale", experts)
    folder.coded(name + "experts.switch_glu.gate_proj", experts, narrow, hidden)
    folder.coded(name + "experts.switch_glu.up_proj", experts, narrow, hidden)
    folder.coded(name + "experts.switch_glu.down_proj", experts, hidden, narrow)
    for norm in ("post_feedforward_layernorm_1", "pre_feedforward_layernorm_2", "post_feedforward_layernorm_2"):
        folder.vector(f"{name}{norm}.weight", hidden)


def add_layer(folder, shape, index, letter, owns):
    name, hidden, narrow = f"model.layers.{index}.", shape["hidden_size"], shape["hidden_size_per_layer_input"]
    add_attention(folder, shape, name + "self_attn.", letter == "F", owns)
    add_feed_forward(folder, shape, name, shape["use_double_wide_mlp"] and not owns)
    for norm in ("input_layernorm", "pre_feedforward_layernorm"):
        folder.vector(f"{name}{norm}.weight", hidden)
    for norm in ("post_attention_layernorm", "post_feedforward_layernorm"):
        folder.vector(f"{name}{norm}.weight", hidden, 0.5)
    if narrow:
        folder.coded(name + "per_layer_input_gate", narrow, hidden)
        folder.coded(name + "per_layer_projection", hidden, narrow)
        folder.vector(name + "post_per_layer_input_norm.weight", hidden, 0.5)
    folder.vector(name + "layer_scalar", 1, 0.8, 0.1)


def add_model(folder, shape, letters):
    layers, vocabulary, narrow = len(letters), shape["vocab_size"], shape["hidden_size_per_layer_input"]
    folder.coded("model.embed_tokens", vocabulary, shape["hidden_size"], spread=0.5)
    if narrow:
        folder.coded("model.embed_tokens_per_layer", vocabulary, layers * narrow, bits=2, columns=64, spread=0.5)
        folder.plain("model.per_layer_model_projection", layers * narrow, shape["hidden_size"])
        folder.vector("model.per_layer_projection_norm.weight", narrow)
    for index, letter in enumerate(letters):
        add_layer(folder, shape, index, letter, index < layers - shape["num_kv_shared_layers"])
    folder.vector("model.norm.weight", shape["hidden_size"], 0.0, 0.15)


def write_json(path, content):
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def write(out, folder, config):
    out.mkdir(parents=True, exist_ok=True)
    mlx_folder.write_tensors(out / "model.safetensors", folder.tensors)
    quantization = {"quantization": folder.quantization, "quantization_config": folder.quantization}
    write_json(out / "config.json", {**config, **quantization})
    write_json(out / "codes.json", {"weights": dict(sorted(folder.codes.items()))})
    write_json(out / "tokenizer.json", tiny_tokenizer.tokenizer_json())
    write_json(out / "generation_config.json", {"bos_token_id": 2, "eos_token_id": [1, 16], "pad_token_id": 0})
    print(f"{out.name}: {sum(file.stat().st_size for file in out.iterdir())} bytes")


def shaped(shape, letters):
    return {**shape, "num_hidden_layers": len(letters), "layer_types": [LAYER_TYPES[letter] for letter in letters]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    golden = pathlib.Path(__file__).resolve().parent.parent / "golden" / "mlx"
    parser.add_argument("--out", type=pathlib.Path, default=golden)
    arguments = parser.parse_args()
    dense = Folder(51, "BF16")
    add_model(dense, DENSE, "SFSF")
    write(arguments.out / "dense", dense, shaped(DENSE, "SFSF"))
    experts = Folder(52, "F32", "language_model.")
    add_model(experts, EXPERTS, "SF")
    experts.offset("vision_tower.encoder.layers.0.self_attn.q_proj")
    text_config = shaped(EXPERTS, "SF")
    write(arguments.out / "experts", experts,
          {"model_type": "gemma4", "vocab_size": EXPERTS["vocab_size"], "text_config": text_config})


if __name__ == "__main__":
    main()
