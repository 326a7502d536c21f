"""carat eval"""

import hashlib
import json
import shutil
import unittest

import support

FIGURES = ("perplexity", "reference_perplexity", "perplexity_ratio", "mean_kld", "median_kld", "kld_999",
           "top1_agreement", "top5_agreement", "rms_delta_p")


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

    def test_all_figures_come_with_their_errors(self):
        rounded = self.gguf("e2b_bf16", "--scheme", "q4_0")
        found = self.json("eval", "-m", rounded, "--text", self.text, "--reference", support.golden("e2b_bf16"))
        for name in FIGURES:
            self.assertGreater(found[name], 0, name)
            self.assertGreaterEqual(found[name + "_stderr"], 0, name)
        self.assertLess(found["median_kld"], found["kld_999"])
        self.assertAlmostEqual(found["perplexity_ratio"], found["perplexity"] / found["reference_perplexity"], 12)
        self.assertEqual(found["windows"], {"positions": 512, "bos": True, "overlap": 0, "documents": 1})
        self.assertEqual((found["model"], found["scheme"], found["text"]), (str(rounded), "q4_0", str(self.text)))
        self.assertEqual(found["warnings"], [])
        self.assertEqual(found["categories"], [])

    def test_an_overlap_gives_more_to_go_by_and_scores_nothing_twice(self):
        model = support.golden("e2b_bf16")
        apart = self.json("eval", "-m", model, "--text", self.text, "-c", 16)
        lapped = self.json("eval", "-m", model, "--text", self.text, "-c", 16, "--overlap", 8)
        self.assertEqual(apart["tokens"], lapped["tokens"])
        self.assertEqual(lapped["windows"]["overlap"], 8)
        self.assertNotEqual(apart["perplexity"], lapped["perplexity"])
        for overlap in (15, 10 ** 18, -1):
            self.carat("eval", "-m", model, "--text", self.text, "-c", 16, "--overlap", overlap,
                       expect=support.WRONG_USAGE)

    def write_lines(self, *lines):
        path = self.scratch / "text.jsonl"
        path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
        return path

    def test_categories_have_figures_of_their_own(self):
        prose, code = {"text": "the sand in the hand", "category": "prose"}, {"text": "a = b;", "category": "code"}
        model, reference = self.gguf("e2b_bf16", "--scheme", "q4_0"), support.golden("e2b_bf16")
        against = ("eval", "-m", model, "--reference", reference, "--text")
        all_ = self.json(*against, self.write_lines(prose, {"text": "an onion"}, code, prose))
        self.assertEqual([category["category"] for category in all_["categories"]], ["prose", "code"])
        self.assertEqual(all_["windows"]["documents"], 4)
        alone = self.json(*against, self.write_lines(prose, prose))
        for name in ("tokens", *FIGURES):
            self.assertEqual(all_["categories"][0][name], alone[name], name)
        table = self.carat(*against, self.write_lines(prose, code)).stdout
        self.assertIn("\n  code ", table)
        self.assertIn("2 documents", table)

    def test_a_line_of_another_form_is_refused_by_its_number(self):
        for line in ("{\n", "[]\n", "{}\n", '{"text": 1}\n', '{"text": ""}\n', '{"text": "a", "category": "\\n"}\n'):
            path = self.write_lines({"text": "good"}, line)
            done = self.carat("eval", "-m", support.golden("31b_f32"), "--text", path, expect=support.REFUSED)
            self.assertIn("line 2", done.stderr)

    def test_several_models_are_evaluated_as_each_alone(self):
        reference, rounded = support.golden("e2b_bf16"), self.gguf("e2b_bf16", "--scheme", "q8_0")
        common = ("--text", self.text, "--reference", reference)
        both = self.json("eval", "-m", rounded, "-m", reference, *common)
        self.assertEqual([model["model"] for model in both["models"]], [str(rounded), str(reference)])
        for found in both["models"]:
            alone = self.json("eval", "-m", found["model"], *common)
            for name in ("tokens", "model_bytes", "scheme", *FIGURES):
                self.assertEqual(found[name], alone[name], name)
        table = self.carat("eval", "-m", rounded, "-m", reference, *common).stdout
        self.assertEqual(table.count("\n" + str(rounded)), 2)
        self.assertIn("reference  " + str(reference), table)
        self.assertIn("windows of 512 positions, each begins with BOS, 0 overlap", table)

    def test_a_saved_reference_is_as_good_as_the_model(self):
        reference, rounded = support.golden("e2b_bf16"), self.gguf("e2b_bf16", "--scheme", "q4_0")
        logits = self.scratch / "reference.logits"
        saved = self.json("eval", "--reference", reference, "--text", self.text, "--save-reference", logits)
        self.assertEqual(saved["reference_logits"], str(logits))
        live = self.json("eval", "-m", rounded, "--text", self.text, "--reference", reference)
        found = self.json("eval", "-m", rounded, "--text", self.text, "--reference", logits)
        self.assertEqual(found["reference"], str(reference))
        self.assertEqual(found["reference_logits"], str(logits))
        self.assertEqual(found["perplexity"], live["perplexity"])
        digest = hashlib.sha256((reference / "model.safetensors").read_bytes()).hexdigest()
        self.assertEqual(found["reference_weights_sha256"], digest)
        for name in FIGURES:
            self.assertAlmostEqual(found[name] / live[name], 1, 2, name)
        at_once = self.json("eval", "-m", rounded, "--text", self.text, "--reference", reference, "--save-reference",
                            self.scratch / "again.logits")
        for name in FIGURES:
            self.assertEqual(at_once[name], found[name], name)
        self.assertEqual(logits.read_bytes(), (self.scratch / "again.logits").read_bytes())

    def test_logits_of_something_else_are_refused(self):
        reference, logits = support.golden("e2b_bf16"), self.scratch / "reference.logits"
        self.carat("eval", "--reference", reference, "--text", self.text, "--save-reference", logits)
        against = ("eval", "-m", reference, "--reference", logits, "--text")
        self.assertIn("other windows", self.carat(*against, self.text, "-c", 100, expect=support.REFUSED).stderr)
        other = self.scratch / "other.txt"
        other.write_text("another text")
        self.assertIn("another text", self.carat(*against, other, expect=support.REFUSED).stderr)
        logits.write_bytes(logits.read_bytes()[:-1])
        self.assertIn("bytes, expected", self.carat(*against, self.text, expect=support.REFUSED).stderr)

    def test_a_reference_cannot_be_saved_without_a_model(self):
        model = support.golden("e2b_bf16")
        self.carat("eval", "-m", model, "--text", self.text, "--save-reference", self.scratch / "a",
                   expect=support.WRONG_USAGE)
        self.carat("eval", "--text", self.text, expect=support.WRONG_USAGE)
        self.carat("eval", "--reference", model, "--text", self.text, expect=support.WRONG_USAGE)

    def test_outputs_take_no_place_of_inputs(self):
        model, reference = self.gguf("e2b_bf16", "--scheme", "q4_0"), self.gguf("e2b_bf16")
        common = ("eval", "-m", model, "--text", self.text, "--reference", reference)
        kept = {path: path.read_bytes() for path in (model, reference, self.text)}
        for path in kept:
            for option in ("--save-reference", "--html"):
                done = self.carat(*common, option, path, expect=support.WRONG_USAGE)
                self.assertIn("would take the place of", done.stderr)
        both = self.scratch / "both"
        self.carat(*common, "--save-reference", both, "--html", both, expect=support.WRONG_USAGE)
        self.assertFalse(both.exists())
        self.assertEqual(kept, {path: path.read_bytes() for path in kept})

    def test_what_cannot_be_written_is_known_before_the_work(self):
        done = self.carat("eval", "-m", self.scratch / "missing.gguf", "--text", self.text, "--html",
                          self.scratch / "nowhere" / "a.html", expect=support.FAILED)
        self.assertIn("nowhere", done.stderr)

    def test_the_report_names_what_was_compared(self):
        report, rounded = self.scratch / "report.html", self.gguf("e2b_bf16", "--scheme", "q4_0")
        self.carat("eval", "-m", rounded, "--text", self.text, "--reference", support.golden("e2b_bf16"), "--html", report)
        page = report.read_text(encoding="utf-8")
        for text in (str(rounded), str(support.golden("e2b_bf16")), "windows of 512 positions", "<svg"):
            self.assertIn(text, page)

    def test_another_training_run_draws_a_warning(self):
        done = self.carat("eval", "-m", support.golden("e2b_bf16"), "--text", self.text, "--reference",
                          support.golden("e4b_bf16"), "--json")
        warnings = json.loads(done.stdout)["warnings"]
        self.assertEqual(len(warnings), 1)
        self.assertIn(warnings[0], done.stderr)
        table = self.carat("eval", "-m", support.golden("e2b_bf16"), "--text", self.text, "--reference",
                           support.golden("e4b_bf16"))
        self.assertIn(warnings[0], table.stdout)

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
