#!/usr/bin/env python3
"""Writes the golden ids of the tokenizer: 1,000 lines of mixed text and what they encode to.

    tests/oracle/sentencepiece_ids.py --spm opal.model --tokenizer models/opal --out tests/golden/tokenizer/opal.jsonl

Two programs must agree on every line: sentencepiece with the model that tools/train_vocabulary.py trained, and
HuggingFace tokenizers with the tokenizer.json that it wrote. With --check nothing is written; the file is compared.
Ends with status 77 (skipped) where the packages sentencepiece and transformers are missing.

Each line is a JSON object: "ids", and either "text" or, for bytes that are no valid UTF-8, "hex".
"""

import argparse
import json
import pathlib
import random
import sys

SKIPPED = 77
LINES = 1000

WORDS = """
amber anchor apple autumn baker basket bell bird boat bread bridge brook button candle carpet castle chair cheese
clock cloud coat copper cousin crown dinner dog donkey door dragon drum dust eagle east egg evening farmer feather
fence fiddle field fire fish flower forest fox garden gate ghost giant glass goat grandmother grass hammer harbour hat
hedge hill honey horse house island jacket kettle key kitchen ladder lamp lantern leaf letter lion mill miller mirror
moon morning mountain mouse music needle night ocean orchard owl paper pebble pie pillow pocket pony prince princess
queen rabbit rain ribbon river road robin rope saddle sailor salt school shadow ship shoe silver snow soldier spoon
spring squirrel star stone storm story straw stream summer table tailor tea thimble thread tower tree turnip uncle
valley village wagon wall water wheel whistle wind window winter wolf wood yard
""".split()
VERBS = "carried found lost mended painted hid whispered followed forgot remembered watched dropped sold kept".split()
LINKS = ["and", "but", "because", "while", "until", "so", "although", "before", "whenever"]
ENDS = [".", "!", "?", "...", ";", ":", " --", "?!", '."', ",'"]
NAMES = ["Ada", "Bruno", "Celeste", "Dorothea", "Emil", "Fionnuala", "Zoë", "René", "Łukasz", "Åsa"]
EMOJI = ["😊", "🎉", "🦊", "👩‍🔬", "🏳️‍🌈", "👍🏽", "🇨🇭", "❤️", "🧵", "⏰"]
SCRIPTS = [
    "猫在屋顶上睡觉", "お茶を二つください", "안녕하세요 여러분", "Привет, как дела?", "Γειά σου κόσμε", "مرحبا بالعالم",
    "שלום עולם", "नमस्ते दुनिया", "สวัสดีชาวโลก", "Zażółć gęślą jaźń", "Çok güzel bir gün", "𝔉𝔯𝔞𝔨𝔱𝔲𝔯", "e\u0301 ≠ é", "ﬁne ﬂow",
]
SPACES = ["  ", "   ", "\t", "\t\t", "\u00a0", "\u3000", "\n", "\n\n", "\n\n\n", "\r\n", " \n ", "\u2581", "\u200b"]
INVALID = [b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80\x80"]


def prose(source):
    words = [source.choice(["The", "A", "My", "Every", "No"]), source.choice(WORDS), source.choice(VERBS), "the",
             source.choice(WORDS)]
    if source.random() < 0.5:
        words += [source.choice(LINKS), source.choice(NAMES), source.choice(VERBS), "a", source.choice(WORDS)]
    if source.random() < 0.2:
        words = [word.upper() for word in words]
    return " ".join(words) + source.choice(ENDS)


def code(source):
    name, other = source.choice(WORDS), source.choice(WORDS)
    number = source.randrange(10 ** source.randrange(1, 12))
    return source.choice([
        f"for (int {name} = 0; {name} < {number}; ++{name}) {{",
        f"    return self.{name}[{number}] if {other} else None",
        f"\tif ({name}_{other} != 0x{number:X}) goto {other};",
        f"SELECT {name}, {other} FROM {name}s WHERE id >= {number};",
        f'{{"{name}": [{number}, -{number}.5e-3, null], "{other}": "\\n"}}',
        f"<0x41> <{name} class=\"{other}\">{number}</{name}> <s> </s> <|{name}|>",
        f"https://{name}.example/{other}?q={number}&x=%20#{name}",
        "-" * source.randrange(1, 40) + "=" * source.randrange(0, 20),
        source.choice("aeno.- _~") * source.randrange(1, 60),
    ])


def noise(source):
    kinds = [range(0x00, 0x20), range(0x20, 0x7F), range(0x7F, 0x100), range(0x100, 0x3000), range(0x10000, 0x10FFFF)]
    letters = [chr(source.choice(source.choice(kinds))) for _ in range(source.randrange(1, 24))]
    return "".join(letters)


def blanks(source):
    parts = [source.choice(SPACES) + source.choice(["", "", "x", source.choice(WORDS)])
             for _ in range(source.randrange(1, 6))]
    return "".join(parts) + "\n" * source.choice([0, 0, 0, 1, 7, 8, 9, 17, 40])


def mixed(source):
    pool = [prose, code, blanks, lambda s: s.choice(EMOJI), lambda s: s.choice(SCRIPTS)]
    return source.choice(["", " ", "\n"]).join(source.choice(pool)(source) for _ in range(source.randrange(2, 4)))


def broken(source):
    """Bytes that are no valid UTF-8."""
    text = (prose(source) + source.choice(SCRIPTS)).encode()
    at = source.randrange(len(text))
    return text[:at] + source.choice(INVALID) + text[at:source.randrange(at, len(text) + 1)] + source.choice(INVALID)


def inputs():
    source = random.Random(20240)
    kinds = [prose, code, noise, blanks, mixed, lambda s: s.choice(SCRIPTS) + s.choice(EMOJI), broken]
    weights = [30, 20, 10, 10, 12, 8, 10]
    fixed = ["", " ", "  ", "\n", "\u2581", "\u2581hello", " hello", "hello ", "0123456789", "\x00", "\ufffd", "\U0010ffff"]
    lines = list(fixed)
    while len(lines) < LINES:
        lines.append(source.choices(kinds, weights)[0](source))
    return lines


def golden(sentencepiece, huggingface):
    """The file's text. Exits with a message where the two programs differ."""
    out = []
    for line in inputs():
        # Python replaces each maximal invalid part by one U+FFFD, as Unicode recommends.
        text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
        ids = sentencepiece.encode(text)
        other = huggingface.encode(text, add_special_tokens=False)
        if ids != other:
            sys.exit(f"{text!r}: sentencepiece gives {ids}, tokenizers gives {other}")
        named = {"hex": line.hex()} if isinstance(line, bytes) else {"text": line}
        out.append(json.dumps({**named, "ids": ids}, ensure_ascii=True, separators=(",", ":")) + "\n")
    return "".join(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spm", type=pathlib.Path, required=True, help="sentencepiece model of the vocabulary")
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True, help="folder with tokenizer.json")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the golden file (*.jsonl)")
    parser.add_argument("--check", action="store_true", help="compare with the golden file")
    arguments = parser.parse_args()
    try:
        import sentencepiece
        from transformers import PreTrainedTokenizerFast
    except ImportError as missing:
        print(f"skipped: {missing}; install sentencepiece and transformers to run this")
        return SKIPPED
    if not arguments.spm.is_file():
        print(f"skipped: {arguments.spm} is missing; tools/train_vocabulary.py writes it")
        return SKIPPED
    text = golden(sentencepiece.SentencePieceProcessor(model_file=str(arguments.spm)),
                  PreTrainedTokenizerFast(tokenizer_file=str(arguments.tokenizer / "tokenizer.json")))
    if arguments.check:
        if arguments.out.read_text(encoding="utf-8") != text:
            sys.exit(f"{arguments.out}: differs from what sentencepiece and tokenizers give")
    else:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text, encoding="utf-8", newline="\n")
    print(f"{arguments.out}: {LINES} lines, sentencepiece and tokenizers agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
