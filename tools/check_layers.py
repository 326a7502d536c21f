#!/usr/bin/env python3
"""Checks that every folder of src/ includes only leftwards, and that only the trainer knows libtorch.

    tools/check_layers.py               exit status 1 and one line for each violation
    tools/check_layers.py --self-test   plants violations in a temporary tree and expects to find them
"""

import pathlib
import re
import sys
import tempfile

LAYERS = ["base", "tensor", "lattice", "kernels", "formats", "text", "ops", "model", "session", "eval", "train"]
OTHER_FOLDERS = ["apps", "reference", "tests"]
FOLDERS_THAT_SEE_TRAIN = ["apps", "tests"]
TORCH_HEADER = re.compile(r"^(torch|ATen|c10|caffe2)/")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SUFFIXES = {".h", ".cc", ".inc"}
TEST_STEMS = ("_test", "_fuzz", "_bench")


def includes_of(path):
    """Yields (line number, True for <>, the included name)."""
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1) == "<", match.group(2)


def layer_violation(layer, path, name):
    """Why a file of src/<layer>/ must not include the quoted `name`, or None."""
    target = name.split("/")[0]
    if target in LAYERS:
        if LAYERS.index(target) > LAYERS.index(layer):
            return f"{layer} lies left of {target} and must not know it"
        return None
    if path.stem.endswith(TEST_STEMS) and target in ("tests", "reference"):
        return None
    return 'includes of our own files name their layer, as in "base/result.h"'


def outside_violation(folder, name):
    if name.split("/")[0] == "train" and folder not in FOLDERS_THAT_SEE_TRAIN:
        return f"only {', '.join(FOLDERS_THAT_SEE_TRAIN)} and src/train may include the trainer"
    return None


def check_file(root, path):
    parts = path.relative_to(root).parts
    layer = parts[1] if parts[0] == "src" and parts[1] in LAYERS else None
    violations = []
    for number, is_system, name in includes_of(path):
        if TORCH_HEADER.match(name):
            reason = None if layer == "train" else "only src/train may include libtorch"
        elif is_system:
            reason = None
        elif layer:
            reason = layer_violation(layer, path, name)
        else:
            reason = outside_violation(parts[0], name)
        if reason:
            violations.append(f"{path.relative_to(root)}:{number}: includes {name}: {reason}")
    return violations


def unknown_folders(root):
    folders = sorted(path.name for path in (root / "src").iterdir() if path.is_dir())
    return [f"src/{name}: no known layer; the layers are {' '.join(LAYERS)}" for name in folders if name not in LAYERS]


def check(root):
    violations = unknown_folders(root)
    checked = 0
    for folder in ["src"] + OTHER_FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and path.suffix in SUFFIXES:
                checked += 1
                violations += check_file(root, path)
    return checked, violations


SELF_TEST_TREE = {
    # path: (content, does it violate?); a folder that is no layer is found by itself
    "src/helpers/strings.h": ('#include "base/result.h"\n', False),
    "src/base/good.h": ('#include "base/result.h"\n#include <vector>\n', False),
    "src/ops/good.cc": ('#include "kernels/table.h"\n#include "base/result.h"\n', False),
    "src/ops/good_test.cc": ('#include "tests/support/files.h"\n', False),
    "src/train/good.cc": ('#include <torch/torch.h>\n#include "eval/report.h"\n', False),
    "apps/carat/good.cc": ('#include "train/trainer.h"\n', False),
    "src/base/rightwards.h": ('#include "tensor/dtype.h"\n', True),
    "src/model/spaced.cc": ('  #  include "session/session.h"\n', True),
    "src/text/bare.cc": ('#include "tokenizer.h"\n', True),
    "src/text/no_test_at_all.cc": ('#include "tests/support/files.h"\n', True),
    "src/eval/torch.cc": ("#include <torch/torch.h>\n", True),
    "apps/carat/torch.cc": ("#include <ATen/ATen.h>\n", True),
    "reference/train.cc": ('#include "train/trainer.h"\n', True),
}


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, (content, _) in SELF_TEST_TREE.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content, encoding="utf-8")
        _, violations = check(root)
    found = {line.split(":")[0] for line in violations}
    expected = {name for name, (_, violates) in SELF_TEST_TREE.items() if violates} | {"src/helpers"}
    if found != expected:
        print(f"check_layers: self-test failed: missed {sorted(expected - found)}, invented {sorted(found - expected)}")
        return 1
    print(f"check_layers: self-test found all {len(expected)} planted violations and no other")
    return 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if arguments:
        print(f"check_layers: unknown arguments {arguments}; expected --self-test or none", file=sys.stderr)
        return 2
    checked, violations = check(pathlib.Path(__file__).resolve().parent.parent)
    for line in violations:
        print(line)
    print(f"check_layers: {checked} files, {len(violations)} violations")
    return 1 if violations or not checked else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
