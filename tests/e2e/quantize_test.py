"""Quantizing to the mobile scheme: carat new, convert --calibration, eval --cache-statistics"""

import json
import unittest

import support

OPAL = support.SOURCE / "models" / "opal"
TEXT = OPAL / "held_out.txt"


class Quantize(support.ProgramTest):
    def short_text(self):
        text = self.scratch / "text.txt"
        text.write_text(TEXT.read_text(encoding="utf-8")[:2000], encoding="utf-8")
        return text

    def opal_mobile(self):
        """opal in the mobile scheme, calibrated on a few hundred tokens, and what convert said."""
        folder = self.scratch / "opal-mobile"
        report = self.json("convert", OPAL, folder, "--scheme", "mobile", "--calibration", TEXT,
                           "--calibration-tokens", 400)
        return folder, report

    def test_opal_goes_all_the_way(self):
        folder, report = self.opal_mobile()
        self.assertEqual(report["scheme"], "mobile")
        self.assertEqual(report["static_scales"], 2 * (12 * 7 + 6 * 2) + 6 * 2)
        self.assertEqual(report["left_out_scales"], 0)
        self.assertEqual(self.json("inspect", folder)["scheme"], "mobile")

        text = self.short_text()
        figures = self.json("eval", "-m", folder, "--text", text, "--reference", OPAL, "--cache-statistics")
        self.assertLess(figures["mean_kld"], 1.0)
        self.assertGreater(figures["top1_agreement"], 0.35)
        cache = figures["cache_statistics"]["cache"]
        self.assertEqual([(site["layer"], site["part"]) for site in cache],
                         [(layer, part) for layer in range(6) for part in ("keys", "values")])
        for site in cache:
            self.assertTrue(site["fits"], site)
        for site in figures["cache_statistics"]["inputs"]:
            self.assertLess(site["clipped"], 0.01, site)

        done = self.carat("run", "-m", folder, "-p", "The lamplighter", "-n", "8", "--temp", "0")
        self.assertNotEqual(done.stdout.strip(), "")
        same = self.carat("run", "-m", folder, "-p", "The lamplighter", "-n", "8", "--temp", "0", "-t", "1")
        self.assertEqual(done.stdout, same.stdout)

    def test_quantizing_once_more_moves_nothing(self):
        folder, report = self.opal_mobile()
        self.assertGreater(report["moved_weights"], 10**7)
        again = self.json("convert", folder, self.scratch / "again", "--scheme", "mobile")
        self.assertEqual(again["moved_weights"], 0)
        self.assertEqual((folder / "model.safetensors").read_bytes(),
                         (self.scratch / "again" / "model.safetensors").read_bytes())

    def test_static_quantizers_need_a_text(self):
        done = self.carat("convert", OPAL, self.scratch / "m", "--scheme", "mobile", expect=support.REFUSED)
        self.assertIn("--calibration", done.stderr)
        self.assertFalse((self.scratch / "m").exists())

    def test_an_empty_text_is_refused(self):
        empty = self.scratch / "empty.txt"
        empty.write_text("")
        done = self.carat("convert", OPAL, self.scratch / "m", "--scheme", "mobile", "--calibration", empty,
                          expect=support.WRONG_USAGE)
        self.assertIn("empty.txt: the text is empty", done.stderr)

    def test_a_text_without_static_quantizers_is_refused(self):
        for scheme in ((), ("--scheme", "q4_0")):
            done = self.carat("convert", OPAL, self.scratch / "m", *scheme, "--calibration", TEXT,
                              expect=support.WRONG_USAGE)
            self.assertIn("--calibration: expected a --scheme with static quantizers", done.stderr)

    def test_calibrating_the_quantized_model_finds_scales_of_the_same_size(self):
        folder, _ = self.opal_mobile()
        once_more = self.scratch / "once-more"
        self.carat("convert", folder, once_more, "--scheme", "mobile", "--calibration", TEXT,
                   "--calibration-tokens", 400)
        scales = [{site["module"]: site["scale"] for site in self.json(
            "eval", "-m", model, "--text", self.short_text(), "--cache-statistics")["cache_statistics"]["inputs"]}
            for model in (folder, once_more)]
        self.assertEqual(scales[0].keys(), scales[1].keys())
        for module, scale in scales[0].items():
            self.assertLess(abs(scales[1][module] / scale - 1), 0.5, module)

    def test_a_scheme_of_ones_own_may_have_codes(self):
        scheme = self.scratch / "mine.json"
        scheme.write_text(json.dumps({"name": "mine", "static_cache": True, "rules": [
            {"match": "*embed_tokens.weight", "lattice": "I4"},
            {"match": "*.mlp.*_proj.weight", "lattice": "I8", "static_range": True},
            {"match": "*", "lattice": "BF16"}]}))
        folder = self.scratch / "mine"
        report = self.json("convert", OPAL, folder, "--scheme", scheme, "--calibration", TEXT,
                           "--calibration-tokens", 200)
        self.assertEqual(report["scheme"], "mine")
        self.assertEqual(report["static_scales"], 2 * 12 * 3 + 2 * 6)
        figures = self.json("eval", "-m", folder, "--text", self.short_text(), "--reference", OPAL)
        self.assertLess(figures["mean_kld"], 0.1)

    def test_cache_statistics_need_static_scales(self):
        done = self.carat("eval", "-m", OPAL, "--text", self.short_text(), "--cache-statistics",
                          expect=support.REFUSED)
        self.assertIn("no static scales for keys and values", done.stderr)

    def test_new_makes_a_mobile_model_that_runs(self):
        folder = self.scratch / "random"
        report = self.json("new", "--preset", "opal", "--scheme", "mobile", "-o", folder)
        self.assertEqual(report["scheme"], "mobile")
        self.carat("run", "-m", folder, "--token-ids", "2,300,301", "-n", "4")

    def test_experts_have_no_mobile_scheme(self):
        done = self.carat("new", "--preset", "26b-a4b", "--scheme", "mobile", "-o", self.scratch / "m",
                          expect=support.REFUSED)
        self.assertIn('"mobile" has no experts', done.stderr)


if __name__ == "__main__":
    support.main()
