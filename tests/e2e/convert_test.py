"""carat convert"""

import json
import resource
import signal
import struct
import subprocess
import unittest

import gguf_pieces
import support

F32, F16, Q4_0, BF16 = 0, 1, 2, 30


def tensors(description):
    return {tensor["name"]: tensor for tensor in description["tensors"]}


def config_without_history(path):
    config = json.loads(path.read_text(encoding="utf-8"))
    return [member for member in config.items() if member[0] != "carat_provenance"]


class Convert(support.ProgramTest):
    def inspect(self, path):
        return self.json("inspect", path)

    def assert_same_gguf(self, first, second):
        self.assertEqual(gguf_pieces.without_history(first), gguf_pieces.without_history(second), second.name)

    def test_there_and_back_is_the_same_file(self):
        for name in support.golden_names():
            first = self.gguf(name)
            folder = self.scratch / name
            again = self.scratch / f"{name}-again.gguf"
            self.carat("convert", first, folder)
            self.carat("convert", folder, again)
            self.assert_same_gguf(first, again)

    def test_without_a_scheme_no_weight_moves(self):
        for name in support.golden_names():
            report = self.json("convert", support.golden(name), self.scratch / f"{name}.gguf")
            self.assertEqual(report["moved_weights"], 0, name)

    def test_codes_survive_every_container(self):
        golden = support.SOURCE / "tests" / "golden" / "mobile" / "e2b_1"
        first, gguf, compressed, again = (self.scratch / name for name in ("first", "a.gguf", "ct", "again"))
        self.assertEqual(self.json("convert", golden, first)["rounded_scales"], 0)
        report = self.json("convert", first, gguf, "--static-scales")
        self.assertEqual(report["container"], "gguf")
        self.assertEqual(report["left_out_scales"], 0)
        self.assertGreater(report["moved_weights"], 0)
        self.assertGreater(report["rounded_scales"], 0)
        self.assertLessEqual(report["largest_scale_change"], 2**-11)
        report = self.json("convert", gguf, compressed, "--format", "compressed-tensors")
        self.assertEqual(report["moved_weights"], 0)
        self.assertEqual(self.inspect(compressed)["container"], "compressed-tensors")
        self.json("convert", compressed, again, "--format", "safetensors")
        for file in first.iterdir():
            if file.name == "config.json":
                self.assertEqual(config_without_history(file), config_without_history(again / file.name))
            else:
                self.assertEqual(file.read_bytes(), (again / file.name).read_bytes(), file.name)
        static = report["static_scales"]
        gguf.unlink()
        refused = self.carat("convert", first, gguf, expect=support.REFUSED).stderr
        for part in ("scales are no binary16 numbers", "--static-scales", "--requantize"):
            self.assertIn(part, refused)
        self.assertFalse(gguf.exists())
        report = self.json("convert", first, gguf, "--requantize")
        self.assertEqual((report["static_scales"], report["left_out_scales"]), (0, static))
        text = self.carat("convert", first, gguf, "--requantize").stdout
        self.assertIn("--static-scales", text)
        self.assertIn("weights moved, by at most", text)

    def test_bundles_are_not_written(self):
        bundle = self.scratch / "a.litertlm"
        done = self.carat("convert", support.golden("e2b_bf16"), bundle, expect=support.WRONG_USAGE)
        self.assertIn("bundles are read and not written", done.stderr)
        self.assertFalse(bundle.exists())

    def test_q4_0_survives_every_container(self):
        first = self.gguf("e2b_bf16", "--scheme", "q4_0")
        self.assertEqual(self.inspect(first)["scheme"], "q4_0")
        folder, again = self.scratch / "folder", self.scratch / "again.gguf"
        self.assertEqual(self.json("convert", first, folder)["moved_weights"], 0)
        self.assertEqual(self.json("convert", folder, again)["moved_weights"], 0)
        self.assert_same_gguf(first, again)
        twice = self.scratch / "twice.gguf"
        self.assertEqual(self.json("convert", folder, twice, "--scheme", "q4_0")["moved_weights"], 0)
        self.assert_same_gguf(first, twice)

    def test_no_weight_leaves_the_lattice_in_any_container(self):
        first = self.gguf("e2b_bf16", "--scheme", "q4_0")
        source = first
        for step, options in (("compressed-tensors", ("--format", "compressed-tensors")),
                              ("bf16", ("--scheme", "bf16")),
                              ("mlx", ("--format", "mlx")),
                              ("f32", ("--format", "safetensors")),
                              ("last.gguf", ())):
            report = self.json("convert", source, self.scratch / step, *options)
            self.assertEqual((report["moved_weights"], report["rounded_groups"]), (0, 0), step)
            self.assertEqual((report["scheme"], self.inspect(self.scratch / step)["scheme"]), ("q4_0", "q4_0"), step)
            source = self.scratch / step
        before, after = gguf_pieces.read(first), gguf_pieces.read(source)
        self.assertEqual(before.data, after.data)
        self.assertIn("groups recovered exactly, no weight moved",
                      self.carat("convert", self.scratch / "bf16", first).stdout)

    def test_leaving_the_lattice_takes_a_flag(self):
        first = self.gguf("e2b_bf16", "--scheme", "q8_0")
        target = self.scratch / "out.gguf"
        refused = self.carat("convert", first, target, "--scheme", "q4_0", expect=support.REFUSED).stderr
        self.assertIn("do not lie on Q4_0", refused)
        self.assertFalse(target.exists())
        report = self.json("convert", first, target, "--scheme", "q4_0", "--requantize")
        self.assertGreater(report["moved_weights"], report["weights"] // 2)
        self.assertGreater(report["relative_rms_move"], 0.01)
        self.assertGreater(report["largest_move"], 0)

    def test_q4_0_is_stored_as_the_scheme_says(self):
        gguf = gguf_pieces.read(self.gguf("e2b_bf16", "--scheme", "q4_0"))
        self.assertEqual(gguf.tensor(b"token_embd.weight").type, Q4_0)
        self.assertEqual(gguf.tensor(b"blk.0.attn_q.weight").type, Q4_0)
        self.assertEqual(gguf.tensor(b"per_layer_model_proj.weight").type, BF16)
        for tensor in gguf.tensors:
            if len(tensor.shape) == 1:
                self.assertEqual(tensor.type, F32, tensor.name)

    def test_rope_divisors_of_full_layers(self):
        gguf = gguf_pieces.read(self.gguf("e4b_f16"))
        tensor = gguf.tensor(b"rope_freqs.weight")
        self.assertEqual(tensor.shape, [16])
        values = struct.unpack_from("<16f", gguf.data, tensor.offset)
        self.assertEqual([value == 1.0 for value in values], [True] * 8 + [False] * 8)
        self.assertTrue(all(value > 1e29 for value in values[8:]))

    def test_a_soft_cap_of_none_is_said(self):
        # llama.cpp takes 30 where the key is missing.
        gguf = gguf_pieces.read(self.gguf("31b_f32"))
        soft_cap = dict(gguf.entries).get(b"gemma4.final_logit_softcapping")
        self.assertEqual(soft_cap, struct.pack("<If", 6, 0.0))

    def test_a_full_disk_leaves_the_old_file_whole(self):
        target = self.gguf("31b_f32")
        before = target.read_bytes()

        def small_files_only():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

        done = self.carat("convert", support.golden("e2b_bf16"), target, expect=support.FAILED,
                          preexec_fn=small_files_only)
        self.assertIn(target.name, done.stderr)
        self.assertEqual(target.read_bytes(), before)
        self.assertEqual([path.name for path in self.scratch.iterdir()], [target.name])

    def test_an_unknown_scheme_is_named_with_the_known_ones(self):
        done = self.carat("convert", support.golden("31b_f32"), self.scratch / "x.gguf", "--scheme", "q5_9",
                          expect=support.WRONG_USAGE)
        self.assertIn("q5_9", done.stderr)
        self.assertIn("q4_0", done.stderr)

    def test_a_target_in_no_folder(self):
        self.carat("convert", support.golden("31b_f32"), self.scratch / "absent" / "x.gguf", expect=support.FAILED)

    def test_memory_does_not_grow_with_the_model(self):
        small, large = self.scratch / "small.gguf", self.scratch / "large.gguf"
        self.carat("new", "--preset", "opal", "-o", self.scratch / "opal")
        self.carat("convert", support.golden("31b_f32"), small)
        used = []
        for source, target in ((support.golden("31b_f32"), small), (self.scratch / "opal", large)):
            # Mapped pages of the input count as resident; what the process owns does not.
            script = 'ulimit -d 65536 && exec "$0" convert "$1" "$2" --scheme q4_0'
            done = subprocess.run(["sh", "-c", script, support.CARAT, str(source), str(target)], check=False,
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            used.append(target.stat().st_size)
        self.assertGreater(used[1], 4 * used[0])


if __name__ == "__main__":
    unittest.main()
