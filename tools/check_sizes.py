#!/usr/bin/env python3
"""Checks that no C++ file grows past what one sitting can read, unless its head says why.

A header has at most 200 lines, a source 500, a test 700. A longer file has a comment with the words
"long because" in its first five lines.

    tools/check_sizes.py               exit status 1 and one line for each violation
    tools/check_sizes.py --self-test   plants violations in a temporary tree and expects to find them
"""

import pathlib
import sys
import tempfile

FOLDERS = ["src", "apps", "reference", "tests"]
LIMITS = {"header": 200, "source": 500, "test": 700}
REASON = "long because"
REASON_LINES = 5


def kind_of(path, root):
    """"header", "source" or "test", or None for what is no C++ file."""
    if path.suffix == ".h":
        return "header"
    if path.suffix not in (".cc", ".inc"):
        return None
    in_tests = path.relative_to(root).parts[0] == "tests"
    return "test" if in_tests or path.stem.endswith("_test") else "source"


def violation(path, root):
    kind = kind_of(path, root)
    if kind is None:
        return None
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    has_reason = any("//" in line and REASON in line for line in lines[:REASON_LINES])
    if len(lines) <= LIMITS[kind] or has_reason:
        return None
    return (f"{path.relative_to(root)}: {len(lines)} lines; a {kind} has at most {LIMITS[kind]}. "
            f'Split it, or say why in its first {REASON_LINES} lines: "// {REASON} ..."')


def check(root):
    files = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*"))
             if path.is_file() and kind_of(path, root)]
    return len(files), [line for line in (violation(path, root) for path in files) if line]


SELF_TEST_TREE = {
    # path: (lines, first line, does it violate?)
    "src/base/full.h": (200, "", False),
    "src/base/long.h": (201, "", True),
    "src/base/full.cc": (500, "", False),
    "src/base/long.cc": (501, "", True),
    "src/base/full_test.cc": (700, "", False),
    "src/base/long_test.cc": (701, "", True),
    "tests/e2e/long.cc": (701, "", True),
    "reference/reasoned.cc": (900, "// This file is long because it is read from top to bottom.", False),
    "apps/carat/unreasoned.cc": (900, "const char* text = \"long because\";", True),
    "src/base/table.json": (9000, "", False),
}


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, (count, first, _) in SELF_TEST_TREE.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(first + "\n" * count, encoding="utf-8")
        _, violations = check(root)
    found = {line.split(":")[0] for line in violations}
    expected = {name for name, (_, _, violates) in SELF_TEST_TREE.items() if violates}
    if found != expected:
        print(f"check_sizes: self-test failed: missed {sorted(expected - found)}, invented {sorted(found - expected)}")
        return 1
    print(f"check_sizes: self-test found all {len(expected)} planted violations and no other")
    return 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if arguments:
        print(f"check_sizes: unknown arguments {arguments}; expected --self-test or none", file=sys.stderr)
        return 2
    checked, violations = check(pathlib.Path(__file__).resolve().parent.parent)
    for line in violations:
        print(line)
    print(f"check_sizes: {checked} files, {len(violations)} violations")
    return 1 if violations or not checked else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
