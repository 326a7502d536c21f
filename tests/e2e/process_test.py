"""What the program does as a process: signals, pipes, help."""

import signal
import subprocess
import time
import unittest

import support

MODEL = support.golden("e2b_bf16")
# Hot enough that a stop id is unlikely for a while.
LONG = ["run", "-m", MODEL, "--token-ids", "2,10,11", "-n", "500", "--temp", "5", "--top-k", "0", "--top-p", "1"]


class Process(support.ProgramTest):
    def test_help_and_version(self):
        self.assertRegex(self.carat("--version").stdout, r"^carat \d+\.\d+\.\d+\n$")
        commands = self.carat("--help").stdout
        self.assertIn("train", commands)  # train_test.py asks for its help, where there is a trainer
        for command in ("new", "convert", "run", "eval", "inspect", "demo"):
            self.assertIn(command, commands)
            self.assertIn("--help", self.carat(command, "--help").stdout)

    def test_ctrl_c_ends_the_work(self):
        new = [support.CARAT, "new", "--preset", "e2b", "--scheme", "q4_0", "-o", str(self.scratch / "e2b.gguf")]
        with subprocess.Popen(new, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            deadline = time.monotonic() + 60
            while not any(self.scratch.iterdir()) and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, message = process.communicate(timeout=60)
        self.assertEqual(process.returncode, support.INTERRUPTED, message)
        self.assertIn("interrupted", message)
        self.assertEqual(list(self.scratch.iterdir()), [])

    def test_a_reader_that_goes_away_is_no_error_to_print(self):
        with subprocess.Popen([support.CARAT, *map(str, LONG)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as process:
            process.stdout.close()
            message = process.stderr.read()
            process.wait(timeout=60)
        self.assertNotIn("carat:", message)

    def test_output_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([support.CARAT, *map(str, LONG)], stdout=full, stderr=subprocess.PIPE, text=True,
                                  check=False, timeout=60)
        self.assertEqual(done.returncode, support.FAILED)
        self.assertIn("standard output", done.stderr)

    def test_logits_that_cannot_be_written_are_an_error_at_once(self):
        done = self.carat(*LONG, "--logits", self.scratch / "absent" / "x.npy", expect=support.FAILED)
        self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main()
