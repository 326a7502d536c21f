"""Runs the program on a damaged model and judges how it refuses."""

import resource
import subprocess
import sys

REFUSED = 3
LARGEST_RSS = 512 * 1024  # in KiB; a damaged file of a megabyte has no business taking more

failures = []


def expect_refusal(program, name, path, words, command=("inspect",), options=()):
    """The command must end with exit code 3 and a message that names the file and holds one of `words`."""
    try:
        done = subprocess.run([program, *command, str(path), *map(str, options)], capture_output=True, text=True,
                              timeout=20, check=False)
    except subprocess.TimeoutExpired:
        report(name, "still running after 20 s")
        return
    message = done.stderr.strip()
    if done.returncode != REFUSED:
        report(name, f"exit code {done.returncode} instead of {REFUSED}; it said: {message}")
    elif path.name not in message:
        report(name, f"the message does not name the file: {message}")
    elif not any(word in message for word in words):
        report(name, f"the message has none of {words}: {message}")
    else:
        print(f"ok    {name}: {message}")


def report(name, reason):
    failures.append(name)
    print(f"WRONG {name}: {reason}")


def finish():
    """Ends the test."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    if peak > LARGEST_RSS:
        report("memory", f"a run took {peak} KiB")
    print(f"{len(failures)} wrong" if failures else f"all refused as they should be, at most {peak} KiB each")
    sys.exit(1 if failures else 0)
