"""What checkpoints record of how they came to be, and what carat inspect --check makes of it."""

import hashlib
import json
import subprocess
import unittest

import support


def digest(content):
    return hashlib.sha256(content).hexdigest()


class Provenance(support.ProgramTest):
    def test_every_step_is_recorded_and_shown(self):
        source = support.golden("e2b_bf16")
        gguf, folder = self.scratch / "a.gguf", self.scratch / "folder"
        self.json("convert", source, gguf, "--scheme", "q4_0")
        self.json("convert", gguf, folder)
        shown = self.json("inspect", folder)
        self.assertTrue(shown["digests"])
        first, second = shown["provenance"]
        version = self.carat("--version").stdout.strip()
        self.assertEqual([first["tool"], second["tool"]], [version, version])
        self.assertEqual([first["command"], first["scheme"]], ["convert", "q4_0"])
        weights = (source / "model.safetensors").read_bytes()
        self.assertEqual(first["sources"],
                         [{"name": "model.safetensors", "bytes": len(weights), "sha256": digest(weights)}])
        self.assertEqual(second["sources"],
                         [{"name": "a.gguf", "bytes": gguf.stat().st_size, "sha256": digest(gguf.read_bytes())}])
        text = self.carat("inspect", folder).stdout
        self.assertIn(f"1. {version} convert: q4_0", text)
        self.assertIn(f"a.gguf ({digest(gguf.read_bytes())[:12]})", text)
        self.assertIn("recorded; --check", text)

    def test_a_checkpoint_of_another_program_records_nothing(self):
        shown = self.json("inspect", support.golden("e2b_bf16"), "--check")
        self.assertEqual((shown["provenance"], shown["digests"], shown["integrity"]["recorded"]), ([], False, False))

    def test_a_new_model_says_how_it_was_made(self):
        model = self.scratch / "opal"
        self.json("new", "--preset", "opal", "--seed", 7, "-o", model, "--scheme", "q4_0")
        step, = self.json("inspect", model)["provenance"]
        self.assertEqual(step["recipe"], {"preset": "opal", "seed": 7})
        self.assertEqual((step["command"], step["scheme"], step["sources"]), ("new", "q4_0", []))

    def test_damaged_files_are_named_as_such(self):
        gguf, folder = self.scratch / "a.gguf", self.scratch / "folder"
        self.json("convert", support.golden("31b_f32"), gguf)
        self.json("convert", support.golden("31b_f32"), folder)
        self.assertEqual(self.json("inspect", gguf, "--check")["integrity"],
                         {"recorded": True, "bytes": gguf.stat().st_size})
        self.assertIn("every digest is that of its file", self.carat("inspect", folder, "--check").stdout)

        def refusal(model):
            return self.carat("inspect", model, "--check", expect=support.REFUSED).stderr

        whole = gguf.read_bytes()
        gguf.write_bytes(whole[:-1000])
        self.assertIn(f"is cut short: {len(whole) - 1000} of {len(whole)} bytes are there", refusal(gguf))
        gguf.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        self.assertIn("was altered: its SHA-256 is ", refusal(gguf))
        self.json("inspect", gguf)

        tokenizer, weights = folder / "tokenizer.json", folder / "model.safetensors"
        content = weights.read_bytes()
        tokenizer.write_bytes(tokenizer.read_bytes() + b"\n")
        weights.write_bytes(content[:-1])
        message = refusal(folder)
        self.assertIn(f"{tokenizer}: was altered: it has ", message)
        self.assertIn(f"{weights}: is cut short: {len(content) - 1} of {len(content)} bytes are there", message)

    def test_converting_an_altered_file_is_told(self):
        gguf, again = self.scratch / "a.gguf", self.scratch / "b.gguf"
        self.json("convert", support.golden("31b_f32"), gguf)
        self.assertNotIn("warning", self.carat("convert", gguf, again).stderr)
        content = bytearray(gguf.read_bytes())
        content[-5] ^= 1
        gguf.write_bytes(content)
        told = self.carat("convert", gguf, again).stderr
        self.assertIn("warning: ", told)
        self.assertIn("a.gguf was altered: its SHA-256 is ", told)

    def test_the_recipe_in_the_documents(self):
        gguf, folder = self.scratch / "model.gguf", self.scratch / "folder"
        self.json("new", "--preset", "opal", "-o", gguf, "--scheme", "q4_0")
        self.json("convert", gguf, folder)
        page = (support.SOURCE / "docs" / "provenance.md").read_text(encoding="utf-8")
        blocks = [block.split("```")[0] for block in page.split("```sh\n")[1:]]
        self.assertEqual(len(blocks), 2)
        for block, where in zip(blocks, (self.scratch, folder)):
            done = subprocess.run(["sh", "-e"], input=block, cwd=where, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("OK", done.stdout)
            self.assertNotIn("FAILED", done.stdout)
        recorded = json.loads((folder / "config.json").read_text(encoding="utf-8"))["carat_files"]
        self.assertEqual(recorded["tokenizer.json"]["sha256"], digest((folder / "tokenizer.json").read_bytes()))


if __name__ == "__main__":
    support.main()
