"""carat inspect and carat new"""

import unittest

import support


class Inspect(support.ProgramTest):
    def test_json_has_what_machines_read(self):
        for model in (support.golden("e2b_bf16"), self.gguf("e2b_bf16")):
            shown = self.json("inspect", model)
            self.assertEqual(shown["architecture"], "gemma4")
            self.assertEqual(shown["scheme"], "bf16")
            self.assertTrue(shown["kernels"])
            sizes = {"F32": 4, "BF16": 2}
            weights = 0
            for tensor in shown["tensors"]:
                count = 1
                for extent in tensor["shape"]:
                    count *= extent
                self.assertEqual(tensor["bytes"], count * sizes[tensor["type"]], tensor)
                weights += count
            self.assertEqual(shown["parameters"], weights)

    def test_a_model_of_one_type_has_the_scheme_of_that_type(self):
        for name in support.golden_names():
            self.assertEqual(self.json("inspect", support.golden(name))["scheme"], name.split("_")[1], name)

    def test_counts_parameters_by_their_part(self):
        for name in support.golden_names():
            shown = self.json("inspect", support.golden(name))
            counts = shown["parameter_counts"]
            self.assertEqual(counts["stored"] - counts["unused_key_value"], shown["parameters"], name)
            self.assertEqual(sum(count for part, count in counts.items() if part not in ("stored", "active")),
                             counts["stored"], name)
            self.assertEqual(sum(shown["types"].values()), len(shown["tensors"]), name)
            self.assertIsNone(shown["published"], name)

    def test_experts_and_keys_as_values_are_shown(self):
        model = support.golden("26b_f32")
        config = self.json("inspect", model)["config"]
        self.assertEqual((config["experts"], config["experts_used"]), (8, 4))
        self.assertEqual([layer["value_is_key"] for layer in config["layers"]], [False, True])
        shown = self.carat("inspect", model).stdout
        self.assertIn("4 of 8 experts", shown)
        self.assertIn("F layers use keys as values", shown)

    def test_codes_and_their_static_quantizers_are_shown(self):
        model = support.SOURCE / "tests" / "golden" / "mobile" / "e2b_1"
        report = self.json("inspect", model, "--check")
        self.assertEqual((report["types"]["I8"], report["types"]["I4"], report["types"]["I2"]), (6, 17, 4))
        tensors = {tensor["name"]: tensor for tensor in report["tensors"]}
        table = tensors["model.embed_tokens_per_layer.weight"]
        self.assertEqual((table["type"], table["scale_groups"], table["scale_type"]), ("I4", 3, "F32"))
        self.assertGreater(tensors["model.layers.0.self_attn.q_proj.weight"]["input_scale"], 0)
        self.assertIn("model.layers.0.self_attn.k_cache_scale", report["static_scales"])
        self.assertEqual(report["without_lowest_code"], [])
        text = self.carat("inspect", model).stdout
        self.assertIn("static scales 25 for inputs, 25 for outputs, 4 for keys and values", text)
        self.assertIn("one F32 scale for each 32 columns", text)

    def test_the_table_names_every_tensor(self):
        model = support.golden("31b_f32")
        shown = self.carat("inspect", model).stdout
        for tensor in self.json("inspect", model)["tensors"]:
            self.assertIn(tensor["name"], shown)


class New(support.ProgramTest):
    def test_a_seed_makes_the_same_model_again(self):
        paths = [self.scratch / name for name in ("a.gguf", "b.gguf", "c.gguf")]
        for path, seed in zip(paths, (7, 7, 8)):
            self.json("new", "--preset", "opal", "--seed", seed, "-o", path, "--scheme", "q4_0")
        self.assertEqual(paths[0].read_bytes(), paths[1].read_bytes())
        self.assertNotEqual(paths[0].read_bytes(), paths[2].read_bytes())

    def test_the_new_model_runs(self):
        path = self.scratch / "opal.gguf"
        report = self.json("new", "--preset", "opal", "--seed", 1, "-o", path, "--scheme", "q4_0")
        self.assertEqual(report["parameters"], self.json("inspect", path)["parameters"])
        self.assertGreater(len(self.json("run", "-m", path, "--token-ids", "2,5,6", "-n", 4, "--temp", 0)["tokens"]), 0)

    def test_an_unknown_preset_is_named_with_the_known_ones(self):
        done = self.carat("new", "--preset", "ruby", "-o", self.scratch / "x.gguf", expect=support.WRONG_USAGE)
        self.assertIn("ruby", done.stderr)
        self.assertIn("opal", done.stderr)


if __name__ == "__main__":
    unittest.main()
