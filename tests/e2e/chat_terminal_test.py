"""carat chat on a terminal: a pseudo-terminal plays the person"""

import json
import re
import stat
import time

import support
from terminal import CTRL_C, CTRL_D, PROMPT, TYPED, UP, ChatTest, Terminal

SHORT = ["--temp", "0", "-n", "8"]
# Never ends by itself.
ENDLESS = ["--temp", "0", *(f"--logit-bias={token}=-inf" for token in (1, 9, 16)), "-t", "1"]


class ChatTerminal(ChatTest):
    def test_a_message_gets_the_answer_that_it_gets_from_a_pipe(self):
        expected = self.carat("chat", "-m", self.MODEL, *SHORT, input="Tell me a story\n").stdout
        terminal = self.chat(*SHORT)
        self.assertIn(expected.strip().replace("\n", "\r\n"), self.say(terminal, "Tell me a story"))
        self.leave(terminal)

    def test_run_without_a_prompt_is_a_chat(self):
        terminal = self.chat(*SHORT, command="run")
        self.assertIn("/save FILE", self.say(terminal, "/help"))
        self.leave(terminal)

    def test_what_is_loaded_and_how_fast_it_is(self):
        terminal = Terminal("chat", "-m", self.MODEL, *SHORT, "-t", 1, XDG_STATE_HOME=str(self.scratch))
        loaded = terminal.expect(re.escape(PROMPT))
        for part in ("bf16", "12.8 million parameters", "context 512", "kernels", "1 thread,", "keys and values",
                     "chat format: "):
            self.assertIn(part, loaded)
        answered = self.say(terminal, "Tell me a story")
        self.assertRegex(answered, r"prompt \d+ tokens, [\d.]+/s; answer 8 tokens, [\d.]+/s; context \d+ of 512; peak memory")
        self.assertIn("12.8 million", self.say(terminal, "/stats"))
        self.leave(terminal)

    def test_ctrl_c_stops_the_answer_and_not_the_program(self):
        terminal = self.chat(*ENDLESS)
        terminal.type("Tell me a story\r")
        terminal.expect(re.escape(TYPED) + r"[^\x1b]*\w")
        terminal.type(CTRL_C)
        figures = terminal.expect(re.escape(PROMPT))
        tokens = int(re.search(r"answer (\d+) tokens", figures)[1])
        self.assertTrue(0 < tokens < 480, figures)
        self.assertEqual([role for role, _ in self.saved(terminal)], ["user", "model"])
        self.leave(terminal)

    def test_ctrl_c_while_the_message_is_read_takes_it_back(self):
        terminal = self.chat(*ENDLESS, "-b", 1)
        terminal.type("\x1b[200~" + "a story and " * 120 + "\x1b[201~")
        time.sleep(0.5)
        terminal.type("\r")
        terminal.expect(re.escape(TYPED))
        terminal.type(CTRL_C)
        self.assertRegex(terminal.expect(re.escape(PROMPT)), r"answer 0 tokens[^$]*taken back")
        self.assertEqual(self.saved(terminal), [])
        self.leave(terminal)

    def test_ctrl_c_at_the_prompt_says_how_to_leave(self):
        terminal = self.chat(*SHORT)
        terminal.type(CTRL_C)
        self.assertIn("Ctrl-D", terminal.expect(re.escape(PROMPT)))
        terminal.type("/exit\r")
        self.assertEqual(terminal.end()[0], support.DONE)

    def test_messages_of_many_lines(self):
        terminal = self.chat("--temp", "0", "-n", "1")
        more = r"\x1b\[\?2004h\. "
        terminal.type("one\\\r")
        terminal.expect(more)
        self.say(terminal, "two")
        for line in ('"""three', "four"):
            terminal.type(line + "\r")
            terminal.expect(more)
        self.say(terminal, '/help"""')
        terminal.type("\x1b[200~five\rsix\rseven\x1b[201~")
        self.say(terminal, " and grün 日本")
        messages = [text for role, text in self.saved(terminal) if role == "user"]
        self.assertEqual(messages, ["one\ntwo", "three\nfour\n/help", "five\nsix\nseven and grün 日本"])
        self.leave(terminal)

    def test_ctrl_c_forgets_lines_that_wait_for_more(self):
        terminal = self.chat("--temp", "0", "-n", "1")
        terminal.type('"""one\r')
        terminal.expect(r"\x1b\[\?2004h\. ")
        terminal.type(CTRL_C)
        terminal.expect(re.escape(PROMPT))
        self.say(terminal, "two")
        self.assertEqual(self.saved(terminal)[0], ("user", "two"))
        self.leave(terminal)

    def test_commands(self):
        terminal = self.chat("--temp", "0", "-n", "2", "-s", "be brief")
        self.assertIn("is it /help?", self.say(terminal, "/hepl"))
        self.assertIn("/save FILE", self.say(terminal, "/save"))
        self.say(terminal, "one")
        self.say(terminal, "two")
        self.assertEqual([role for role, _ in self.saved(terminal)], ["system", "user", "model", "user", "model"])
        self.say(terminal, "/undo")
        self.say(terminal, "/regenerate")
        self.say(terminal, "/system be long")
        messages = self.saved(terminal)
        self.assertEqual(messages[:2], [("system", "be long"), ("user", "one")])
        self.assertEqual(len(messages), 3)
        self.say(terminal, "/clear")
        self.assertEqual(self.saved(terminal), [("system", "be long")])
        self.assertIn("no message", self.say(terminal, "/undo"))
        self.assertIn("no thoughts", self.say(terminal, "/thoughts"))
        self.assertIn("expected on, off, fold or unfold", self.say(terminal, "/think hard"))
        self.leave(terminal)

    def test_saved_chats_are_loaded_and_damaged_ones_are_refused(self):
        terminal = self.chat("--temp", "0", "-n", "2")
        self.say(terminal, "one")
        before = self.saved(terminal)
        path = self.scratch / "saved.json"
        damaged = self.scratch / "damaged.json"
        damaged.write_text(path.read_text(encoding="utf-8")[:-20], encoding="utf-8")
        self.assertIn("no valid JSON", self.say(terminal, f"/load {damaged}"))
        damaged.write_text('{"carat_chat": 1, "messages": [{"role": "user"}, {"role": "system"}]}', encoding="utf-8")
        self.assertIn("damaged.json", self.say(terminal, f"/load {damaged}"))
        self.assertIn("absent.json", self.say(terminal, f"/load {self.scratch / 'absent.json'}"))
        self.assertEqual(self.saved(terminal), before)
        self.leave(terminal)
        terminal = self.chat("--temp", "0", "-n", "2")
        self.assertIn("2 messages", self.say(terminal, f"/load {path}"))
        self.assertEqual(self.saved(terminal), before)
        self.leave(terminal)

    def test_history_is_kept_for_the_owner(self):
        terminal = self.chat("--temp", "0", "-n", "1")
        self.say(terminal, "the first")
        self.leave(terminal)
        file = self.scratch / "carat" / "history"
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        terminal = self.chat("--temp", "0", "-n", "1")
        self.say(terminal, UP + " again")
        self.assertEqual(self.saved(terminal)[0], ("user", "the first again"))
        self.leave(terminal)

    def test_no_history_is_no_failure(self):
        terminal = self.chat("--temp", "0", "-n", "1", XDG_STATE_HOME="/dev/null/state")
        self.assertIn("answer 1 tokens", self.say(terminal, "the first"))
        self.leave(terminal)

    def test_a_full_context_says_so_and_the_chat_goes_on(self):
        terminal = self.chat(*ENDLESS, "-c", "40")
        self.assertIn("/clear", self.say(terminal, "Tell me a story"))
        self.assertIn("/clear", self.say(terminal, "Tell me another one"))
        self.say(terminal, "/clear")
        self.assertIn("answer", self.say(terminal, "Tell me a story"))
        self.leave(terminal)

    def test_styles_are_left_out_where_they_are_not_wanted(self):
        dimmed = "\x1b[2m"
        terminal = self.chat(*SHORT)
        self.assertIn(dimmed, self.say(terminal, "Tell me a story"))
        self.leave(terminal)
        terminal = self.chat(*SHORT, NO_COLOR="1")
        self.assertNotRegex(self.say(terminal, "Tell me a story"), r"\x1b\[[0-9;]*m")
        self.leave(terminal)

    def test_typing_while_an_answer_comes_does_not_show_and_is_the_next_message(self):
        terminal = self.chat(*ENDLESS, "-n", "200")
        terminal.type("Tell me a story\r")
        terminal.expect(re.escape(TYPED) + r"[^\x1b]*\w")
        terminal.type("QQQQ\r")
        self.assertNotIn("QQQQ", terminal.expect(re.escape(PROMPT)))
        terminal.expect(re.escape(PROMPT))
        self.assertEqual([text for role, text in self.saved(terminal) if role == "user"], ["Tell me a story", "QQQQ"])
        self.leave(terminal)


if __name__ == "__main__":
    support.main()
