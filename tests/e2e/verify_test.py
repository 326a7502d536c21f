"""carat verify"""

import json
import shutil
import struct
import unittest

import support

OPAL = support.SOURCE / "models" / "opal"
MOBILE = support.SOURCE / "tests" / "golden" / "mobile" / "e2b_1"
BUNDLE = support.SOURCE / "tests" / "golden" / "litertlm" / "e2b_1.litertlm"


def data_of_safetensors(path):
    """(where the data begins, the header) of a safetensors file."""
    content = path.read_bytes()
    length, = struct.unpack_from("<Q", content)
    return 8 + length, json.loads(content[8:8 + length])


class Verify(support.ProgramTest):
    def verified(self, *arguments, expect=support.DONE):
        report = self.json("verify", *arguments, expect=expect)
        self.assertEqual(report["proven"], expect == support.DONE)
        return report

    def q4_0(self):
        path = self.scratch / "q4_0.gguf"
        self.carat("convert", support.golden("31b_f32"), path, "--scheme", "q4_0")
        return path

    def edited(self, folder, tensor, index, change):
        """Changes value `index` of an F32 tensor, and takes the digests away."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config.pop("carat_files", None)
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        weights = folder / "model.safetensors"
        begin, header = data_of_safetensors(weights)
        self.assertEqual(header[tensor]["dtype"], "F32")
        place = begin + header[tensor]["data_offsets"][0] + 4 * index
        content = bytearray(weights.read_bytes())
        value, = struct.unpack_from("<f", content, place)
        struct.pack_into("<f", content, place, change(value))
        weights.write_bytes(content)
        return value

    def test_the_same_weights_in_two_containers(self):
        model = self.q4_0()
        folder = self.scratch / "folder"
        self.carat("convert", model, folder, "--scheme", "f32", "--format", "safetensors")
        report = self.verified(model, folder)
        self.assertEqual(report["result"], "same")
        comparison = report["comparison"]
        self.assertEqual(comparison["different"], 0)
        self.assertEqual(comparison["weights"], self.json("inspect", model)["parameters"])
        self.assertEqual(comparison["equal"] + comparison["equal_rounded"], comparison["weights"])
        self.assertEqual([shown["container"] for shown in report["models"]], ["gguf", "safetensors"])
        self.assertIn("the same weights:", self.carat("verify", model, folder).stdout.splitlines()[-1])

    def test_one_weight_is_found(self):
        model = self.q4_0()
        folder = self.scratch / "folder"
        self.carat("convert", model, folder, "--scheme", "f32", "--format", "safetensors")
        name = "model.layers.1.mlp.up_proj.weight"
        before = self.edited(folder, name, 70, lambda value: value + 0.5)
        report = self.verified(model, folder, expect=support.REFUSED)
        self.assertEqual(report["result"], "different")
        different = [tensor for tensor in report["comparison"]["tensors"] if tensor["different"]]
        self.assertEqual([tensor["name"] for tensor in different], [name])
        columns = {tensor["name"]: tensor for tensor in self.json("inspect", folder)["tensors"]}[name]["shape"][1]
        self.assertEqual(different[0]["first"], [{"row": 70 // columns, "column": 70 % columns, "a": before,
                                                  "b": different[0]["first"][0]["b"]}])
        self.assertEqual((different[0]["different"], different[0]["different_blocks"]), (1, 1))
        done = self.carat("verify", model, folder, expect=support.REFUSED)
        self.assertIn(f"row {70 // columns}, column {70 % columns}: ", done.stdout)
        self.assertIn("not the same weights: 1 weight in 1 tensor differs", done.stdout.splitlines()[-1])
        self.assertIn("not the same weights", done.stderr)

    def test_a_file_lies_on_what_it_declares(self):
        report = self.verified(self.q4_0())
        self.assertEqual((report["result"], report["lattice"]["scheme"]), ("on_lattice", "q4_0"))
        self.assertTrue(all(tensor["by_type"] for tensor in report["lattice"]["tensors"]))
        report = self.verified(MOBILE)
        self.assertIsNone(report["lattice"]["scheme"])
        self.assertEqual({tensor["type"] for tensor in report["lattice"]["tensors"]},
                         {"I2 row", "I4 row", "I8 row", "I4 group 32"})
        self.assertTrue(all(tensor["by_type"] for tensor in report["lattice"]["tensors"]))

    def test_plain_floats_prove_nothing_until_a_scheme_is_named(self):
        model = self.q4_0()
        folder = self.scratch / "folder"
        self.carat("convert", model, folder, "--scheme", "f32", "--format", "safetensors")
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        for key in ("carat_files", "carat_provenance", "carat_scheme"):
            config.pop(key, None)
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        report = self.verified(folder, expect=support.REFUSED)
        self.assertEqual(report["result"], "undeclared")
        self.assertIn("100 % of the groups that were looked at lie on Q4_0", report["verdict"])
        self.assertIn("--scheme q4_0", report["verdict"])
        report = self.verified(folder, "--scheme", "q4_0")
        self.assertEqual(report["result"], "on_lattice")
        self.assertEqual(report["lattice"]["exact"], report["lattice"]["groups"])
        self.assertGreater(report["lattice"]["groups"], 1000)

        report = self.verified(support.golden("31b_f32"), expect=support.REFUSED)
        self.assertIn("ordinary floats", report["verdict"])
        report = self.verified(support.golden("31b_f32"), "--scheme", "q4_0", expect=support.REFUSED)
        self.assertEqual(report["result"], "off_lattice")
        self.assertGreater(report["lattice"]["off_lattice"], 1000)

    def test_threads_change_nothing(self):
        model = self.q4_0()
        reports = [self.verified(model, support.golden("31b_f32"), "-t", threads, expect=support.REFUSED)
                   for threads in (1, 4)]
        self.assertEqual(reports[0], reports[1])
        self.assertGreater(reports[0]["comparison"]["different"], 1000)

    def test_a_file_that_was_cut_short_or_altered_is_named(self):
        model = self.q4_0()
        whole = model.read_bytes()
        report = self.verified(model)
        self.assertTrue(report["models"][0]["digest_recorded"])
        model.write_bytes(whole[:-1000])
        report = self.verified(model, expect=support.REFUSED)
        self.assertEqual(report["result"], "damaged")
        self.assertEqual(report["models"][0]["faults"][0]["file"], model.name)
        self.assertIn("cut short", report["models"][0]["faults"][0]["text"])
        self.assertIsNotNone(report["refusal"])
        self.assertIn("cut short", self.carat("verify", model, expect=support.REFUSED).stdout)
        altered = self.scratch / "altered.gguf"
        altered.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])
        model.write_bytes(whole)
        report = self.verified(model, altered, expect=support.REFUSED)
        self.assertEqual(report["result"], "damaged")
        self.assertEqual(report["models"][0]["faults"], [])
        self.assertIn("altered", report["models"][1]["faults"][0]["text"])
        self.assertIsNotNone(report["comparison"])

    def test_a_source_is_known_by_its_digest(self):
        folder = self.scratch / "source"
        shutil.copytree(support.golden("31b_f32"), folder)
        model = self.scratch / "a.gguf"
        self.carat("convert", folder, model)
        report = self.verified(model, folder)
        self.assertEqual([(claim["file"], claim["same"]) for claim in report["sources"]], [("model.safetensors", True)])
        copy = self.scratch / "copy"
        self.carat("convert", model, copy)
        text = self.carat("verify", model, copy).stdout
        self.assertIn("was made from this a.gguf", text)
        self.assertNotIn("another", text)
        self.edited(folder, "model.norm.weight", 0, lambda value: value + 0.5)
        report = self.verified(model, folder, expect=support.REFUSED)
        self.assertEqual([(claim["file"], claim["same"]) for claim in report["sources"]], [("model.safetensors", False)])
        self.assertEqual(report["comparison"]["different"], 1)
        self.assertIn("was made from another model.safetensors",
                      self.carat("verify", model, folder, expect=support.REFUSED).stdout)

    def test_exact_scales_count_and_lost_ones_are_found(self):
        model = self.scratch / "a.gguf"
        self.carat("convert", MOBILE, model, "--static-scales")
        report = self.verified(model, MOBILE)
        types = {tensor["type_a"] for tensor in report["comparison"]["tensors"]}
        self.assertIn("Q4_0 with exact scales", types)
        self.assertGreater(report["comparison"]["static_scales"], 0)
        self.carat("convert", MOBILE, model, "--requantize")
        report = self.verified(model, MOBILE, expect=support.REFUSED)
        self.assertGreater(report["comparison"]["different"], 0)
        lost = report["comparison"]["different_scales"]
        self.assertEqual(len(lost), report["comparison"]["static_scales"])
        self.assertIsNone(lost[0]["a"])

    def test_a_bundle_is_compared_with_its_folder(self):
        report = self.verified(BUNDLE, MOBILE, expect=support.REFUSED)
        self.assertEqual([tensor["name"] for tensor in report["comparison"]["tensors"] if tensor["different"]],
                         ["model.per_layer_model_projection.weight"])

    def test_opal_was_trained_on_its_lattice(self):
        report = self.verified(OPAL / "opal-qat-q4_0.gguf")
        self.assertEqual(report["lattice"]["scheme"], "q4_0")

    def test_refusals(self):
        model = support.golden("31b_f32")
        self.carat("verify", expect=support.WRONG_USAGE)
        self.carat("verify", model, model, "--scheme", "q4_0", expect=support.WRONG_USAGE)
        self.carat("verify", model, "-t", "0", expect=support.WRONG_USAGE)
        self.carat("verify", model, "--scheme", "q5_9", expect=support.WRONG_USAGE)
        done = self.carat("verify", self.scratch / "absent.gguf", expect=support.REFUSED)
        self.assertIn("absent.gguf", done.stderr)


if __name__ == "__main__":
    support.main()
