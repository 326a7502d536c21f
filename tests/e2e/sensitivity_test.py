"""carat eval --sensitivity"""

import json
import signal
import subprocess
import time
import unittest

import support

OPAL = support.SOURCE / "models" / "opal"
TEXT = OPAL / "held_out.txt"


class Sensitivity(support.ProgramTest):
    def setUp(self):
        super().setUp()
        self.text = self.scratch / "text.txt"
        self.text.write_text(TEXT.read_text(encoding="utf-8")[:300], encoding="utf-8")
        self.base = ["eval", "-m", OPAL, "--text", self.text, "--sensitivity", "--tokens", "16"]

    def test_ctrl_c_leaves_a_ranking_no_scheme_and_a_code_of_its_own(self):
        scheme = self.scratch / "mix.json"
        command = [support.CARAT, *map(str, self.base[:-1]), "300", "--budget", "1G", "--scheme-out", str(scheme), "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            self.assertIn(" runs of ", process.stderr.readline())
            time.sleep(0.5)  # some of its 197 runs
            process.send_signal(signal.SIGINT)
            output, message = process.communicate(timeout=60)
        self.assertEqual(process.returncode, support.INTERRUPTED, message)
        if output:  # nothing is known before the first run has ended
            self.assertGreater(json.loads(output)["sensitivity"]["runs_left_out"], 0)
        self.assertFalse(scheme.exists())

    def test_ranks_every_tensor_of_the_scheme(self):
        found = self.json(*self.base)["sensitivity"]
        self.assertEqual((found["scheme"], found["tokens"], found["runs_left_out"]), ("q4_0", 16, 0))
        self.assertIsNone(found["mix"])
        self.assertEqual(found["wider"], [])
        klds = [tensor["mean_kld"] for tensor in found["tensors"]]
        self.assertEqual(klds, sorted(klds, reverse=True))
        self.assertGreater(klds[0], 100 * klds[-1])
        self.assertGreater(klds[-1], 0)
        names = {tensor["tensor"] for tensor in found["tensors"]}
        self.assertEqual(len(names), len(found["tensors"]))
        self.assertIn("model.embed_tokens.weight", names)
        self.assertIn("model.layers.11.mlp.down_proj.weight", names)
        for tensor in found["tensors"]:
            self.assertEqual((tensor["stored"], tensor["lattice"]), ("BF16", "Q4_0"))
            self.assertEqual(tensor["bytes_after"] * 32, tensor["bytes_before"] * 9)
            self.assertTrue(0.05 < tensor["relative_error"] < 0.2, tensor)

    def test_a_mix_becomes_a_file_of_the_size_that_was_asked_for(self):
        scheme, model = self.scratch / "mixed.json", self.scratch / "mixed.gguf"
        found = self.json(*self.base, "--budget", "9MB", "--scheme-out", scheme)["sensitivity"]
        mix = found["mix"]
        self.assertLessEqual(mix["bytes"], 9_000_000)
        self.assertGreater(mix["bytes"], 8_900_000)
        self.assertEqual(mix["scheme"], json.loads(scheme.read_text(encoding="ascii")))
        self.assertLess(mix["predicted_kld"], sum(tensor["mean_kld"] for tensor in found["tensors"]))
        self.assertEqual({tensor["lattice"] for tensor in found["wider"]}, {"Q8_0"})
        self.carat("convert", OPAL, model, "--scheme", scheme)
        self.assertEqual(self.json("eval", "-m", model, "--text", self.text)["model_bytes"], mix["bytes"])

    def test_prints_the_ranking_and_the_scheme(self):
        done = self.carat(*self.base, "--budget", "9MB")
        self.assertIn("1  model.", done.stdout)
        self.assertIn('"rules": [', done.stdout)
        self.assertIn("runs of 16 tokens", done.stderr)

    def test_a_budget_that_is_too_small_is_refused_at_once(self):
        done = self.carat(*self.base, "--budget", "1MB", expect=support.WRONG_USAGE)
        self.assertRegex(done.stderr, r"takes 7\d{6} bytes")
        self.assertNotIn("runs of", done.stderr)

    def test_a_model_on_the_lattice_has_nothing_to_rank(self):
        done = self.carat("eval", "-m", OPAL / "opal-qat-q4_0.gguf", "--text", self.text, "--sensitivity",
                          expect=support.WRONG_USAGE)
        self.assertIn("q4_0", done.stderr)

    def test_its_options_need_it(self):
        self.carat("eval", "-m", OPAL, "--text", self.text, "--budget", "9MB", expect=support.WRONG_USAGE)


if __name__ == "__main__":
    unittest.main()
