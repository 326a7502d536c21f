"""A model in several GGUF files."""

import unittest

import gguf_pieces
import support


class Split(support.ProgramTest):
    PROMPT = ["--token-ids", "2,10,11,40,200", "-n", "12", "--temp", "0"]

    def setUp(self):
        super().setUp()
        self.whole = self.gguf("e2b_bf16")
        self.parts = [self.scratch / f"part-{part + 1:05}-of-00003.gguf" for part in range(3)]
        for path, content in zip(self.parts, gguf_pieces.split(gguf_pieces.read(self.whole), 3)):
            path.write_bytes(content)

    def refusal(self, model):
        return self.carat("run", "-m", model, *self.PROMPT, expect=support.REFUSED).stderr

    def test_any_part_opens_the_model(self):
        expected = self.json("run", "-m", self.whole, *self.PROMPT)["tokens"]
        for part in self.parts:
            self.assertEqual(self.json("run", "-m", part, *self.PROMPT)["tokens"], expected)

    def test_inspect_shows_the_tensors_of_all_parts(self):
        def tensors(model):
            return sorted(tensor["name"] for tensor in self.json("inspect", model)["tensors"])
        self.assertEqual(tensors(self.parts[1]), tensors(self.whole))

    def test_the_missing_part_is_named(self):
        self.parts[2].unlink()
        for part in self.parts[:2]:
            message = self.refusal(part)
            self.assertIn("part-00003-of-00003.gguf", message)
            self.assertIn("missing", message)

    def test_a_part_of_another_model_is_named(self):
        other = gguf_pieces.split(gguf_pieces.read(self.gguf("31b_f32")), 3)
        self.parts[1].write_bytes(other[1])
        self.assertIn("part-00002-of-00003.gguf", self.refusal(self.parts[0]))

    def test_a_part_twice_is_named(self):
        self.parts[2].write_bytes(self.parts[1].read_bytes())
        self.assertIn("part-00003-of-00003.gguf: holds part 2 of 3, expected part 3", self.refusal(self.parts[0]))

    def test_a_damaged_part_is_named(self):
        self.parts[1].write_bytes(self.parts[1].read_bytes()[:-100])
        self.assertIn("part-00002-of-00003.gguf", self.refusal(self.parts[0]))

    def test_a_part_needs_its_name(self):
        renamed = self.scratch / "renamed.gguf"
        self.parts[1].rename(renamed)
        self.assertIn("-00002-of-00003.gguf", self.refusal(renamed))


if __name__ == "__main__":
    unittest.main()
