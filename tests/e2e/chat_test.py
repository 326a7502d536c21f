"""carat run --chat and carat chat from a pipe, and prompts that do not come with -p"""

import json
import os
import re
import shutil
import signal
import struct
import subprocess

import support

MODEL = support.SOURCE / "models" / "opal"
GREEDY = ["--temp", "0", "-n", "6"]


class Chat(support.ProgramTest):
    def answers(self, *arguments, text):
        return self.carat("run", "-m", MODEL, "--chat", *GREEDY, *arguments, input=text).stdout

    def test_the_first_answer_is_that_to_a_prompt(self):
        prompted = self.carat("run", "-m", MODEL, "--chat", *GREEDY, "-p", "the other").stdout
        self.assertEqual(self.answers(text="the other\n"), prompted)

    def test_each_line_is_a_message_and_blank_lines_are_none(self):
        once = self.answers(text="the other\nand the sand\n")
        self.assertTrue(once.startswith(self.answers(text="the other\n")))
        self.assertEqual(self.answers(text="\nthe other\n  \nand the sand\n"), once)

    def test_earlier_turns_count(self):
        after_other = self.answers(text="the other\nit is there\n")
        after_sand = self.answers(text="the sand in the hand\nit is there\n")
        self.assertNotEqual(after_other, after_sand)

    def test_the_system_text_counts(self):
        self.assertNotEqual(self.answers(text="the other\n"), self.answers("--system", "a stone", text="the other\n"))

    def test_nothing_invites_to_type_without_a_terminal(self):
        done = self.carat("run", "-m", MODEL, "--chat", *GREEDY, input="the other\n")
        self.assertNotIn(">", done.stderr)

    def test_a_chat_that_fills_the_context_says_so(self):
        done = subprocess.run([support.CARAT, "run", "-m", MODEL, "--chat", "-c", "24", "--temp", "0"],
                              input="the other\n" * 20, capture_output=True, text=True, check=False, timeout=60)
        self.assertIn(done.returncode, (support.FAILED, support.WRONG_USAGE))
        self.assertIn("context", done.stderr)

    def test_json_needs_a_prompt(self):
        self.carat("run", "-m", MODEL, "--chat", "--json", input="the other\n", expect=support.WRONG_USAGE)

    def test_system_needs_a_chat(self):
        self.carat("run", "-m", MODEL, "--system", "a stone", "-p", "the", expect=support.WRONG_USAGE)


class OneAnswer(support.ProgramTest):
    """carat run --chat -p, with a model that says what the test wants"""

    THOUGHT = ["<|channel>", "th", "ou", "g", "h", "t", "<0x0A>", "in", "<channel|>"]
    SAID = ["\u2581and", "on"]
    CALL = ["<|tool_call>", "c", "a", "<0x6C>", "l", "<0x3A>", "it", "<0x7B>", "<0x7D>", "<tool_call|>"]
    END = ["<|tool_response>"]

    def setUp(self):
        super().setUp()
        self.model = self.scratch / "even"
        shutil.copytree(support.golden("e2b_f32"), self.model)
        # Without the last norm all logits are 0, so that biases alone decide.
        weights = bytearray((self.model / "model.safetensors").read_bytes())
        length, = struct.unpack_from("<Q", weights)
        begin, end = json.loads(weights[8:8 + length])["model.norm.weight"]["data_offsets"]
        weights[8 + length + begin:8 + length + end] = bytes(end - begin)
        (self.model / "model.safetensors").write_bytes(weights)
        tokenizer = json.loads((self.model / "tokenizer.json").read_text(encoding="utf-8"))
        self.ids = tokenizer["model"]["vocab"]

    def script(self, pieces):
        """Options that make the model say these pieces. What was said falls behind all others."""
        options = ["--temp", "0", "--frequency-penalty", "2", "-n", len(pieces)]
        for place, piece in enumerate(pieces):
            in_prompt = 1 if piece == "l" else 0  # the name of the model's turn has one
            options += ["--logit-bias", f"{self.ids[piece]}={100 - place / 16 + 2 * in_prompt}"]
        return options

    def chat(self, pieces, *arguments, **options):
        return self.carat("run", "-m", self.model, "--chat", "-p", "m", *self.script(pieces), *arguments, **options)

    def test_json_tells_thought_text_and_calls_apart(self):
        pieces = self.THOUGHT + self.SAID + self.CALL + self.END
        answer = json.loads(self.chat(pieces, "--json").stdout)
        self.assertEqual(answer["tokens"], [self.ids[piece] for piece in pieces])
        self.assertEqual(answer["thought"], "in")
        self.assertEqual(answer["text"], " andon")
        self.assertEqual(answer["tool_calls"], [{"name": "it", "arguments": {}}])
        self.assertEqual(answer["stop_reason"], "stop")

    def test_only_the_text_is_output(self):
        done = self.chat(self.THOUGHT + self.SAID + self.CALL + self.END, env={**os.environ, "TERM": "xterm"})
        self.assertEqual(done.stdout, " andon\n")
        self.assertIn("calls it {}\n", done.stderr)
        self.assertNotIn("in\n", done.stderr)
        self.assertNotIn("\x1b", done.stderr)

    def test_thoughts_are_dimmed_on_a_terminal(self):
        ours, theirs = support.open_terminal()
        done = subprocess.run([support.CARAT, "run", "-m", self.model, "--chat", "-p", "m",
                               *map(str, self.script(self.THOUGHT + self.SAID))], stdout=subprocess.PIPE, stderr=theirs,
                              stdin=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm", "NO_COLOR": ""}, check=True)
        os.close(theirs)
        shown = os.read(ours, 65536).decode()
        os.close(ours)
        self.assertEqual(done.stdout, b" andon\n")
        self.assertIn("\x1b[2min\x1b[0m\r\n", shown)
        self.assertNotIn("thought\r\n", shown)

    def test_a_stop_string_counts_in_the_text_alone(self):
        for stop, text in (("n", " a"), ("on", " and"), ("in", " andon"), ("channel", " andon")):
            answer = json.loads(self.chat(self.THOUGHT + self.SAID, "--json", "--stop", stop).stdout)
            self.assertEqual((answer["thought"], answer["text"]), ("in", text))
            self.assertEqual(answer["stop_string"], stop if text != " andon" else None)

    def test_a_call_that_cannot_be_read_is_told(self):
        done = self.chat(self.SAID + ["<|tool_call>", "it", "<tool_call|>"], "--json")
        self.assertEqual(json.loads(done.stdout)["tool_calls"], [])
        self.assertIn("calls a tool in a way that cannot be read", done.stderr)

    def test_thinking_is_asked_for(self):
        def prompt_length(*arguments):
            return int(re.search(r"prompt (\d+) tokens", self.chat(self.SAID, *arguments).stderr)[1])
        self.assertGreater(prompt_length("--think"), prompt_length())
        self.assertEqual(prompt_length("--think", "--system", "m"), prompt_length("--think") + 1)

    def test_outside_of_a_chat_there_are_no_thoughts(self):
        answer = self.json("run", "-m", self.model, "-p", "m", *self.script(self.THOUGHT))
        self.assertNotIn("thought", answer)
        self.assertNotIn("tool_calls", answer)
        self.assertEqual(answer["text"], "<|channel>thought\nin<channel|>")
        self.carat("run", "-m", self.model, "-p", "m", "--think", expect=support.WRONG_USAGE)


class Pipe(support.ProgramTest):
    """carat chat, where nobody types"""

    def chat(self, *arguments, text, **options):
        return self.carat("chat", "-m", MODEL, *GREEDY, *arguments, input=text, **options)

    def test_it_is_the_chat_of_run(self):
        text = "the other\nand the sand\n"
        self.assertEqual(self.chat(text=text).stdout, self.carat("run", "-m", MODEL, "--chat", *GREEDY, input=text).stdout)

    def test_only_answers_are_output(self):
        done = self.chat(text="the other\n", env={**os.environ, "TERM": "xterm"})
        self.assertNotIn("\x1b", done.stdout + done.stderr)
        self.assertIn("chat format: ", done.stderr)
        self.assertRegex(done.stderr, r"prompt \d+ tokens, [\d.]+/s; answer 6 tokens")

    def test_lines_are_no_commands(self):
        target = self.scratch / "chat.json"
        done = self.chat(text=f"/save {target}\n")
        self.assertIn("answer 6 tokens", done.stderr)
        self.assertFalse(target.exists())

    def test_a_stop_string_ends_an_answer(self):
        whole = self.chat(text="the other\n").stdout[:-1]
        stop = whole[len(whole) // 2:][:2]
        self.assertEqual(self.chat("--stop", stop, text="the other\n").stdout, whole[:whole.index(stop)] + "\n")

    def test_tools_need_somebody_who_types_results(self):
        tools = self.scratch / "tools.json"
        tools.write_text('[{"name": "weather"}]', encoding="utf-8")
        self.chat("--tools", tools, text="the other\n", expect=support.WRONG_USAGE)

    def test_ctrl_c_ends_it(self):
        endless = [support.CARAT, "chat", "-m", MODEL, "--temp", "0", "-t", "1",
                   *(f"--logit-bias={token}=-inf" for token in (1, 9, 16))]
        with subprocess.Popen(endless, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as process:
            process.stdin.write("Tell me a story\n")
            process.stdin.flush()
            process.stdout.read(1)
            process.send_signal(signal.SIGINT)
            _, message = process.communicate(timeout=60)
        self.assertEqual(process.returncode, support.INTERRUPTED, message)


class Prompts(support.ProgramTest):
    def test_a_prompt_comes_from_anywhere(self):
        expected = self.json("run", "-m", MODEL, *GREEDY, "-p", "the other")["tokens"]
        file = self.scratch / "prompt.txt"
        file.write_text("the other\n", encoding="utf-8")
        self.assertEqual(self.json("run", "-m", MODEL, *GREEDY, "-f", file)["tokens"], expected)
        self.assertEqual(self.json("run", "-m", MODEL, *GREEDY, input="the other\n")["tokens"], expected)

    def test_two_prompts_are_one_too_many(self):
        self.carat("run", "-m", MODEL, "-p", "the", "--token-ids", "2", expect=support.WRONG_USAGE)

    def test_ids_that_are_none(self):
        for ids in ("", "2,,3", "2,x", "2 3", "99999999999"):
            done = self.carat("run", "-m", MODEL, "--token-ids", ids, expect=support.WRONG_USAGE)
            self.assertNotIn("internal", done.stderr)

    def test_ids_are_taken_as_they_are(self):
        out = self.scratch / "logits.npy"
        self.json("run", "-m", MODEL, "--token-ids", "10,11,40", "-n", 0, "--logits", out)
        self.assertEqual(support.read_npy(out)[0][0], 3)

    def test_a_full_context_is_a_reason_to_stop(self):
        answer = self.json("run", "-m", MODEL, "--token-ids", "2,10,11", "-n", 500, "-c", 8, "--temp", 0)
        if answer["stop_reason"] != "stop":
            self.assertEqual(answer["stop_reason"], "context")
            self.assertEqual(len(answer["tokens"]), 6)


if __name__ == "__main__":
    support.main()
