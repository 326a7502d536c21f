"""A model file that becomes shorter while the program uses it."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

CARAT = os.environ["CARAT"]
OPAL = pathlib.Path(__file__).resolve().parents[2] / "models" / "opal" / "opal-qat-q4_0.gguf"
FAILED = 1

# Of the tensors of this file the embedding comes first, then the per-layer table, then the layers. A file of this size
# ends in the first rows of the table.
ENDS_IN_THE_TABLE = 1_000_000


class ShortenedFile(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.model = pathlib.Path(self.folder.name) / "model.gguf"
        shutil.copy(OPAL, self.model)

    def chat_with_shortened_file(self, second_line):
        """Shortens the file between two lines of a chat. Returns the exit status and the messages."""
        command = [CARAT, "run", "-m", str(self.model), "--chat", "-n", "1", "--temp", "0"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as process:
            process.stdin.write("the cat\n")
            process.stdin.flush()
            self.assertNotEqual(process.stdout.readline(), "")
            os.truncate(self.model, ENDS_IN_THE_TABLE)
            _, messages = process.communicate(second_line + "\n", timeout=60)
        return process.returncode, messages

    def test_a_row_that_is_gone_is_named(self):
        status, messages = self.chat_with_shortened_file("unexpected elephants wander beyond mountains")
        self.assertEqual(status, FAILED, messages)
        self.assertRegex(messages, r"the row of token \d+ in the per-layer table: .*model\.gguf: \d+ bytes at offset "
                                   r"\d+ could not be read: the file ends after \d+ of them")

    def test_weights_that_are_gone_end_the_program_with_a_message(self):
        status, messages = self.chat_with_shortened_file("the cat")  # all rows are kept from the first line
        self.assertEqual(status, FAILED, messages)
        self.assertIn("the model file became shorter while it was in use", messages)


if __name__ == "__main__":
    unittest.main()
