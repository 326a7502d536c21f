#!/usr/bin/env python3
"""HuggingFace folders that must be refused: refused_folder.py CARAT FOLDER

FOLDER, a small float32 model, is copied and damaged in one place at a time.
"""

import json
import pathlib
import shutil
import struct
import sys
import tempfile

import refused

WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"


def weights_of(content):
    length, = struct.unpack_from("<Q", content)
    return json.loads(content[8:8 + length]), content[8 + length:]


def with_header(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that the data stay aligned
    return struct.pack("<Q", len(text)) + text + data


def damaged_weights(content):
    """(name, words, the bytes of model.safetensors)"""
    header, data = weights_of(content)
    names = sorted((name for name in header if name != "__metadata__"), key=lambda name: header[name]["data_offsets"])
    first, second, last = names[0], names[1], names[-1]

    def changed(name, **fields):
        return with_header({**header, name: {**header[name], **fields}}, data)

    def moved(name, begin, end):
        old = header[name]["data_offsets"]
        return changed(name, data_offsets=[old[0] + begin, old[1] + end])

    end = 8 + struct.unpack_from("<Q", content)[0]
    for cut in (0, 7, 8, end // 2, end - 1, end, (end + len(content)) // 2, len(content) - 1):
        yield f"truncated at {cut}", ["truncated", "bytes", "empty", "header", "end"], content[:cut]
    yield "header of 2^63 bytes", ["header"], struct.pack("<Q", 2**63) + content[8:]
    yield "header longer than the file", ["header"], struct.pack("<Q", len(content)) + content[8:]
    yield "header not JSON", ["JSON"], with_header(b"tensors: none" + b" " * 100, data)
    yield "header a list", ["header", "object"], with_header(b"[]", data)
    yield "header nested a million deep", ["header"], with_header(b"[" * 1000000, data)
    yield "hole", ["hole", "cover", "gap"], moved(second, 4, 4)
    yield "overlap", ["overlap", "cover"], moved(second, -4, -4)
    yield "offsets past the end", ["lies at bytes"], moved(last, 0, 4)
    yield "offsets backwards", ["lies at bytes"], changed(second, data_offsets=header[second]["data_offsets"][::-1])
    yield "negative offset", ["offset"], changed(first, data_offsets=[-4, 4])
    yield "fractional offset", ["offset"], changed(first, data_offsets=[0.5, 4])
    yield "three offsets", ["offset"], changed(first, data_offsets=[0, 4, 8])
    yield "bytes after the last tensor", ["cover", "after", "hole", "end"], content + b"more"
    yield "shape that overflows", ["shape", "large", "overflow", "fit", "extent"], changed(first, shape=[2**40, 2**40])
    yield "negative extent", ["shape", "extent"], changed(first, shape=[-1, 2])
    yield "shape of another size", ["shape", "bytes"], changed(first, shape=[1])
    yield "shape as text", ["shape"], changed(first, shape="320x32")
    yield "unknown type", ["type", "dtype"], changed(first, dtype="F8_E9")
    yield "tensor twice", ["two tensors"], with_header(json.dumps(header)[:-1].encode() + b', ' + json.dumps(
        {first: header[first]})[1:].encode(), data)
    renamed = {("other" if name == first else name): value for name, value in header.items()}
    yield "tensor missing", [first, "missing"], with_header(renamed, data)


def damaged_json(text):
    """(name, words, the text of config.json)"""
    config = json.loads(text)

    def changed(**fields):
        return json.dumps({**config, **fields})

    yield "config empty", [CONFIG], ""
    yield "config not JSON", [CONFIG], "{hidden_size: 32"
    yield "config a list", [CONFIG], "[]"
    yield "config nested a million deep", [CONFIG], "[" * 1000000
    yield "config of another model", ["llama"], changed(model_type="llama", architectures=["LlamaForCausalLM"])
    yield "config of a draft model", ["draft"], changed(model_type="gemma4_assistant")
    yield "config of a classifier", ["Gemma4ForSequenceClassification"], changed(
        architectures=["Gemma4ForSequenceClassification"])
    yield "config of weights quantized otherwise", ["awq", "compressed-tensors"], changed(
        quantization_config={"quant_method": "awq"})
    yield "config of compressed tensors without groups", ["quantization_status"], changed(
        quantization_config={"quant_method": "compressed-tensors"})
    yield "config of bidirectional attention", ["use_bidirectional_attention"], changed(
        use_bidirectional_attention="all")
    yield "config with experts", ["post_feedforward_layernorm_1.weight: is missing"], changed(
        enable_moe_block=True, num_experts=4, top_k_experts=2, moe_intermediate_size=32)
    yield "config with experts of no width", ["moe_intermediate_size"], changed(
        enable_moe_block=True, num_experts=4, top_k_experts=2, moe_intermediate_size=None)
    yield "config with value projections", ["v_proj.weight: is missing"], changed(attention_k_eq_v=False)
    yield "config says other width", ["expected", "found"], changed(hidden_size=64)
    yield "config says more layers", ["num_hidden_layers", "layer_types", "missing"], changed(num_hidden_layers=9)
    yield "config says 2^40 layers", ["num_hidden_layers"], changed(num_hidden_layers=2**40)
    yield "config says negative width", ["hidden"], changed(hidden_size=-32)
    yield "config says no heads", ["heads"], changed(num_attention_heads=0)
    yield "config says heads as text", ["num_attention_heads"], changed(num_attention_heads="4")
    yield "config says huge vocabulary", ["vocabulary"], changed(vocab_size=2**31)
    yield "config says fractional width", ["hidden_size"], changed(hidden_size=32.5)
    yield "config says infinite epsilon", [CONFIG], text.replace('"rms_norm_eps": 1e-05', '"rms_norm_eps": 1e999')
    yield "config with unknown layer type", ["layer_types: entry 0"], changed(
        layer_types=["banana"] * config["num_hidden_layers"])
    yield "config shares all layers", ["num_kv_shared_layers"], changed(num_kv_shared_layers=6)


def damaged_tokenizer(text):
    tokenizer = json.loads(text)

    def changed(**fields):
        return json.dumps({**tokenizer, "model": {**tokenizer["model"], **fields}})

    vocabulary = tokenizer["model"]["vocab"]
    yield "tokenizer not JSON", [TOKENIZER], text[:len(text) // 2]
    yield "tokenizer of another kind", [TOKENIZER], changed(type="WordPiece")
    yield "tokenizer of another model", ["321 pieces; the files are of different models"], changed(
        vocab={**vocabulary, "zzzz": len(vocabulary)})
    yield "tokenizer too small", [TOKENIZER], changed(vocab=dict(list(vocabulary.items())[:100]), merges=[])
    yield "tokenizer with an id twice", [TOKENIZER], changed(vocab={**vocabulary, "<unused0>": 5})
    yield "tokenizer with an id of 2^40", [TOKENIZER], changed(vocab={**vocabulary, "<unused0>": 2**40})
    yield "tokenizer with a negative id", [TOKENIZER], changed(vocab={**vocabulary, "<unused0>": -1})
    yield "tokenizer with a merge of nothing", [TOKENIZER], changed(merges=[["qq", "zz"]])
    yield "tokenizer without bytes", [TOKENIZER], changed(
        vocab={("x" + piece if piece == "<0x41>" else piece): index for piece, index in vocabulary.items()})


def main():
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    cases = [(WEIGHTS, *case) for case in damaged_weights((folder / WEIGHTS).read_bytes())]
    cases += [(CONFIG, *case) for case in damaged_json((folder / CONFIG).read_text(encoding="utf-8"))]
    cases += [(TOKENIZER, *case) for case in damaged_tokenizer((folder / TOKENIZER).read_text(encoding="utf-8"))]
    with tempfile.TemporaryDirectory() as scratch:
        for name in (WEIGHTS, CONFIG, TOKENIZER):
            bad = pathlib.Path(scratch) / "model"
            shutil.copytree(folder, bad)
            (bad / name).unlink()
            refused.expect_refusal(program, f"without {name}", bad, [name])
            shutil.copy(folder / name, bad / name)
            for file, case, words, content in cases:
                if file == name:
                    (bad / name).write_bytes(content if isinstance(content, bytes) else content.encode())
                    refused.expect_refusal(program, case, bad, words)
            shutil.rmtree(bad)
    refused.finish()


if __name__ == "__main__":
    main()
