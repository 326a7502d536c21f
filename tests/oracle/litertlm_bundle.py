#!/usr/bin/env python3
"""A tiny bundle for LiteRT-LM, made and read with Google's own packages from a model of the mobile format.

    litertlm_bundle.py --write            writes ../golden/litertlm/e2b_1.litertlm from ../golden/mobile/e2b_1
    litertlm_bundle.py --golden           reads it with Google's schemas and compares all that it holds with the model
    litertlm_bundle.py --carat PROG       the same for the folder that `PROG convert` writes from it

Integers and scales are those of the model; the names of weights, norms and caches, and which model of the bundle holds
what, follow reports on the published bundles. The projection of the per-layer embeddings is made here, of 8 bits with
static scales, for the model has it in bfloat16. One weight lies behind its flatbuffer, as in large models. Bundles carry
a time and a random id: the same content, not the same bytes, comes out every time.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import skip
import tiny_tokenizer

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
MODEL = GOLDEN / "mobile" / "e2b_1"
BUNDLE = GOLDEN / "litertlm" / "e2b_1.litertlm"

STACK = "LanguageModel.decode_graph/LanguageModel.transformer_stack/transformer.transformer"
BEFORE, AFTER = "pre_qkv/attn.pre_qkv/attn._pre_attention_fn", "post_qkv/attn.post_qkv"
LINEAR = {
    "self_attn.q_proj": (BEFORE, "q_einsum"),
    "self_attn.k_proj": (BEFORE, "k_einsum"),
    "self_attn.v_proj": (BEFORE, "v_einsum"),
    "self_attn.o_proj": (AFTER, "attn_vec_einsum"),
    "mlp.gate_proj": ("post_qkv/mlp", "gating_einsum1"),
    "mlp.up_proj": ("post_qkv/mlp", "gating_einsum2"),
    "mlp.down_proj": ("post_qkv/mlp", "linear"),
    "per_layer_input_gate": ("post_qkv", "per_layer_embedding_gate"),
    "per_layer_projection": ("post_qkv", "per_layer_embedding_projection"),
}
NORMS = {
    "input_layernorm": "pre_attention_norm",
    "self_attn.q_norm": "query_norm",
    "self_attn.k_norm": "key_norm",
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "pre_ffw_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
    "post_per_layer_input_norm": "post_per_layer_input_norm",
}
PROJECTION = "per_layer_model_projection"
PROJECTION_SCALES = {"input_activation_scale": 0.03125, "output_activation_scale": 0.0476}
FLIP = {2: 0xAA, 4: 0x88, 8: 0x00}  # between two's complement and offset binary
FLOAT32, INT32, INT8, INT4, INT2 = 0, 2, 9, 17, 19
TYPES = {2: INT2, 4: INT4, 8: INT8}
FULLY_CONNECTED, MUL, LOOKUP, COMPOSITE = 9, 18, 7, 206
BEHIND = ("model.layers.1.mlp.gate_proj",)  # whose bytes lie behind the flatbuffer


def packages():
    return skip.require("ai_edge_litert.schema_py_generated", "flatbuffers", "numpy", "litert_lm_builder.litertlm_builder",
                        "litert_lm_builder.litertlm_header_schema_py_generated", "litert_lm_builder.runtime.proto.llm_metadata_pb2",
                        "sentencepiece.sentencepiece_model_pb2")


def text_tensors(folder):
    """The text model of a folder: name -> array; bfloat16 as float32."""
    torch, safetensors = skip.require("torch", "safetensors.torch")
    tensors = {}
    for name, tensor in safetensors.load_file(folder / "model.safetensors").items():
        if "vision" in name or name.startswith("model.embed_vision"):
            continue
        tensor = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
        tensors[name.replace("model.language_model.", "model.")] = tensor.numpy()
    return tensors


def projection_codes(numpy, weight):
    """8 bits a weight: the largest magnitude of a row is 127.5 steps."""
    scales = (abs(weight).max(axis=1) / 127.5).astype(numpy.float32)
    codes = numpy.clip(numpy.rint(weight / scales[:, None]), -128, 127).astype(numpy.int8)
    return codes, scales


class Graph:
    """Puts one TFLite model together."""

    def __init__(self, schema, numpy):
        self.schema, self.numpy = schema, numpy
        self.model = schema.ModelT(version=3, description="carat", operatorCodes=[], buffers=[schema.BufferT()], subgraphs=[])
        self.graph = schema.SubGraphT(name="main", tensors=[], operators=[], inputs=[], outputs=[])
        self.behind = []

    def buffer(self, data, behind=False):
        buffer = self.schema.BufferT()
        if behind:
            buffer.offset, buffer.size = 2, len(data)
            self.behind.append((buffer, data))
        else:
            buffer.data = self.numpy.frombuffer(data, dtype=self.numpy.uint8)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    def tensor(self, name, kind, shape, scales=None, data=None, behind=False):
        tensor = self.schema.TensorT(name=name, type=kind, shape=list(shape))
        tensor.buffer = 0 if data is None else self.buffer(data, behind)
        if scales is not None:
            tensor.quantization = self.schema.QuantizationParametersT(
                scale=self.numpy.asarray(scales, self.numpy.float32),
                zeroPoint=self.numpy.zeros(len(scales), self.numpy.int64), quantizedDimension=0)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, code, inputs, outputs, composite=None):
        codes = [entry.builtinCode for entry in self.model.operatorCodes]
        if code not in codes:
            self.model.operatorCodes.append(self.schema.OperatorCodeT(deprecatedBuiltinCode=min(code, 127), builtinCode=code, version=1))
            codes.append(code)
        operator = self.schema.OperatorT(opcodeIndex=codes.index(code), inputs=inputs, outputs=outputs)
        if composite:
            operator.builtinOptions2Type = self.schema.BuiltinOptions2.StableHLOCompositeOptions
            operator.builtinOptions2 = self.schema.StableHLOCompositeOptionsT(name=composite)
        self.graph.operators.append(operator)

    def signature(self, key, index, inputs):
        maps = [self.schema.TensorMapT(name=name, tensorIndex=tensor) for name, tensor in inputs.items()]
        self.model.signatureDefs = (self.model.signatureDefs or []) + [
            self.schema.SignatureDefT(signatureKey=key, subgraphIndex=index, inputs=maps, outputs=[])]

    def weight(self, name, bits, packed, rows, scales, behind=False):
        """A constant of codes in two's complement, from offset binary."""
        data = (packed.view(self.numpy.uint8) ^ FLIP[bits]).tobytes()
        return self.tensor(name, TYPES[bits], (rows, len(data) * 8 // bits // rows), scales.reshape(-1), data, behind)

    def pack(self, flatbuffers):
        self.model.subgraphs.append(self.graph)

        def packed():
            builder = flatbuffers.Builder(1 << 16)
            builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
            return bytes(builder.Output())

        data = packed()
        place = len(data)
        for buffer, content in self.behind:
            place += -place % 16
            buffer.offset = place
            place += len(content)
        head = packed()
        assert len(head) == len(data)
        for buffer, content in self.behind:
            head += bytes(buffer.offset - len(head)) + content
        return head


def linear(graph, module, path, bits, packed, tensors, scales, statics):
    rows = scales.size
    weight = graph.weight(path + "/dot_general", bits, packed, rows, scales, module in BEHIND)
    ends = []
    for key, label in (("input_activation_scale", "in"), ("output_activation_scale", "out")):
        scale = statics.get(key, 0)
        kind = FLOAT32 if scale == 0 else INT8
        ends.append(graph.tensor(f"{path}/{label}", kind, (1, 1, rows), None if scale == 0 else [scale]))
    graph.operator(FULLY_CONNECTED, [ends[0], weight, -1], [ends[1]])
    return ends


def norm(graph, path, factors):
    gamma = graph.tensor("jax2tf_arg_" + str(len(graph.graph.tensors)), FLOAT32, factors.shape, None, factors.astype("<f4").tobytes())
    result = graph.tensor(path + "/composite", FLOAT32, (1, 1, len(factors)))
    graph.operator(COMPOSITE, [graph.tensor(path + "/x", FLOAT32, (1, 1, len(factors))), gamma], [result], "odml.rms_norm")
    return result


def bits_of(packed, rows, columns):
    return packed.size * 8 // (rows * columns)


def decoder(schema, flatbuffers, numpy, tensors, widths):
    graph = Graph(schema, numpy)
    graph.model.subgraphs.append(schema.SubGraphT(name="prefill", tensors=[], operators=[], inputs=[], outputs=[]))
    caches = {}
    layers = 1 + max(int(name.split(".")[2]) for name in tensors if name.startswith("model.layers."))
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        for leaf, (where, last) in LINEAR.items():
            module = prefix + leaf
            if module + ".weight" not in tensors:
                continue
            packed, scales = tensors[module + ".weight"], tensors[module + ".weight_scale"]
            statics = {key: tensors[f"{module}.{key}"].item() for key in PROJECTION_SCALES}
            linear(graph, module, f"{STACK}/layer_{layer}/layer_{layer}.{where}/{last}", widths[module], packed, tensors, scales, statics)
        for leaf, role in NORMS.items():
            if f"{prefix}{leaf}.weight" in tensors:
                norm(graph, f"{STACK}/layer_{layer}/layer_{layer}.pre_qkv/{role}", tensors[f"{prefix}{leaf}.weight"])
        ones = numpy.ones(tensors[prefix + "self_attn.q_norm.weight"].shape, numpy.float32)
        norm(graph, f"{STACK}/layer_{layer}/layer_{layer}.pre_qkv/value_norm", ones)
        scalar = graph.tensor(f"scalar_{layer}", FLOAT32, (1, 1, 1), None, tensors[prefix + "layer_scalar"].astype("<f4").tobytes())
        product = f"{STACK}/layer_{layer}/layer_{layer}._maybe_apply_skip_scale/mul"
        graph.operator(MUL, [graph.tensor(product + "/x", FLOAT32, (1, 1, 64)), scalar], [graph.tensor(product, FLOAT32, (1, 1, 64))])
        if prefix + "self_attn.k_proj.weight" in tensors:
            for part in ("k", "v"):
                scale = tensors[f"{prefix}self_attn.{part}_cache_scale"].item()
                caches[f"kv_cache_{part}_{layer}"] = graph.tensor(f"decode_{part}{layer}", INT8, (1, 1, 128, len(ones)), [scale])
    codes, scales = projection_codes(numpy, tensors[f"model.{PROJECTION}.weight"])
    linear(graph, "", f"LanguageModel.decode_graph/{PROJECTION}", 8, codes, tensors, scales, PROJECTION_SCALES)
    norm(graph, "LanguageModel.decode_graph/per_layer_embedding_projection_norm", tensors["model.per_layer_projection_norm.weight"])
    last = norm(graph, "LanguageModel.decode_graph/final_norm", tensors["model.norm.weight"])
    head = graph.weight("LanguageModel.decode_graph/decode_softmax/composite", widths["model.embed_tokens"],
                        tensors["model.embed_tokens.embedding_quantized"], tiny_tokenizer.SIZE, tensors["model.embed_tokens.embedding_scale"])
    graph.operator(FULLY_CONNECTED, [last, head, -1], [graph.tensor("logits", FLOAT32, (1, 1, tiny_tokenizer.SIZE))])
    graph.signature("prefill_128", 0, {})
    graph.signature("decode", 1, caches)
    return graph.pack(flatbuffers)


def embedder(schema, flatbuffers, numpy, tables):
    """A model that looks rows up in each of `tables`: (bits, packed rows, scales)."""
    graph = Graph(schema, numpy)
    ids = graph.tensor("token_ids", INT32, (1, 1))
    for index, (bits, packed, scales) in enumerate(tables):
        table = graph.weight(f"arith.constant{index}", bits, packed, len(packed), scales)
        graph.operator(LOOKUP, [ids, table], [graph.tensor(f"rows{index}", FLOAT32, (1, packed.shape[1] * 8 // bits))])
    return graph.pack(flatbuffers)


def per_layer_tables(numpy, tensors, bits):
    packed, scales = tensors["model.embed_tokens_per_layer.embedding_quantized"], tensors["model.embed_tokens_per_layer.embedding_scale"]
    parts = numpy.split(packed, scales.shape[1], axis=1)
    return [(bits, numpy.ascontiguousarray(part), scales[:, layer]) for layer, part in enumerate(parts)]


def tokenizer(messages):
    proto = messages.ModelProto()
    proto.trainer_spec.model_type = messages.TrainerSpec.BPE
    proto.trainer_spec.byte_fallback = True
    proto.trainer_spec.vocab_size = tiny_tokenizer.SIZE
    pieces = tiny_tokenizer.pieces()
    for field, piece in (("unk_id", "<unk>"), ("bos_id", "<bos>"), ("eos_id", "<eos>"), ("pad_id", "<pad>")):
        setattr(proto.trainer_spec, field, pieces.index(piece))
    proto.normalizer_spec.name = "identity"
    proto.normalizer_spec.add_dummy_prefix = False
    proto.normalizer_spec.remove_extra_whitespaces = False
    kinds = messages.ModelProto.SentencePiece
    for index, piece in enumerate(pieces):
        entry = proto.pieces.add(piece=piece, score=-float(index))
        if piece == "<unk>":
            entry.type = kinds.UNKNOWN
        elif piece in tiny_tokenizer.SPECIAL:
            entry.type = kinds.CONTROL
        elif piece.startswith("<0x"):
            entry.type = kinds.BYTE
        elif piece.startswith("<unused"):
            entry.type = kinds.UNUSED
    return proto.SerializeToString()


def metadata(messages):
    proto = messages.LlmMetadata()
    pieces = tiny_tokenizer.pieces()
    proto.start_token.token_ids.ids.append(pieces.index("<bos>"))
    proto.stop_tokens.add().token_ids.ids.append(pieces.index("<eos>"))
    proto.stop_tokens.add().token_str = "<turn|>"
    proto.sampler_params.k, proto.sampler_params.p, proto.sampler_params.temperature = 40, 0.875, 0.75
    proto.jinja_prompt_template = "{{ bos_token }}"
    proto.max_num_tokens = 128
    return proto.SerializeToString()


def widths_of(tensors):
    """Bits of every quantized module: rows of scales and the hidden width say how many codes a row has."""
    hidden = tensors["model.norm.weight"].size
    columns = {"self_attn.o_proj": lambda prefix: tensors[prefix + "self_attn.q_proj.weight_scale"].size,
               "mlp.down_proj": lambda prefix: tensors[prefix + "mlp.gate_proj.weight_scale"].size,
               "per_layer_projection": lambda prefix: tensors[prefix + "per_layer_input_gate.weight_scale"].size}
    widths = {}
    for name in tensors:
        if not name.startswith("model.layers.") or not name.endswith(".weight_scale"):
            continue
        module = name.removesuffix(".weight_scale")
        prefix, leaf = ".".join(module.split(".")[:3]) + ".", ".".join(module.split(".")[3:])
        packed = tensors[module + ".weight"]
        widths[module] = bits_of(packed, len(packed), columns.get(leaf, lambda _: hidden)(prefix))
    table = tensors["model.embed_tokens.embedding_quantized"]
    widths["model.embed_tokens"] = bits_of(table, len(table), hidden)
    wide, scales = tensors["model.embed_tokens_per_layer.embedding_quantized"], tensors["model.embed_tokens_per_layer.embedding_scale"]
    one = tensors["model.layers.0.per_layer_input_gate.weight_scale"].size
    widths["model.embed_tokens_per_layer"] = bits_of(wide, len(wide), scales.shape[1] * one)
    return widths


def write(path):
    schema, flatbuffers, numpy, builder, _, llm, pieces = packages()
    tensors = text_tensors(MODEL)
    widths = widths_of(tensors)
    kinds = builder.TfLiteModelType
    table = (widths["model.embed_tokens"], tensors["model.embed_tokens.embedding_quantized"], tensors["model.embed_tokens.embedding_scale"])
    models = {
        kinds.EMBEDDER: embedder(schema, flatbuffers, numpy, [table]),
        kinds.PER_LAYER_EMBEDDER: embedder(schema, flatbuffers, numpy, per_layer_tables(numpy, tensors, widths["model.embed_tokens_per_layer"])),
        kinds.PREFILL_DECODE: decoder(schema, flatbuffers, numpy, tensors, widths),
    }
    with tempfile.TemporaryDirectory() as folder:
        parts = pathlib.Path(folder)
        (parts / "llm.pb").write_bytes(metadata(llm))
        (parts / "tokenizer.model").write_bytes(tokenizer(pieces))
        bundle = builder.LitertLmFileBuilder()
        bundle.add_llm_metadata(str(parts / "llm.pb"))
        bundle.add_sentencepiece_tokenizer(str(parts / "tokenizer.model"))
        for kind, data in models.items():
            (parts / kind.name).write_bytes(data)
            bundle.add_tflite_model(str(parts / kind.name), kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            bundle.build(file)
    print(f"{path}: {path.stat().st_size} bytes")


def expected(numpy):
    """What a bundle is to hold: name -> codes in offset binary, scales, numbers, as a converted folder has them."""
    tensors = dict(text_tensors(MODEL))
    codes, scales = projection_codes(numpy, tensors[f"model.{PROJECTION}.weight"])
    tensors[f"model.{PROJECTION}.weight"], tensors[f"model.{PROJECTION}.weight_scale"] = codes, scales[:, None]
    for key, scale in PROJECTION_SCALES.items():
        tensors[f"model.{PROJECTION}.{key}"] = numpy.float32(scale)
    return tensors


def same(numpy, found, wanted):
    return found.size == wanted.size and numpy.array_equal(numpy.asarray(found).reshape(-1), numpy.asarray(wanted).reshape(-1))


def models_of(path, header):
    peek, = skip.require("litert_lm_builder.litertlm_peek")
    data = path.read_bytes()
    root = header.LiteRTLMMetaData.GetRootAs(data[32:int.from_bytes(data[24:32], "little")], 0)
    sections = root.SectionMetadata()
    models = {}
    for index in range(sections.ObjectsLength()):
        section = sections.Objects(index)
        items = [peek.kvp_to_dict(section.Items(item)) for item in range(section.ItemsLength())]
        for kind in (item["value"] for item in items if item["key"] == "model_type"):
            models[kind] = data[section.BeginOffset():section.EndOffset()]
    return models


def check_golden():
    """Google's schemas find the integers and scales of the model in the bundle."""
    schema, _, numpy, _, header, _, _ = packages()
    wanted, widths = expected(numpy), widths_of(text_tensors(MODEL))
    widths[f"model.{PROJECTION}"] = 8
    models = models_of(BUNDLE, header)
    data = models["tf_lite_prefill_decode"]
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    graph = model.subgraphs[1]
    checked = 0

    def codes(tensor):
        buffer = model.buffers[tensor.buffer]
        raw = data[buffer.offset:buffer.offset + buffer.size] if buffer.offset > 1 else bytes(buffer.data)
        return numpy.frombuffer(raw, numpy.uint8)

    for operator in graph.operators:
        if model.operatorCodes[operator.opcodeIndex].builtinCode != FULLY_CONNECTED:
            continue
        source, weight, result = (graph.tensors[index] for index in (operator.inputs[0], operator.inputs[1], operator.outputs[0]))
        name = weight.name.decode()
        if "decode_softmax" in name:
            continue
        layer = name.split("/layer_")[1].split("/")[0] if "/layer_" in name else None
        module = f"model.{PROJECTION}" if layer is None else f"model.layers.{layer}." + next(
            leaf for leaf, (where, last) in LINEAR.items() if f"{where}/{last}/" in name)
        bits = {kind: width for width, kind in TYPES.items()}[weight.type]
        offset = codes(weight) ^ FLIP[bits]
        assert bits == widths[module] and same(numpy, offset, wanted[module + ".weight"].view(numpy.uint8)), module
        assert same(numpy, weight.quantization.scale, wanted[module + ".weight_scale"]), module
        for tensor, key in ((source, "input_activation_scale"), (result, "output_activation_scale")):
            scale = tensor.quantization.scale[0] if tensor.quantization else 0
            assert scale == numpy.float32(wanted[f"{module}.{key}"]), (module, key)
        checked += 1
    assert checked == sum(1 for name in wanted if name.endswith(".weight_scale") and "lm_head" not in name)
    print(f"{BUNDLE}: {checked} linear layers as in {MODEL}")


def check_carat(program):
    numpy, = skip.require("numpy")
    wanted = expected(numpy)
    with tempfile.TemporaryDirectory() as folder:
        written = pathlib.Path(folder) / "model"
        subprocess.run([program, "convert", str(BUNDLE), str(written)], check=True, stdout=subprocess.DEVNULL)
        found = text_tensors(written)
    if found.keys() != wanted.keys():
        sys.exit(f"tensors {sorted(found.keys() ^ wanted.keys())} differ")
    wrong = [name for name in wanted if not same(numpy, found[name], wanted[name])]
    if wrong:
        sys.exit(f"{wrong} differ")
    print(f"{BUNDLE}: {len(wanted)} tensors as in {MODEL}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--golden", action="store_true")
    parser.add_argument("--carat")
    arguments = parser.parse_args()
    if arguments.write:
        write(BUNDLE)
    if arguments.golden:
        check_golden()
    if arguments.carat:
        check_carat(arguments.carat)


if __name__ == "__main__":
    main()
