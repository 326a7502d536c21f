"""A tokenizer.json of 320 pieces in the form of Gemma 4's: BPE, byte fallback, spaces as U+2581."""

SPACE = "\u2581"
SPECIAL = [
    "<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<|tool>", "<tool|>", "<|tool_call>", "<tool_call|>",
    "<|tool_response>", "<tool_response|>", '<|"|>', "<|think|>", "<|channel>", "<channel|>", "<|turn>", "<turn|>",
]
MERGES = [
    ("t", "h"), ("th", "e"), (SPACE, "the"), ("a", "n"), ("an", "d"), (SPACE, "and"), ("i", "n"), ("e", "r"),
    ("o", "u"), ("r", "e"), (SPACE, "a"), ("e", "n"), ("o", "n"), ("\n", "\n"), ("s", "t"), ("i", "t"), ("h", "e"),
]
SIZE = 320


def pieces():
    letters = list("etaoinshrdlucmfwygpbvkxqjz")
    merged = [left + right for left, right in MERGES]
    listed = SPECIAL + ["\n"] + [f"<0x{byte:02X}>" for byte in range(256)] + [SPACE] + letters + merged
    assert len(listed) <= SIZE and len(set(listed)) == len(listed)
    return listed + [f"<unused{index}>" for index in range(SIZE - len(listed))]


def tokenizer_json():
    ids = {piece: index for index, piece in enumerate(pieces())}
    added = [
        {"id": ids[piece], "content": piece, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for piece in SPECIAL
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
                          "invert": False},
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": ids, "merges": [list(merge) for merge in MERGES]},
    }
