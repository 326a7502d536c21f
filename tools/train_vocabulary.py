#!/usr/bin/env python3
"""Trains opal's vocabulary and writes its tokenizer files.

    tools/train_vocabulary.py --text train.txt --spm opal.model --out models/opal

The vocabulary has Gemma 4's form in miniature: byte-pair merges over characters, byte fallback, single digits, and
Gemma 4's special pieces under the same texts. The ids are: base pieces, special pieces, runs of newlines, bytes,
learned pieces. Needs the packages sentencepiece and protobuf. Training twice on one text gives the same files.
"""

import argparse
import json
import pathlib
import sys

SIZE = 4096
BASE = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
TOOL_AND_TURN = [
    "<|tool>", "<tool|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", '<|"|>',
    "<|think|>", "<|channel>", "<channel|>", "<|turn>", "<turn|>",
]
MEDIA = ["<|image>", "<|audio>", "<|image|>", "<|audio|>", "<image|>", "<audio|>", "<|video|>"]
SPECIAL = BASE + TOOL_AND_TURN + MEDIA

# Special pieces that a parser of the answer must see, so they are printed and not hidden.
VISIBLE = {
    "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", '<|"|>', "<|channel>", "<channel|>",
}
STOP = ["<eos>", "<turn|>", "<|tool_response>"]
NEWLINE_RUNS = ["\n" * length for length in range(1, 9)]
PRINTABLE_ASCII = "".join(chr(code) for code in range(0x21, 0x7F))


def train(text_path, spm_path):
    """Trains with sentencepiece and returns the normal pieces: newline runs and learned pieces, best score first."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    sentencepiece.SentencePieceTrainer.train(
        input=str(text_path),
        model_prefix=str(spm_path.with_suffix("")),
        model_type="bpe",
        vocab_size=SIZE - len(NEWLINE_RUNS),
        character_coverage=1.0,
        required_chars=PRINTABLE_ASCII,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        max_sentencepiece_length=16,
        max_sentence_length=1 << 16,
        pad_id=0, eos_id=1, bos_id=2, unk_id=3,
        pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>", unk_piece="<unk>",
        control_symbols=SPECIAL[4:],
        num_threads=1,
        minloglevel=1,
    )
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(spm_path.read_bytes())
    # The trainer reads line by line and never sees a newline, so the runs of newlines are added to its model.
    insert_newline_runs(model)
    # Paths of the machine that trained say nothing about the vocabulary.
    model.trainer_spec.ClearField("input")
    model.trainer_spec.ClearField("model_prefix")
    spm_path.write_bytes(model.SerializeToString(deterministic=True))
    check(model)
    return model


def insert_newline_runs(model):
    pieces = list(model.pieces)
    learned_from = len(SPECIAL) + 256
    kept = pieces[:len(SPECIAL)]
    runs = [type(pieces[0])(piece=run, type=1) for run in NEWLINE_RUNS]
    normal = runs + pieces[learned_from:]
    # A score is only an order: a piece that comes earlier is built earlier.
    for order, piece in enumerate(normal):
        piece.score = -order
    del model.pieces[:]
    model.pieces.extend(kept + runs + pieces[len(SPECIAL):learned_from] + normal[len(runs):])
    model.trainer_spec.vocab_size = len(model.pieces)


def check(model):
    texts = [piece.piece for piece in model.pieces]
    first_byte = len(SPECIAL) + len(NEWLINE_RUNS)
    assert texts[:len(SPECIAL)] == SPECIAL, texts[:len(SPECIAL)]
    assert texts[first_byte:first_byte + 256] == [f"<0x{byte:02X}>" for byte in range(256)]
    assert len(texts) == SIZE and len(set(texts)) == SIZE, len(texts)


def merges_of(model):
    """Every split of a normal piece into two normal pieces, ordered by the score of the whole.

    Several splits of one piece stand together, the one with the longer left part first.
    """
    scores = {piece.piece: piece.score for piece in model.pieces if piece.type == 1}
    merges = []
    for whole in sorted(scores, key=lambda text: -scores[text]):
        splits = [(whole[:at], whole[at:]) for at in range(len(whole) - 1, 0, -1)]
        found = [split for split in splits if split[0] in scores and split[1] in scores]
        assert found or len(whole) == 1, f"{whole!r} can not be built from other pieces"
        merges.extend(found)
    return merges


def quoted(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def tokenizer_json(model):
    """tokenizer.json with one entry a line, in the form that HuggingFace tokenizers reads."""
    added = [
        quoted({
            "id": id, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": text not in VISIBLE,
        })
        for id, text in enumerate(SPECIAL)
    ]
    vocabulary = [f"{quoted(piece.piece)}:{id}" for id, piece in enumerate(model.pieces)]
    merges = [quoted(merge) for merge in merges_of(model)]
    normalizer = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    split = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    decoder = {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
        ],
    }
    return "\n".join([
        '{"version":"1.0","truncation":null,"padding":null,',
        '"added_tokens":[', ",\n".join(added), "],",
        f'"normalizer":{quoted(normalizer)},',
        f'"pre_tokenizer":{quoted(split)},',
        '"post_processor":null,',
        f'"decoder":{quoted(decoder)},',
        '"model":{"type":"BPE","dropout":null,"unk_token":"<unk>","continuing_subword_prefix":null,'
        '"end_of_word_suffix":null,"fuse_unk":true,"byte_fallback":true,"ignore_merges":false,',
        '"vocab":{', ",\n".join(vocabulary), "},",
        '"merges":[', ",\n".join(merges), "]}}", "",
    ])


def tokenizer_config():
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "padding_side": "left",
        "pad_token": "<pad>",
        "eos_token": "<eos>",
        "bos_token": "<bos>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
        "sot_token": "<|turn>",
        "eot_token": "<turn|>",
        "soc_token": "<|channel>",
        "eoc_token": "<channel|>",
        "think_token": "<|think|>",
        "escape_token": '<|"|>',
        "std_token": "<|tool>",
        "etd_token": "<tool|>",
        "stc_token": "<|tool_call>",
        "etc_token": "<tool_call|>",
        "str_token": "<|tool_response>",
        "etr_token": "<tool_response|>",
    }


def generation_config():
    return {
        "bos_token_id": SPECIAL.index("<bos>"),
        "do_sample": True,
        "eos_token_id": [SPECIAL.index(piece) for piece in STOP],
        "pad_token_id": SPECIAL.index("<pad>"),
        "temperature": 1.0,
        "top_k": 64,
        "top_p": 0.95,
    }


def write(path, content):
    path.write_text(content, encoding="utf-8", newline="\n")
    print(f"{path}: {path.stat().st_size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=pathlib.Path, required=True, help="training text, UTF-8")
    parser.add_argument("--spm", type=pathlib.Path, required=True, help="where the sentencepiece model goes (*.model)")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the tokenizer files")
    arguments = parser.parse_args()
    if arguments.spm.suffix != ".model":
        parser.error(f"--spm {arguments.spm}: the name must end in .model")
    if not arguments.text.is_file():
        parser.error(f"--text {arguments.text}: no such file")
    arguments.spm.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    model = train(arguments.text, arguments.spm)
    write(arguments.out / "tokenizer.json", tokenizer_json(model))
    write(arguments.out / "tokenizer_config.json", json.dumps(tokenizer_config(), indent=2) + "\n")
    write(arguments.out / "generation_config.json", json.dumps(generation_config(), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
