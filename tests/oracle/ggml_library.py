"""The shared libraries of llama.cpp that the npm package node-llama-cpp brings along, for oracles that call them.

They are looked for in the folder that CARAT_NODE_LLAMA_CPP names (where `npm install node-llama-cpp` ran), else beside
this file.
"""

import ctypes
import os
import pathlib
import platform

from skip import skip

FOLDERS = {"x86_64": "linux-x64", "aarch64": "linux-arm64"}


def folder():
    """Where the libraries lie, or the end of this process with a message."""
    root = pathlib.Path(os.environ.get("CARAT_NODE_LLAMA_CPP", pathlib.Path(__file__).parent))
    name = FOLDERS.get(platform.machine(), "linux-x64")
    found = root / "node_modules" / "@node-llama-cpp" / name / "bins" / name
    if not found.is_dir():
        skip(f"no {found}; npm install node-llama-cpp in a folder and name it in CARAT_NODE_LLAMA_CPP")
    return found


def load(name):
    """The library called `name`, whatever version its file name has."""
    candidates = sorted(folder().glob(f"{name}.so")) + sorted(folder().glob(f"{name}.v*.so"))
    if not candidates:
        skip(f"no {name}.so in {folder()}; install another version of node-llama-cpp")
    return ctypes.CDLL(str(candidates[0]), mode=ctypes.RTLD_GLOBAL)
