"""Planned and measured peak of a full-size model agree.

    plan_test.py CARAT PRESET SCHEME

makes the model with random weights and a tokenizer of the real size, lets it read a prompt and answer until the context is full, and compares what was
planned with the most that the system counted. Skipped where disk or memory are short. The file goes to TMPDIR and is
deleted.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

TOKENIZER = pathlib.Path(__file__).resolve().parent / "full_size_tokenizer.py"
SKIPPED = 77
POSITIONS = 128
ANSWER = 8
TOLERANCE = 0.03


def carat(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"{arguments}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def check_room(plan, folder):
    row = plan["rows"][0]["planned_bytes"]
    disk = shutil.disk_usage(folder).free
    if disk < 1.1 * row["weights"]:
        skip(f"{folder} has {disk / 1e9:.1f} GB free, the model takes {row['weights'] / 1e9:.1f} GB")
    memory = plan["available_bytes"]
    if memory < 1.1 * row["resident"]:
        skip(f"{memory / 1e9:.1f} GB of memory are free, the model takes {row['resident'] / 1e9:.1f} GB")


def main():
    program, preset, scheme = sys.argv[1:]
    plan = json.loads(carat(program, "plan", preset, "--scheme", scheme, "-c", POSITIONS, "--json"))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="carat-plan-", dir=os.environ.get("TMPDIR")))
    try:
        check_room(plan, folder)
        subprocess.run([sys.executable, TOKENIZER, folder / "tokenizer"], check=True, stdout=subprocess.DEVNULL)
        model = folder / ("model" if scheme == "mobile" else "model.gguf")
        carat(program, "new", "--preset", preset, "--scheme", scheme, "--tokenizer", folder / "tokenizer", "-o", model)
        ids = ",".join(str(2 + i % 250) for i in range(POSITIONS - ANSWER + 1))
        run = json.loads(carat(program, "run", "-m", model, "--token-ids", ids, "-n", ANSWER, "-c", POSITIONS,
                               "--temp", 1, "--logit-bias", "1=-inf", "--logit-bias", "106=-inf", "--json"))
    finally:
        shutil.rmtree(folder)
    peak = run["peak_rss_bytes"]
    for name, planned in (("planned for the file", run["planned_bytes"]["resident"]),
                          ("planned for the shape", plan["rows"][0]["planned_bytes"]["resident"])):
        difference = planned / peak - 1
        print(f"{preset} {scheme}: {name} {planned / 1e6:.1f} MB, peak {peak / 1e6:.1f} MB, {100 * difference:+.2f} %")
        if abs(difference) > TOLERANCE:
            sys.exit(f"more than {100 * TOLERANCE:.0f} % apart; planned: {run['planned_bytes']}")


if __name__ == "__main__":
    main()
