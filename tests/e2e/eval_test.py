"""carat eval"""

import json
import shutil
import unittest

import support


class Eval(support.ProgramTest):
    def setUp(self):
        super().setUp()
        self.text = self.scratch / "text.txt"
        self.text.write_text("the other and the sand in the hand\n\nan onion, a stone: it is there.\n" * 6)

    def test_a_model_agrees_with_itself(self):
        model = support.golden("e2b_bf16")
        figures = self.json("eval", "-m", model, "--text", self.text, "--reference", model)
        self.assertGreater(figures["tokens"], 100)
        self.assertGreater(figures["perplexity"], 1)
        self.assertGreater(figures["perplexity_stderr"], 0)
        self.assertLess(abs(figures["mean_kld"]), 1e-12)
        self.assertEqual(figures["top1_agreement"], 1)
        self.assertEqual(figures["reference"], str(model))

    def test_rounded_weights_diverge(self):
        rounded = self.gguf("e2b_bf16", "--scheme", "q4_0")
        figures = self.json("eval", "-m", rounded, "--text", self.text, "--reference", support.golden("e2b_bf16"))
        self.assertGreater(figures["mean_kld"], 1e-4)
        self.assertLess(figures["top1_agreement"], 1)

    def test_without_a_reference(self):
        figures = self.json("eval", "-m", support.golden("31b_f32"), "--text", self.text)
        self.assertIsNone(figures["mean_kld"])
        self.assertIsNone(figures["reference"])

    def test_it_prints_a_table(self):
        done = self.carat("eval", "-m", support.golden("31b_f32"), "--text", self.text)
        self.assertIn("perplexity", done.stdout)

    def test_models_of_different_vocabularies_are_refused(self):
        other = self.scratch / "other"
        shutil.copytree(support.golden("31b_f32"), other)
        tokenizer = json.loads((other / "tokenizer.json").read_text(encoding="utf-8"))
        vocabulary = tokenizer["model"]["vocab"]
        vocabulary["other"] = vocabulary.pop("<unused0>")
        (other / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
        done = self.carat("eval", "-m", support.golden("31b_f32"), "--text", self.text, "--reference", other,
                          expect=support.REFUSED)
        self.assertIn("vocabular", done.stderr)
        self.assertIn("other", done.stderr)

    def test_an_empty_text_is_an_error(self):
        self.text.write_text("")
        done = self.carat("eval", "-m", support.golden("31b_f32"), "--text", self.text, expect=support.WRONG_USAGE)
        self.assertIn("empty", done.stderr)


if __name__ == "__main__":
    unittest.main()
