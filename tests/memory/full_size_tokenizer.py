"""A tokenizer.json of the size of Gemma 4's: 262,144 pieces and 514,906 merges, about 32 MB.

    full_size_tokenizer.py FOLDER

The pieces are runs of letters. A longer piece is made of two shorter ones that overlap, so that it has two merges, as
most pieces of a trained vocabulary have. Special and byte pieces are those of models/opal.
"""

import itertools
import json
import pathlib
import sys

PIECES = 262144
MERGES = 514906
OPAL = pathlib.Path(__file__).resolve().parents[2] / "models" / "opal"
LETTERS = "\u2581etaoinshrdlcumwfgypbvkjxqz"


def is_kept(piece):
    """Whether the vocabulary keeps what no merge needs; the same for all runs."""
    return piece in ("<bos>", "<eos>") or piece.startswith("<") or piece.strip("\n") == ""


def grow(pieces, merges):
    """Adds pieces of ever more letters, and what they are merged from."""
    layer = list(LETTERS)
    while len(pieces) < PIECES:
        by_front = {}
        for piece in layer:
            by_front.setdefault(piece[:-1], []).append(piece)
        longer = []
        for left in layer:
            for right in by_front.get(left[1:], []):
                if len(pieces) == PIECES:
                    return
                whole = left + right[-1]
                longer.append(whole)
                pieces[whole] = len(pieces)
                merges.append([left, right[-1]])
                if len(left) > 1:
                    merges.append([left[0], right])
        # All runs of four letters would be too many of one length.
        layer = longer if len(longer) < 15000 else longer[:: len(longer) // 9000]


def main():
    target = pathlib.Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    tokenizer = json.loads((OPAL / "tokenizer.json").read_text(encoding="utf-8"))
    pieces = {}
    for piece in itertools.chain(filter(is_kept, tokenizer["model"]["vocab"]), LETTERS):
        pieces[piece] = len(pieces)
    merges = []
    grow(pieces, merges)
    for token in tokenizer["added_tokens"]:
        token["id"] = pieces[token["content"]]
    tokenizer["model"].update(vocab=pieces, merges=merges[:MERGES])
    (target / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False, indent=2), encoding="utf-8")
    print(len(pieces), "pieces,", len(tokenizer["model"]["merges"]), "merges")


if __name__ == "__main__":
    main()
