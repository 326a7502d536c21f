"""carat run"""

import json
import math
import os
import shutil
import struct
import unittest

import support


class Run(support.ProgramTest):
    PROMPT = ["--token-ids", "2,10,11,40,200", "-n", "16", "--temp", "0"]

    def tokens(self, model, *arguments):
        return self.json("run", "-m", model, *self.PROMPT, *arguments)["tokens"]

    def test_json_has_what_machines_read(self):
        answer = self.json("run", "-m", support.golden("e2b_bf16"), *self.PROMPT)
        for key in ("tokens", "text", "prefill_tokens_per_s", "decode_tokens_per_s", "peak_rss_bytes", "load_seconds",
                    "planned_bytes", "stop_reason"):
            self.assertIn(key, answer)
        self.assertLessEqual(len(answer["tokens"]), 16)
        self.assertGreater(len(answer["tokens"]), 0)

    def test_logits_are_those_of_transformers(self):
        for name in support.golden_names():
            folder = support.golden(name)
            shape, expected = support.read_npy(folder / "logits.npy")
            row = 0
            for prompt in support.prompts(folder):
                out = self.scratch / "logits.npy"
                self.carat("run", "-m", folder, "--token-ids", prompt, "-n", 1, "--temp", 0, "--json", "--logits", out)
                found_shape, found = support.read_npy(out)
                length = len(prompt.split(","))
                self.assertGreaterEqual(found_shape[0], length)
                self.assertEqual(found_shape[1], shape[1])
                count = length * shape[1]
                wanted = expected[row * shape[1]:row * shape[1] + count]
                self.assertLess(max(abs(a - b) for a, b in zip(found[:count], wanted)), 1e-3, f"{name}, {prompt}")
                row += length
            self.assertEqual(row, shape[0])

    def test_one_row_of_logits_for_each_position_fed(self):
        out = self.scratch / "logits.npy"
        answer = self.json("run", "-m", support.golden("e2b_bf16"), *self.PROMPT, "--logits", out)
        shape, values = support.read_npy(out)
        self.assertEqual(len(values), shape[0] * shape[1])
        self.assertIn(shape[0], (5 + len(answer["tokens"]) - 1, 5 + len(answer["tokens"])))
        for index, token in enumerate(answer["tokens"]):
            row = values[(4 + index) * shape[1]:(5 + index) * shape[1]]
            self.assertEqual(max(range(shape[1]), key=row.__getitem__), token)

    def test_threads_do_not_change_bits(self):
        rows = []
        for threads in (1, 2, 3):
            out = self.scratch / f"{threads}.npy"
            self.carat("run", "-m", support.golden("e4b_f16"), *self.PROMPT, "-t", threads, "--logits", out)
            rows.append(out.read_bytes())
        self.assertEqual(rows[0], rows[1])
        self.assertEqual(rows[0], rows[2])

    def test_containers_hold_the_same_model(self):
        for name in support.golden_names():
            self.assertEqual(self.tokens(support.golden(name)), self.tokens(self.gguf(name)), name)

    def test_a_seed_gives_the_same_text_again(self):
        def sampled(seed):
            return self.json("run", "-m", support.golden("e2b_bf16"), "-p", "the other", "-n", 40, "--temp", 1, "--seed",
                             seed)["tokens"]
        self.assertEqual(sampled(1), sampled(1))
        self.assertNotEqual(sampled(1), sampled(2))

    def test_text_streams_as_whole_characters(self):
        # Without `text`, the bytes of standard output must be valid UTF-8 whatever the random model says.
        for seed in range(5):
            done = self.carat("run", "-m", support.golden("e4b_f16"), "-p", "and", "-n", 60, "--temp", 2, "--top-k", 0,
                              "--top-p", 1, "--seed", seed)
            self.assertNotEqual(done.stdout, "")

    def test_an_empty_prompt_is_wrong_usage(self):
        done = self.carat("run", "-m", support.golden("e2b_bf16"), "-p", "", expect=support.WRONG_USAGE)
        self.assertIn("empty", done.stderr)
        self.carat("run", "-m", support.golden("e2b_bf16"), input="", expect=support.WRONG_USAGE)

    def test_a_prompt_longer_than_the_context_is_refused_before_work(self):
        ids = ",".join(["2"] * 600)
        done = self.carat("run", "-m", support.golden("e2b_bf16"), "--token-ids", ids, expect=support.WRONG_USAGE)
        self.assertIn("600", done.stderr)
        self.assertIn("512", done.stderr)

    def test_a_token_outside_the_vocabulary_is_named(self):
        for token in ("320", "-1", "99999999"):
            done = self.carat("run", "-m", support.golden("e2b_bf16"), f"--token-ids=2,{token}",
                              expect=support.WRONG_USAGE)
            self.assertIn(token, done.stderr)

    def test_wrong_usage(self):
        for arguments in (["run"], ["run", "-m"], ["nonsense"], [], ["run", "-m", support.golden("31b_f32"), "--what"],
                          ["run", "-m", support.golden("31b_f32"), "-p", "a", "--temp", "-1"],
                          ["run", "-m", support.golden("31b_f32"), "-p", "a", "-n", "many"]):
            self.carat(*arguments, expect=support.WRONG_USAGE)

    def first_value_changed(self, name, value):
        """A copy of a float32 model in which a tensor begins with another value."""
        folder = self.scratch / name
        shutil.copytree(support.golden("e2b_f32"), folder)
        content = bytearray((folder / "model.safetensors").read_bytes())
        length, = struct.unpack_from("<Q", content)
        begin = json.loads(content[8:8 + length])[name]["data_offsets"][0]
        struct.pack_into("<f", content, 8 + length + begin, value)
        (folder / "model.safetensors").write_bytes(content)
        return folder

    def test_values_that_are_not_finite_are_reported_with_their_layer_and_not_sampled(self):
        tensor = "model.layers.1.mlp.up_proj.weight"
        for value in (math.nan, math.inf, -math.inf):
            done = self.carat("run", "-m", self.first_value_changed(tensor, value), "--token-ids", "2,3,4",
                              expect=support.REFUSED)
            self.assertIn("layer 1 gave", done.stderr)
            self.assertIn(tensor, done.stderr)
            self.assertEqual(done.stdout, "")
            shutil.rmtree(self.scratch / tensor)
        overflowing = self.first_value_changed("model.layers.2.layer_scalar", 3e38)
        done = self.carat("run", "-m", overflowing, "--token-ids", "2,3,4", expect=support.FAILED)
        self.assertIn("layer 2 gave", done.stderr)
        self.assertIn("all weights are finite", done.stderr)
        self.assertEqual(done.stdout, "")

    def test_a_model_that_is_not_there(self):
        done = self.carat("run", "-m", self.scratch / "absent.gguf", "-p", "a", expect=support.REFUSED)
        self.assertIn("absent.gguf", done.stderr)

    def test_quantizers_and_the_trained_cache_can_be_left_out(self):
        mobile = support.SOURCE / "tests" / "golden" / "mobile" / "e2b_1"

        def logits(*switches):
            self.carat("run", "-m", mobile, "--token-ids", "2,10,11,12", "-n", 1, "--logits", self.scratch / "x.npy",
                       *switches)
            return support.read_npy(self.scratch / "x.npy")[1]

        as_trained = logits()
        self.assertEqual(logits("--cache-type", "int8"), as_trained)
        without = [logits(*switches) for switches in (["--no-input-quantizers"], ["--no-output-quantizers"],
                                                      ["--cache-type", "f32"])]
        for i, other in enumerate(without):
            self.assertNotIn(other, [as_trained, *without[:i]])
        done = self.carat("run", "-m", support.golden("e2b_f32"), "--token-ids", "2", "--cache-type", "int8",
                          expect=support.WRONG_USAGE)
        self.assertIn("no trained scales", done.stderr)

    def test_every_kernel_table_that_this_machine_has_gives_close_logits(self):
        tables = self.json("inspect", support.golden("31b_f32"))["kernels"]
        self.assertTrue(tables)
        environment = dict(os.environ, CARAT_KERNELS="reference")
        forced = self.json("inspect", support.golden("31b_f32"), env=environment)["kernels"]
        self.assertEqual(forced, "reference")


if __name__ == "__main__":
    unittest.main()
