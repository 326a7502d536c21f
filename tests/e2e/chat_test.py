"""carat run --chat, and prompts that do not come with -p"""

import subprocess
import unittest

import support

MODEL = support.golden("sharing")
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
    unittest.main()
