#!/usr/bin/env python3
"""GGUF files that must be refused: refused_gguf.py CARAT FOLDER

FOLDER is a small HuggingFace model; it is converted to GGUF and damaged in one place at a time.
"""

import copy
import pathlib
import struct
import subprocess
import sys
import tempfile

import gguf_pieces
import refused


def truncations(good):
    """Each section, cut off at its beginning, in its middle and one byte before its end."""
    begin = 0
    for section, end in good.sections.items():
        for cut in {begin, (begin + end) // 2, end - 1}:
            yield f"truncated in {section} at {cut}", cut
        begin = end


def damage(good):
    """(name, words one of which the message must have, function that damages a Gguf)"""
    rows = b"token_embd.weight"
    second = b"blk.0.attn_q.weight"

    def set_tensor(old_name, **fields):
        def change(gguf):
            tensor = gguf.tensor(old_name)
            for key, value in fields.items():
                setattr(tensor, key, value)
        return change

    def set_entry(key, raw):
        return lambda gguf: gguf.entries.__setitem__(gguf.entry(key), (key, raw))

    def without_entry(key):
        return lambda gguf: gguf.entries.pop(gguf.entry(key))

    def text_value(length, text):
        return struct.pack("<IQ", gguf_pieces.STRING, length) + text

    def with_another_piece(gguf):
        for key, element in ((b"tokens", gguf_pieces.packed(b"zzzz")), (b"scores", bytes(4)), (b"token_type", b"\1\0\0\0")):
            index = gguf.entry(b"tokenizer.ggml." + key)
            name, raw = gguf.entries[index]
            kind, inner, count = struct.unpack_from("<IIQ", raw)
            gguf.entries[index] = name, struct.pack("<IIQ", kind, inner, count + 1) + raw[16:] + element

    past_end = -(-len(good.data) // 32) * 32 + 32
    yield "wrong magic", ["magic", "GGUF"], lambda gguf: setattr(gguf, "magic", b"GGML")
    yield "version 1", ["version"], lambda gguf: setattr(gguf, "version", 1)
    yield "version 99", ["version"], lambda gguf: setattr(gguf, "version", 99)
    yield "offset past the end", ["cut short: "], set_tensor(second, offset=past_end)
    yield "offset near 2^64", ["the file is damaged"], set_tensor(second, offset=2**64 - 32)
    yield "overlapping tensors", ["same bytes"], set_tensor(second, offset=good.tensor(rows).offset)
    yield "unaligned offset", ["align", "multiple"], set_tensor(second, offset=good.tensor(second).offset + 4)
    yield "extents that overflow", ["large", "overflow", "fit", "extent"], set_tensor(rows, shape=[2**33, 2**33])
    yield "extent zero", ["extent", "shape", "positive", "expected"], set_tensor(rows, shape=[0, 320])
    yield "negative extent", ["extent", "shape", "positive", "large"], set_tensor(rows, shape=[-1, 320])
    yield "five extents", ["extents", "dimensions"], set_tensor(rows, shape=[1, 1, 1, 1, 1])
    yield "duplicate tensor", ["twice", "two"], set_tensor(second, name=b"blk.0.attn_k.weight")
    yield "unknown tensor type", ["type"], set_tensor(rows, type=250)
    yield "tensor missing", ["blk.0.attn_q.weight"], lambda gguf: gguf.tensors.remove(gguf.tensor(second))
    yield "tensor of another model", ["something.else"], set_tensor(second, name=b"something.else")
    yield "tensor of the wrong shape", ["expected", "shape"], set_tensor(second, shape=good.tensor(second).shape[::-1])
    yield "string of 2^60 bytes", ["string", "truncated", "bytes"], set_entry(
        b"general.architecture", text_value(2**60, b"gemma4"))
    yield "array of 2^60 strings", ["array", "truncated", "bytes"], set_entry(
        b"tokenizer.ggml.tokens", struct.pack("<IIQ", gguf_pieces.ARRAY, gguf_pieces.STRING, 2**60))
    yield "nested array", ["array", "nested"], set_entry(
        b"tokenizer.ggml.tokens", struct.pack("<IIQIQ", gguf_pieces.ARRAY, gguf_pieces.ARRAY, 1, gguf_pieces.STRING, 0))
    yield "unknown value type", ["type"], set_entry(b"general.architecture", struct.pack("<IQ", 77, 0))
    yield "duplicate key", ["twice", "two"], lambda gguf: gguf.entries.append(gguf.entries[0])
    yield "other architecture", ["llama", "architecture"], set_entry(b"general.architecture", text_value(5, b"llama"))
    yield "image part", ["mmproj"], set_entry(b"general.architecture", text_value(4, b"clip"))
    yield "draft model", ["draft"], set_entry(b"general.architecture", text_value(16, b"gemma4_assistant"))
    yield "vocabulary of another model", ["pieces is not that of the model"], with_another_piece
    yield "block count 2^31", ["block_count", "layers"], set_entry(b"gemma4.block_count", struct.pack("<II", 4, 2**31))
    yield "no layers", ["block_count", "layers"], set_entry(b"gemma4.block_count", struct.pack("<II", 4, 0))
    yield "block count as text", ["block_count"], set_entry(b"gemma4.block_count", text_value(1, b"8"))
    yield "other hidden width", ["expected", "shape"], set_entry(b"gemma4.embedding_length", struct.pack("<II", 4, 128))
    yield "window missing", ["sliding_window"], without_entry(b"gemma4.attention.sliding_window")
    yield "vocabulary missing", ["tokenizer.ggml.tokens"], without_entry(b"tokenizer.ggml.tokens")


def refuse_scales_that_are_no_numbers(program, folder, path):
    """Nobody looks at the values of a file before they are used: `inspect` does not, `convert` and `run` do."""
    subprocess.run([program, "convert", folder, str(path), "--scheme", "q4_0"], check=True, stdout=subprocess.DEVNULL)
    good = gguf_pieces.read(path)
    for name, scale in (("not a number", 0x7E00), ("infinite", 0x7C00)):
        bad = copy.deepcopy(good)
        offset = bad.tensor(b"blk.1.ffn_up.weight").offset
        bad.data = bad.data[:offset] + struct.pack("<H", scale) + bad.data[offset + 2:]
        path.write_bytes(bad.to_bytes())
        tensor = ["blk.1.ffn_up.weight", "model.layers.1.mlp.up_proj.weight"]
        refused.expect_refusal(program, f"scale {name}, converted", path, tensor, ["convert"],
                               [path.parent / "out.gguf"])
        refused.expect_refusal(program, f"scale {name}, run", path, tensor, ["run", "-m"],
                               ["--token-ids", "2,3", "-n", 1, "--temp", 0])


def main():
    program, folder = sys.argv[1:]
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / "model.gguf"
        subprocess.run([program, "convert", folder, str(path)], check=True, stdout=subprocess.DEVNULL)
        good = gguf_pieces.read(path)
        whole = path.read_bytes()
        if good.to_bytes() != whole:
            refused.report("taking apart", "putting the file together again gives another file")
        for name, cut in truncations(good):
            path.write_bytes(whole[:cut])
            refused.expect_refusal(program, name, path, ["truncated", "cut short: ", "GGUF file, which begins"])
        for name, words, change in damage(good):
            bad = copy.deepcopy(good)
            change(bad)
            path.write_bytes(bad.to_bytes())
            refused.expect_refusal(program, name, path, words)
        refuse_scales_that_are_no_numbers(program, folder, path)
    refused.finish()


if __name__ == "__main__":
    main()
