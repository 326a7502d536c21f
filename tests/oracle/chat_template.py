#!/usr/bin/env python3
"""Writes the golden texts of the chat format: conversations, and what each revision of Google's template makes of them.

    CARAT_CHAT_TEMPLATES=folder tests/oracle/chat_template.py --out tests/golden/chat

The folder holds Google's files chat_template.jinja under any names; they are known by their SHA-256, and are no part of
this repository. jinja2 renders them as HuggingFace's apply_chat_template does. With --check nothing is written; the
golden files are compared. With --carat and --model, that program must also recognise each template in a copy of that
model. Ends with status 77 (skipped) where jinja2 or one of the templates is missing.
"""

import argparse
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from chat_conversations import conversations
from skip import require, skip

REVISIONS = {
    "2026-04-02-small": "52152da6b5f2113aa652de81ee93c0b3febe1ffab8a08a6bc20414ebee74ab18",
    "2026-04-02-large": "2dfbfc7d538912f4ea11d29d85b4e25d7bc26386e53f57529f1d707c28b5828c",
    "2026-04-10-small": "781d10940fbc44be40064b5d43a056fc486c84ceaa55538226368b57314132bf",
    "2026-04-10-large": "85a08664d16d8f3be4416c92427b3ac10df1024ac566cc0b4bc3bab409393f98",
    "2026-04-28-small": "33204f1acb5bd0002713e16a593847f24ceeafe711ed88bda2a352dc996a3373",
    "2026-04-28-large": "94899c0f917d93f6fe81c95744d1e8ddab2d21d39228d2e4aec1fb2a25bff413",
    "2026-05-18-small": "2f1b4d75d067bae3fe44e676721c7f077d243bc007156cb9c2f8b5836613d082",
    "2026-05-18-large": "36e3a42e5cf14cd0020e72d92e1fdd9970f59b82170e421f0cbe1bb42bead3f0",
    "2026-07-09-small": "0a2c8073c878ab1da004bee933a998606537bbb62016310352c7285c3f01c5b5",
    "2026-07-09-large": "ae53464bf3be25802b3a5b37def7fd89667067d7577049b3b2d74c4d8de4c6d4",
}


def find_templates(folder):
    """The text of each revision, by its name."""
    texts = {}
    for path in sorted(folder.iterdir()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for name, expected in REVISIONS.items():
            if digest == expected:
                texts[name] = path.read_text(encoding="utf-8")
    return texts


def compile_template(jinja2, text):
    """As transformers compiles a chat template."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                extensions=["jinja2.ext.loopcontrols"])
    environment.globals["raise_exception"] = raise_exception
    return environment.from_string(text)


def variables(conversation, name):
    """What the template sees: OpenAI's messages. Results that are no text, and all those of the template of the launch,
    which knows no other form, stand in the message with the calls."""
    inside = name.startswith("2026-04-02") or any(
        message["role"] == "tool" and not isinstance(message["result"], str) for message in conversation["messages"])
    messages, calls = [], []
    for number, message in enumerate(conversation["messages"]):
        if message["role"] == "tool":
            matching = [one["function"]["name"] for one in calls if one["id"] == message["call_id"]]
            tool = matching[0] if matching else message["tool_name"] or "unknown"
            if inside:
                messages[-1].setdefault("tool_responses", []).append({"name": tool, "response": message["result"]})
            else:
                messages.append({"role": "tool", "name": tool, "tool_call_id": message["call_id"] or "none",
                                 "content": message["result"]})
            continue
        role = "assistant" if message["role"] == "model" else message["role"]
        calls = [{"id": one["id"] or f"call {number} {index}", "type": "function",
                  "function": {"name": one["name"], "arguments": one["arguments"]}}
                 for index, one in enumerate(message.get("calls", []))]
        messages.append({"role": role, "content": message["text"]})
        if calls:
            messages[-1]["tool_calls"] = calls
        if "thought" in message:
            messages[-1]["reasoning_content"] = message["thought"]
    return {"messages": messages, "tools": conversation.get("tools"), "bos_token": "<bos>",
            "add_generation_prompt": conversation["answer"],
            "enable_thinking": conversation.get("thinking", False),
            "preserve_thinking": conversation.get("keep_thoughts", False)}


def check_recognised(program, model, name, text):
    """A chat with a copy of the model that has this template, with and without the newline at its end."""
    day, size = name.rsplit("-", 1)
    expected = f"Google's chat template of {day} for the {size} models"
    for variant in (text, text[:-1] if text.endswith("\n") else text + "\n"):
        with tempfile.TemporaryDirectory() as folder:
            for path in model.iterdir():
                if path.name != "chat_template.jinja" and path.suffix != ".gguf":
                    (pathlib.Path(folder) / path.name).symlink_to(path.resolve())
            (pathlib.Path(folder) / "chat_template.jinja").write_text(variant, encoding="utf-8", newline="\n")
            chat = subprocess.run([program, "chat", "-m", folder], input="", capture_output=True, text=True, check=False)
        if expected not in chat.stderr:
            sys.exit(f"{name}: expected carat chat to say {expected!r}, found {chat.stderr!r}")


def as_json(value):
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the folder of the golden files")
    parser.add_argument("--check", action="store_true", help="compare with the golden files")
    parser.add_argument("--carat", type=pathlib.Path, help="the program carat")
    parser.add_argument("--model", type=pathlib.Path, help="a model folder for it")
    arguments = parser.parse_args()
    (jinja2,) = require("jinja2")
    folder = os.environ.get("CARAT_CHAT_TEMPLATES")
    if not folder or not pathlib.Path(folder).is_dir():
        skip("CARAT_CHAT_TEMPLATES names no folder with Google's chat templates")
    templates = find_templates(pathlib.Path(folder))

    files = {"conversations.json": as_json(conversations())}
    for name, text in templates.items():
        template = compile_template(jinja2, text)
        rendered = {one["name"]: template.render(**variables(one, name)) for one in conversations()}
        files[f"{name}.json"] = as_json({"sha256": REVISIONS[name], "texts": rendered})
    for name, text in files.items():
        path = arguments.out / name
        if not arguments.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        elif path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path}: differs from what jinja2 gives")
    if arguments.carat:
        for name, text in templates.items():
            check_recognised(arguments.carat, arguments.model, name, text)
    if missing := sorted(set(REVISIONS) - set(templates)):
        skip(f"{folder} has no template with the SHA-256 of {', '.join(missing)}")
    print(f"{len(conversations())} conversations in {len(templates)} revisions")


if __name__ == "__main__":
    main()
