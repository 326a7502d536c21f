"""Runs a program and watches what the system counts as its memory."""

import json
import subprocess
import time

FIELDS = ("VmHWM", "RssAnon", "RssFile")


def read_status(pid):
    """The fields of /proc/PID/status in bytes; None when the process is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            lines = dict(line.split(":", 1) for line in status)
        return {field: int(lines[field].split()[0]) * 1024 for field in FIELDS}
    except (OSError, KeyError, ValueError):
        return None


def run(command, before=None):
    """Runs `command`, which writes JSON, and `before` in its process before it begins. Returns (exit status, its answer
    or its messages, the fields at the last time that it held the most)."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          preexec_fn=before) as process:
        largest = dict.fromkeys(FIELDS, 0)
        while process.poll() is None:
            now = read_status(process.pid)
            if now and now["RssAnon"] + now["RssFile"] >= largest["RssAnon"] + largest["RssFile"]:
                largest = now
            time.sleep(0.05)
        output, messages = process.communicate()
    if process.returncode != 0:
        return process.returncode, messages, largest
    answer = json.loads(output)
    largest["VmHWM"] = max(largest["VmHWM"], answer["peak_rss_bytes"])
    return 0, answer, largest
