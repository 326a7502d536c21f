#!/usr/bin/env python3
"""The figures of `carat eval`, computed with numpy from logits.

    eval_figures.py --write FOLDER               makes the goldens: logits, right ids, figures
    eval_figures.py --golden FOLDER              computes the figures of the goldens again
    eval_figures.py --carat PROG FOLDER TEXT     rounds the model in a folder to Q4_0, asks `carat run --logits` for the
                                                 logits of every window of a text from both, and compares the figures
                                                 with those of `carat eval`
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import skip

np, = skip.require("numpy")

POSITIONS, OVERLAP = 128, 16
BOS = 2
LARGEST_RELATIVE_DIFFERENCE = 1e-6


def log_softmax(logits):
    logits = logits.astype(np.longdouble)
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def mean(values):
    return values.mean(), values.std(ddof=1) / np.sqrt(len(values))


def exponent_of_mean(values):
    value, error = mean(values)
    return np.exp(value), np.exp(value) * error


def quantile(values, q):
    ordered = np.sort(values)
    n = len(values)
    rank, ranks = np.ceil(q * n), np.sqrt(n * q * (1 - q))
    low, high = (int(np.clip(r, 1, n)) - 1 for r in (np.floor(rank - ranks), np.ceil(rank + ranks)))
    return np.quantile(ordered, q, method="inverted_cdf"), (ordered[high] - ordered[low]) / 2


def most_likely(logits, count):
    return np.argsort(-logits, axis=1, kind="stable")[:, :count]


def figures(logits, reference, targets):
    """All figures of predictions: logits [N, V] of model and reference, right ids [N]."""
    rows = np.arange(len(targets))
    log_p, log_q = log_softmax(reference), log_softmax(logits)
    kld = (np.exp(log_p) * (log_p - log_q)).sum(axis=1)
    p, q = log_p[rows, targets], log_q[rows, targets]
    five_p, five_q = most_likely(reference, 5), most_likely(logits, 5)
    shared = np.array([len(set(a) & set(b)) / 5 for a, b in zip(five_p, five_q)])
    squared, error = mean((np.exp(q) - np.exp(p)) ** 2)
    found = {
        "perplexity": exponent_of_mean(-q),
        "reference_perplexity": exponent_of_mean(-p),
        "perplexity_ratio": exponent_of_mean(p - q),
        "mean_kld": mean(kld),
        "median_kld": quantile(kld, 0.5),
        "kld_999": quantile(kld, 0.999),
        "top1_agreement": mean((five_p[:, 0] == five_q[:, 0]).astype(np.float64)),
        "top5_agreement": mean(shared),
        "rms_delta_p": (np.sqrt(squared), error / (2 * np.sqrt(squared))),
    }
    flat = {"tokens": len(targets)}
    for name, (value, deviation) in found.items():
        flat[name], flat[name + "_stderr"] = float(value), float(deviation)
    return flat


def compare(found, expected):
    for name, value in expected.items():
        difference = abs(found[name] - value) / max(abs(value), 1e-9)
        print(f"{name:28} {value:.9g} {found[name]:.9g} {difference:.1e}")
        if not difference <= LARGEST_RELATIVE_DIFFERENCE:
            sys.exit(f"{name} differs")


def write(folder):
    random = np.random.default_rng(1)
    logits = (4 * random.standard_normal((240, 40))).astype(np.float32)
    noise = 10 ** random.uniform(-4, 0, (240, 1))
    reference = (logits + noise * random.standard_normal((240, 40))).astype(np.float32)
    # Rows with equal logits, where the lower id is the more likely one.
    logits[:20] = np.round(logits[:20])
    reference[:10] = logits[:10]
    targets = random.integers(0, 40, 240)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "logits.npy", logits)
    np.save(folder / "reference.npy", reference)
    content = {"targets": targets.tolist(), "figures": figures(logits, reference, targets)}
    (folder / "figures.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def golden(folder):
    content = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    found = figures(np.load(folder / "logits.npy"), np.load(folder / "reference.npy"), np.array(content["targets"]))
    compare(found, content["figures"])


def window_logits(carat, model, seen, folder):
    path = pathlib.Path(folder) / "logits.npy"
    subprocess.run([carat, "run", "-m", model, "--token-ids", ",".join(map(str, seen)), "-n", "1", "--temp", "0",
                    "--json", "--logits", path], check=True, stdout=subprocess.DEVNULL)
    return np.load(path)[:len(seen)]


def text_logits(carat, model, ids):
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        while len(rows) < len(ids):
            seen = min(OVERLAP, len(rows))
            count = min(POSITIONS - 1 - seen, len(ids) - len(rows))
            window = [BOS] + ids[len(rows) - seen:len(rows) + count - 1]
            rows.extend(window_logits(carat, model, window, folder)[seen:])
        return np.array(rows)


def ask_carat(carat, reference, text):
    tokenizers, = skip.require("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(pathlib.Path(reference) / "tokenizer.json"))
    content = pathlib.Path(text).read_text(encoding="utf-8")[:2000]
    with tempfile.TemporaryDirectory() as folder:
        rounded, short = pathlib.Path(folder) / "rounded.gguf", pathlib.Path(folder) / "text.txt"
        short.write_text(content, encoding="utf-8")
        subprocess.run([carat, "convert", reference, rounded, "--scheme", "q4_0", "--json"], check=True,
                       stdout=subprocess.DEVNULL)
        done = subprocess.run([carat, "eval", "-m", rounded, "--reference", reference, "--text", short, "-c",
                               str(POSITIONS), "--overlap", str(OVERLAP), "--json"], check=True, capture_output=True)
        ids = tokenizer.encode(content, add_special_tokens=False).ids
        found = json.loads(done.stdout)
        compare(found, figures(text_logits(carat, rounded, ids), text_logits(carat, reference, ids), np.array(ids)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("--golden", type=pathlib.Path)
    parser.add_argument("--carat", nargs=3, metavar=("PROG", "FOLDER", "TEXT"))
    arguments = parser.parse_args()
    if arguments.write:
        write(arguments.write)
    if arguments.golden:
        golden(arguments.golden)
    if arguments.carat:
        ask_carat(*arguments.carat)


if __name__ == "__main__":
    main()
