"""carat train: what Ctrl-C leaves resumes to the same losses."""

import json
import signal
import subprocess
import time
import unittest

import support


class Train(support.ProgramTest):
    def options(self, out, log, steps):
        text = self.scratch / "text.txt"
        text.write_text("the other hand and the sand in the stone\n" * 400)
        return ["train", "-m", support.golden("e2b_bf16"), "--text", text, "-o", out, "--log", log, "--steps", steps,
                "--batch", 1, "--accumulate", 1, "--sequence", 32, "--seed", 3, "-t", 1]

    def losses(self, log):
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        for line in lines:
            for key in ("step", "loss", "kl", "lr", "tokens_per_s", "peak_rss_bytes"):
                self.assertIn(key, line)
        return [(line["step"], line["loss"]) for line in lines]

    def test_interrupted_training_resumes_to_the_same_losses(self):
        whole_log, log = self.scratch / "whole.jsonl", self.scratch / "log.jsonl"
        self.carat(*self.options(self.scratch / "whole", whole_log, 200), timeout=300)
        out = self.scratch / "out"
        command = [support.CARAT, *map(str, self.options(out, log, 200))]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as training:
            deadline = time.monotonic() + 120
            while not (log.exists() and log.read_text(encoding="utf-8").count("\n") >= 5):
                self.assertIsNone(training.poll(), "it ended before it was interrupted")
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            training.send_signal(signal.SIGINT)
            message = training.communicate(timeout=120)[1]
        self.assertEqual(training.returncode, support.INTERRUPTED, message)
        done = len(self.losses(log))
        self.assertLess(done, 200, "it was not interrupted")
        self.carat(*self.options(out, log, 200), "--resume", timeout=300)
        self.assertEqual(self.losses(log), self.losses(whole_log))

    def test_help(self):
        self.assertIn("--resume", self.carat("train", "--help").stdout)

    def test_what_it_writes_lies_on_the_lattice(self):
        out, gguf = self.scratch / "out", self.scratch / "out.gguf"
        self.carat(*self.options(out, self.scratch / "log.jsonl", 3), timeout=300)
        self.assertEqual(self.json("inspect", out)["scheme"], "q4_0")
        self.assertEqual(self.json("convert", out, gguf)["moved_weights"], 0)
        self.assertEqual(self.json("inspect", gguf)["scheme"], "q4_0")
        training, conversion = self.json("inspect", gguf)["provenance"]
        self.assertEqual((training["command"], conversion["command"]), ("train", "convert"))
        self.assertEqual([file["name"] for file in training["sources"]], ["model.safetensors", "text.txt"])
        for name, value in {"steps": 3, "steps_done": 3, "seed": 3, "batch": 1, "sequence": 32, "distillation": True,
                            "learning_rate": 0.001, "device": "cpu"}.items():
            self.assertEqual(training["recipe"][name], value, name)


if __name__ == "__main__":
    unittest.main()
