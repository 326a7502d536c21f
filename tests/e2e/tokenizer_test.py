"""Where a folder's tokenizer comes from."""

import pathlib
import unittest

import support

OPAL = support.SOURCE / "models" / "opal"
SENTENCEPIECE = support.SOURCE / "tests" / "golden" / "tokenizer" / "opal.model"
PROMPT = ["-p", "Once upon a time\n\nthere was a fox 🦊", "-n", 12, "--temp", 0]


class TokenizerFiles(support.ProgramTest):
    def copy(self, source, *without):
        folder = self.scratch / "model"
        folder.mkdir()
        for file in pathlib.Path(source).iterdir():
            if file.name not in without:
                (folder / file.name).symlink_to(file)
        return folder

    def test_a_sentencepiece_model_does_as_well(self):
        folder = self.copy(OPAL, "tokenizer.json")
        (folder / "tokenizer.model").write_bytes(SENTENCEPIECE.read_bytes())
        expected = self.json("run", "-m", OPAL, *PROMPT)
        found = self.json("run", "-m", folder, *PROMPT)
        self.assertEqual((found["tokens"], found["text"]), (expected["tokens"], expected["text"]))

    def test_no_tokenizer_is_named(self):
        folder = self.copy(OPAL, "tokenizer.json")
        self.assertIn("tokenizer.json", self.carat("run", "-m", folder, *PROMPT, expect=support.REFUSED).stderr)

    def test_a_damaged_sentencepiece_model_is_named(self):
        folder = self.copy(OPAL, "tokenizer.json")
        (folder / "tokenizer.model").write_bytes(SENTENCEPIECE.read_bytes()[:5000])
        self.assertIn("tokenizer.model: ", self.carat("run", "-m", folder, *PROMPT, expect=support.REFUSED).stderr)

    def test_a_tokenizer_of_another_model_is_refused(self):
        folder = self.copy(support.golden("e2b_bf16"), "tokenizer.json")
        (folder / "tokenizer.json").write_bytes((OPAL / "tokenizer.json").read_bytes())
        done = self.carat("run", "-m", folder, *PROMPT, expect=support.REFUSED)
        self.assertIn("320 vocabulary entries, its tokenizer 4096 pieces", done.stderr)


if __name__ == "__main__":
    unittest.main()
