#!/usr/bin/env python3
"""What a lattice is worth, on opal: float, rounded, and trained for 4 bits, the last one converted in two ways.

    lattice_table.py CARAT MODEL --train FILE --test FILE --out FOLDER [--steps N]

No code of Carat takes part in the training. transformers trains MODEL by distillation from itself, with weights on the
lattice that Google's checkpoints are thought to have: scale = bfloat16(largest magnitude / 7.5) for each 32 weights,
codes from -8 to 7, products rounded to bfloat16. It is saved as plain bfloat16. Then

    PTQ       is MODEL rounded by `carat convert --scheme q4_0`,
    naive     is the trained model, rounded again by ggml's rule (scale = extremum / -8), as common converters do,
    exact     is the trained model, converted by `carat convert --scheme q4_0`,

and `carat eval` compares PTQ with MODEL, and the other two, as a judge of conversions must, with the trained model's
own bfloat16 weights. Needs torch, transformers, safetensors and numpy.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys

import numpy
import safetensors.numpy
import torch
import transformers

BLOCK = 32
SEQUENCE = 256
BATCH = 4


def on_lattice(weight):
    """The nearest values of the lattice, by the rule above."""
    blocks = weight.reshape(-1, BLOCK)
    scale = (blocks.abs().amax(1, keepdim=True) / 7.5).bfloat16().float()
    codes = (blocks / torch.where(scale == 0, 1.0, scale)).round().clamp(-8, 7)
    return (codes * scale).bfloat16().float().reshape(weight.shape)


def is_quantized(name, parameter):
    return parameter.dim() == 2 and parameter.shape[-1] % BLOCK == 0 and "per_layer_model_projection" not in name


def read_ids(model_folder, text):
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder)
    return torch.tensor(tokenizer(text.read_text(encoding="utf-8"), add_special_tokens=False)["input_ids"])


def batches(ids, bos, steps):
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        begins = torch.randint(0, len(ids) - SEQUENCE, (BATCH,), generator=generator)
        rows = torch.stack([ids[begin:begin + SEQUENCE - 1] for begin in begins])
        yield torch.cat([torch.full((BATCH, 1), bos), rows], dim=1)


def train(arguments, target):
    """Straight-through: the model computes with lattice values, its gradients move the float weights behind them."""
    torch.manual_seed(1)
    load = transformers.AutoModelForCausalLM.from_pretrained
    student = load(arguments.model, dtype=torch.float32)
    teacher = load(arguments.model, dtype=torch.float32).eval()
    quantized = [p for name, p in student.named_parameters() if is_quantized(name, p)]
    latent = [p.detach().clone().requires_grad_() for p in quantized]
    optimizer = torch.optim.AdamW(latent, lr=arguments.lr, weight_decay=0.0)
    bos = student.config.get_text_config().bos_token_id
    ids = read_ids(arguments.model, arguments.train)
    for step, batch in enumerate(batches(ids, bos, arguments.steps), 1):
        with torch.no_grad():
            expected = teacher(batch).logits.log_softmax(-1)
            for parameter, weight in zip(quantized, latent):
                parameter.copy_(on_lattice(weight))
        found = student(batch).logits.log_softmax(-1)
        loss = (expected.exp() * (expected - found)).sum(-1).mean()
        student.zero_grad()
        loss.backward()
        for parameter, weight in zip(quantized, latent):
            weight.grad = parameter.grad
        optimizer.step()
        if step % 20 == 0:
            print(f"step {step}: loss {loss.item():.4f}", file=sys.stderr)
    with torch.no_grad():
        for parameter, weight in zip(quantized, latent):
            parameter.copy_(on_lattice(weight))
    student.bfloat16().save_pretrained(target)
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"):
        shutil.copy(arguments.model / name, target / name)


def requantized(values):
    """ggml's reference quantizer of Q4_0, and back."""
    blocks = values.astype(numpy.float32).reshape(-1, BLOCK)
    extremum = numpy.take_along_axis(blocks, abs(blocks).argmax(1)[:, None], 1)
    step = extremum / numpy.float32(-8)
    with numpy.errstate(divide="ignore"):
        inverse = numpy.where(step == 0, numpy.float32(0), numpy.float32(1) / step)
    codes = numpy.minimum(15, numpy.trunc(blocks * inverse + numpy.float32(8.5))) - 8
    return (codes * step.astype(numpy.float16).astype(numpy.float32)).reshape(values.shape)


def requantize_naively(source, target):
    shutil.copytree(source, target, dirs_exist_ok=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    exact = blocks = 0
    tensors = {}
    for name, parameter in model.named_parameters():
        values = parameter.detach().numpy()
        tensors[name] = requantized(values) if is_quantized(name, parameter) else values
        if is_quantized(name, parameter):
            as_stored = torch.from_numpy(tensors[name]).bfloat16().float().numpy()
            same = (as_stored == values).reshape(-1, BLOCK).all(1)
            exact, blocks = exact + same.sum(), blocks + same.size
    safetensors.numpy.save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    print(f"naive: {exact} of {blocks} blocks ({exact / blocks:.2%}) keep their values", file=sys.stderr)


def carat_json(carat, *command):
    done = subprocess.run([carat, *map(str, command), "--json"], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def evaluate(arguments, model, reference):
    return carat_json(arguments.carat, "eval", "-m", model, "--text", arguments.test, "--reference", reference)


FIGURES = (("perplexity", "perplexity", 1, "{:.3f}"), ("mean_kld", "mean KLD", 1, "{:.5f}"),
           ("median_kld", "median KLD", 1, "{:.5f}"), ("kld_999", "99.9 % KLD", 1, "{:.4f}"),
           ("top1_agreement", "top-1, %", 100, "{:.2f}"), ("top5_agreement", "top-5, %", 100, "{:.2f}"),
           ("rms_delta_p", "RMS Δp, %", 100, "{:.3f}"))


def print_table(rows):
    print("| model | reference | " + " | ".join(title for _, title, _, _ in FIGURES) + " |")
    print("| --- | --- |" + " ---: |" * len(FIGURES))
    for name, reference, figures in rows:
        cells = [form.format(factor * figures[key]) + " ± " + form.format(factor * figures[key + "_stderr"])
                 for key, _, factor, form in FIGURES]
        print(f"| {name} | {reference} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("carat")
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--train", type=pathlib.Path, required=True)
    parser.add_argument("--test", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--lr", type=float, default=2e-4)
    arguments = parser.parse_args()

    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    trained = out / "qat-bf16"
    if not (trained / "model.safetensors").exists():
        train(arguments, trained)
    requantize_naively(trained, out / "qat-naive")
    carat_json(arguments.carat, "convert", arguments.model, out / "ptq.gguf", "--scheme", "q4_0")
    conversion = carat_json(arguments.carat, "convert", trained, out / "qat-exact.gguf", "--scheme", "q4_0")
    print(f"exact: {conversion['recovered_groups']} blocks recovered, {conversion['moved_weights']} weights moved",
          file=sys.stderr)
    print_table([
        ("float", "itself", evaluate(arguments, arguments.model, arguments.model)),
        ("PTQ Q4_0", "float", evaluate(arguments, out / "ptq.gguf", arguments.model)),
        ("QAT, naive Q4_0", "QAT in bfloat16", evaluate(arguments, out / "qat-naive", trained)),
        ("QAT, exact Q4_0", "QAT in bfloat16", evaluate(arguments, out / "qat-exact.gguf", trained)),
        ("QAT, naive Q4_0", "float", evaluate(arguments, out / "qat-naive", arguments.model)),
        ("QAT, exact Q4_0", "float", evaluate(arguments, out / "qat-exact.gguf", arguments.model)),
    ])


if __name__ == "__main__":
    main()
