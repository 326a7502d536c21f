#!/usr/bin/env python3
"""Files of a model with experts that must be refused: refused_experts.py CARAT FOLDER

FOLDER is a small HuggingFace model whose layers have 8 experts; it, and a GGUF file of it, are damaged in one place at a
time.
"""

import copy
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

import gguf_pieces
import refused

GATE_AND_UP, DOWN = b"blk.1.ffn_gate_up_exps.weight", b"blk.1.ffn_down_exps.weight"


def damage():
    """(name, words one of which the message must have, function that damages a Gguf)"""
    def with_experts(name, count):
        def change(gguf):
            gguf.tensor(name).shape[2] = count
        return change

    def without(name):
        return lambda gguf: gguf.tensors.remove(gguf.tensor(name))

    def without_ups(gguf):
        tensor = gguf.tensor(GATE_AND_UP)
        tensor.name = b"blk.1.ffn_gate_exps.weight"
        tensor.shape[1] //= 2

    def set_number(key, number):
        return lambda gguf: gguf.entries.__setitem__(gguf.entry(key), (key, struct.pack("<II", 4, number)))

    yield "an expert missing", ["expected [8, 32, 32] F32, found [7, 32, 32] F32"], with_experts(DOWN, 7)
    yield "gate and up of an expert missing", ["expected [8, 64, 32] F32, found [7, 64, 32] F32"], with_experts(
        GATE_AND_UP, 7)
    yield "experts missing in a layer", ["blk.1.ffn_down_exps.weight: is missing"], without(DOWN)
    yield "gates and ups missing in a layer", ["blk.1.ffn_gate_up_exps.weight: is missing"], without(GATE_AND_UP)
    yield "ups missing", ["blk.1.ffn_up_exps.weight: is missing"], without_ups
    yield "router missing", ["blk.1.ffn_gate_inp.weight: is missing"], without(b"blk.1.ffn_gate_inp.weight")
    yield "scale of the experts missing", ["ffn_down_exps.scale: is missing"], without(b"blk.0.ffn_down_exps.scale")
    yield "one expert fewer", ["expected [7, 32], found [8, 32]", "expected [7, 32] F32"], set_number(
        b"gemma4.expert_count", 7)
    yield "2^31 experts", ["experts: expected 1 to"], set_number(b"gemma4.expert_count", 2**31)
    yield "more used than there are", ["experts used by a token"], set_number(b"gemma4.expert_used_count", 9)
    yield "experts without a width", ["expert_feed_forward_length"], lambda gguf: gguf.entries.pop(
        gguf.entry(b"gemma4.expert_feed_forward_length"))
    yield "no experts", ["no such tensor"], lambda gguf: gguf.entries.pop(gguf.entry(b"gemma4.expert_count"))


def refuse_folders(program, folder, path):
    shutil.copytree(folder, path)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for name, words, fields in (
            ("config says more experts", ["expected [9"], {"num_experts": 9}),
            ("config says no experts", ["num_experts"], {"num_experts": 0}),
            ("config says wider experts", ["expected [8, 128, 32]"], {"moe_intermediate_size": 64}),
            ("config uses no experts", ["experts used by a token"], {"top_k_experts": 0})):
        (path / "config.json").write_text(json.dumps({**config, **fields}), encoding="utf-8")
        refused.expect_refusal(program, name, path, words)


def main():
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / "model.gguf"
        subprocess.run([program, "convert", folder, path], check=True, stdout=subprocess.DEVNULL)
        good = gguf_pieces.read(path)
        for name, words, change in damage():
            bad = copy.deepcopy(good)
            change(bad)
            path.write_bytes(bad.to_bytes())
            refused.expect_refusal(program, name, path, words)
        refuse_folders(program, folder, pathlib.Path(scratch) / "model")
    refused.finish()


if __name__ == "__main__":
    main()
