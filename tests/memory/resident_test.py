"""What E2B in the mobile format holds in memory at full size, by the system's own count.

CARAT names the program, MODELS a folder for the model, which has random weights and a tokenizer of full size. It is made
once and takes 2.2 GB.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import unittest

import cgroup
import process_memory

CARAT = os.environ["CARAT"]
MODELS = pathlib.Path(os.environ["MODELS"])
HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77

DISK_NEEDED = 3_000_000_000
MEMORY_NEEDED = 2_000_000_000
VOCABULARY = 262144
PROMPT_TOKENS = 2048
ANSWER_TOKENS = 256
STOP_IDS = (1, 9, 16)


def free_memory():
    """Bytes that programs can still have."""
    for line in pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def call(*command):
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)


def made_model():
    """The model's folder."""
    model = MODELS / "e2b-mobile"
    if not (model / "config.json").exists():
        tokenizer = MODELS / "tokenizer"
        call(sys.executable, HERE / "full_size_tokenizer.py", tokenizer)
        call(CARAT, "new", "--preset", "e2b", "--scheme", "mobile", "--tokenizer", tokenizer, "-o", model)
    return model


def prompt():
    """Ids from all over the vocabulary, with the repeats that a text has."""
    ids = [2] + [1000 + (i * i * 40503 + i * 977) % (VOCABULARY - 1000) for i in range(PROMPT_TOKENS - 1)]
    ids[1::3] = [300 + i % 40 for i in range(len(ids[1::3]))]
    return ",".join(map(str, ids))


class FullSize(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        MODELS.mkdir(parents=True, exist_ok=True)
        made = (MODELS / "e2b-mobile").exists()
        if not made and shutil.disk_usage(MODELS).free < DISK_NEEDED:
            raise unittest.SkipTest(f"needs {DISK_NEEDED} free bytes in {MODELS}")
        if free_memory() < MEMORY_NEEDED:
            raise unittest.SkipTest(f"needs {MEMORY_NEEDED} bytes of memory")
        cls.model = made_model()

    def generate(self, context, before=None):
        command = [CARAT, "run", "-m", str(self.model), "--token-ids", prompt(), "-n", str(ANSWER_TOKENS),
                   "-c", str(context), "--temp", "0", "--json"]
        for stop in STOP_IDS:
            command += ["--logit-bias", f"{stop}=-inf"]
        status, answer, memory = process_memory.run(command, before)
        self.assertEqual(status, 0, answer)
        self.assertEqual(len(answer["tokens"]), ANSWER_TOKENS)
        print(f"context {context}:", ", ".join(f"{field} {value / 1e6:.1f} MB" for field, value in memory.items()),
              f"; planned {answer['planned_bytes']}; prompt {answer['prefill_tokens_per_s']:.1f} tokens/s,",
              f"answer {answer['decode_tokens_per_s']:.1f} tokens/s", file=sys.stderr)
        return answer["tokens"], memory["VmHWM"]


class Resident(FullSize):
    def test_a_context_of_4096_takes_at_most_930_mb(self):
        self.assertLessEqual(self.generate(4096)[1], 0.93e9)

    def test_a_context_of_32768_takes_at_most_1000_mb(self):
        self.assertLessEqual(self.generate(32768)[1], 1.00e9)


class Confined(FullSize):
    def test_it_runs_in_a_cgroup_of_1_gb_without_swap(self):
        try:
            group = cgroup.MemoryCgroup(1_000_000_000)
        except OSError as error:
            raise unittest.SkipTest(f"this machine gives no memory cgroup: {error}") from error
        try:
            if not self.is_enforced(group):
                raise unittest.SkipTest("the memory cgroup of this machine limits nothing")
            # Pages that others have read are not charged to the cgroup.
            self.forget_cached_pages()
            self.generate(4096, group.enter)
        finally:
            group.remove()

    def is_enforced(self, group):
        """Whether a process that takes more than the cgroup has is ended."""
        take = [sys.executable, "-c", "bytearray(b'1') * 1_200_000_000"]
        return subprocess.run(take, preexec_fn=group.enter, check=False).returncode != 0

    def forget_cached_pages(self):
        for path in self.model.iterdir():
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=2).result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(SKIPPED if result.skipped else 0)
