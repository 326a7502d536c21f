"""How an oracle says that it could not be asked: exit code 77, which ctest reports as "Skipped"."""

import importlib
import sys

SKIPPED = 77


def require(*packages):
    """The modules of that name, or the end of this process with a message."""
    try:
        return [importlib.import_module(package) for package in packages]
    except ImportError as error:
        skip(f"needs the Python packages {', '.join(packages)} ({error}); pip install them to run this oracle")


def skip(reason):
    print(f"SKIPPED: {reason}")
    sys.exit(SKIPPED)
