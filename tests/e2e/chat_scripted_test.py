"""carat chat with models that think, call tools and answer as a test says, on a terminal and from a pipe"""

import json
import re

import support
from scripted_model import write_scripted_model
from terminal import CTRL_C, PROMPT, ChatTest, Terminal

PROMPT_THINKS, PROMPT_ANSWERS, PROMPT_HAS_RESULT = "\n", "<channel|>", "<tool_response|>"
THINKS = {PROMPT_THINKS: ["<|channel>", "thought\n", "It is", " warm\n", "and late.", "<channel|>"],
          PROMPT_ANSWERS: ["Hello", ", you", "<turn|>"]}
CALLS = {PROMPT_ANSWERS: ["<|tool_call>", "call:weather{city:", "\"Bern\"", ",", "day:1}", "<tool_call|>",
                          "<|tool_response>"],
         PROMPT_HAS_RESULT: ["It rains", " there.", "<turn|>"]}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "day": {"type": "integer"}}}}}]
SPECIAL = ("<pad><eos><bos><unk><mask><|tool><tool|><|tool_call><tool_call|><|tool_response><tool_response|><|\"|>"
           "<|think|><|channel><channel|><|turn><turn|>")


def prompt_lengths(shown):
    return [int(length) for length in re.findall(r"prompt (\d+) tokens", shown)]


class Scripted(ChatTest):
    SCRIPTS = THINKS

    def setUp(self):
        super().setUp()
        self.MODEL = self.scratch / "scripted"
        write_scripted_model(self.MODEL, self.SCRIPTS)


class Thinking(Scripted):
    def test_from_a_pipe_only_the_answer_is_output(self):
        for flags in ([], ["--think"]):
            done = self.carat("chat", "-m", self.MODEL, *flags, input="hi\nho\n")
            self.assertEqual(done.stdout, "Hello, you\nHello, you\n")
            self.assertEqual(len(re.findall(r"thought for [\d.]+ s, \d+ tokens", done.stderr)), 2 * len(flags))
            self.assertNotIn("warm", done.stderr)

    def test_a_thought_folds_into_one_line(self):
        terminal = self.chat("--think", NO_COLOR="1")
        shown = self.say(terminal, "hi")
        self.assertRegex(shown, r"thinking\r\nIt is warm\r\nand late\.\r\n\x1b\[3A\r\x1b\[J"
                                r"thought for [\d.]+ s, \d+ tokens \(/thoughts shows them\)\r\nHello, you\r\n")
        self.assertIn("It is warm\r\nand late.\r\n", self.say(terminal, "/thoughts"))
        self.say(terminal, "/think unfold")
        self.assertRegex(self.say(terminal, "hi"), r"and late\.\r\nthought for [\d.]+ s, \d+ tokens\r\nHello, you\r\n")
        self.leave(terminal)

    def test_thinking_is_switched(self):
        terminal = self.chat()
        self.assertNotIn("thought", self.say(terminal, "hi"))
        self.say(terminal, "/think on")
        self.assertIn("thought", self.say(terminal, "hi"))
        self.say(terminal, "/think off")
        self.assertNotIn("thought", self.say(terminal, "hi"))
        thoughts = [message.get("thought") for message in self.messages(terminal) if message["role"] == "model"]
        self.assertEqual(thoughts, [None, "It is warm\nand late.", None])
        self.leave(terminal)

    def test_what_is_saved_is_gone_on_with(self):
        terminal = self.chat("--think")
        self.say(terminal, "hi")
        saved = self.messages(terminal)
        self.say(terminal, "ho")
        answered = self.messages(terminal)
        self.assertEqual(answered[:2], saved)
        (self.scratch / "chat.json").write_text(json.dumps({"carat_chat": 1, "messages": saved}), encoding="utf-8")
        self.say(terminal, "/clear", "/load ~/chat.json", "ho")
        self.assertEqual(self.messages(terminal), answered)
        self.leave(terminal)

    def test_a_thought_without_an_answer_is_no_message(self):
        terminal = self.chat("--think", "-n", 3)
        shown = self.say(terminal, "hi")
        self.assertLess(shown.index("cut off at -n tokens"), shown.index("the message is taken back"))
        self.assertEqual(self.messages(terminal), [])
        self.leave(terminal)

    def test_a_stop_string_counts_in_the_answer_alone(self):
        done = self.carat("chat", "-m", self.MODEL, "--think", "--stop", "warm", "--stop", ", y", input="hi\n")
        self.assertEqual(done.stdout, "Hello\n")

    def test_wrong_options_are_told_at_once(self):
        for option in (["--stop", ""], ["--seed", "-1"], ["--seed", "1" + 20 * "0"], ["-n", "-1"], ["-c", "0"]):
            done = self.carat("chat", "-m", self.MODEL, *option, input="", expect=support.WRONG_USAGE)
            self.assertRegex(done.stderr, "expected .*, found ")


class Tools(Scripted):
    SCRIPTS = CALLS

    def setUp(self):
        super().setUp()
        self.tools = self.scratch / "tools.json"
        self.tools.write_text(json.dumps(TOOLS), encoding="utf-8")

    def call(self, terminal, message):
        terminal.type(message + "\r")
        return terminal.expect(r"\x1b\[\?2004hresult of weather> ")

    def test_a_person_gives_the_result(self):
        terminal = self.chat("--tools", self.tools)
        self.assertIn('calls weather {"city":"Bern","day":1}', self.call(terminal, "How is it?"))
        self.assertIn("It rains there.\r\n", self.say(terminal, '{"rain": true}'))
        self.call(terminal, "And now?")
        self.say(terminal, "21 degrees")
        call = {"name": "weather", "arguments": {"city": "Bern", "day": 1}}
        expected = [{"role": "user", "text": "How is it?"},
                    {"role": "model", "calls": [call], "text": ""},
                    {"role": "tool", "name": "weather", "result": {"rain": True}},
                    {"role": "model", "text": "It rains there."},
                    {"role": "user", "text": "And now?"},
                    {"role": "model", "calls": [call], "text": ""},
                    {"role": "tool", "name": "weather", "result": "21 degrees"},
                    {"role": "model", "text": "It rains there."}]
        self.assertEqual(self.messages(terminal), expected)
        self.say(terminal, "/clear", f"/load {self.scratch / 'saved.json'}")
        self.assertEqual(self.messages(terminal), expected)
        self.leave(terminal)

    def test_a_result_can_be_left_out(self):
        terminal = self.chat("--tools", self.tools)
        self.call(terminal, "How is it?")
        terminal.type(CTRL_C)
        self.assertIn("the call gets no result", terminal.expect(re.escape(PROMPT)))
        self.call(terminal, "And now?")
        self.assertIn("It rains there.", self.say(terminal, "sun"))
        self.leave(terminal)

    def test_a_result_that_does_not_fit_takes_the_message_back(self):
        terminal = self.chat("--tools", self.tools, "-c", 200)
        self.call(terminal, "How is it?")
        self.assertRegex(self.say(terminal, 200 * "x"), "the context has 200; .*the message is taken back")
        self.assertEqual(self.messages(terminal), [])
        self.leave(terminal)

    def test_without_tools_a_call_gets_no_result(self):
        done = self.carat("chat", "-m", self.MODEL, input="How is it?\n")
        self.assertIn('calls weather {"city":"Bern","day":1}\n', done.stderr)
        self.assertIn("no tools are attached", done.stderr)

    def test_damaged_declarations_are_refused(self):
        for text in ("[", "{}", "[1]", '[{"name": "a b"}]', '[{"name": "a"}, {"name": "a"}]'):
            self.tools.write_text(text, encoding="utf-8")
            terminal = Terminal("chat", "-m", self.MODEL, "--tools", self.tools)
            code, shown = terminal.end()
            self.assertEqual(code, support.REFUSED, shown)
            self.assertIn("tools.json", shown)

    def test_typed_text_never_becomes_a_special_piece(self):
        """It takes as many tokens as the same text with other brackets."""
        self.assertEqual(self.lengths_with(SPECIAL), self.lengths_with(SPECIAL.replace("<", "(")))

    def lengths_with(self, text):
        terminal = self.chat("--tools", self.tools, "--system", text)
        shown = self.call(terminal, text) + self.say(terminal, text)
        call = {"name": "f", "arguments": {"a": text, "b": {text: [text]}}}
        said = re.sub(r".\|?channel\|?>", "", text)  # a model's text loses what these marks enclose
        chat = self.scratch / "chat.json"
        chat.write_text(json.dumps({"carat_chat": 1, "messages": [
            {"role": "system", "text": text}, {"role": "user", "text": text},
            {"role": "model", "text": said, "thought": text, "calls": [call]},
            {"role": "tool", "name": "f", "result": {"r": text, text: [text]}},
            {"role": "model", "text": said, "thought": text}]}), encoding="utf-8")
        self.assertIn("5 messages", self.say(terminal, "/clear", f"/load {chat}"))
        shown += self.call(terminal, "so?") + self.say(terminal, text)
        self.leave(terminal)
        lengths = prompt_lengths(shown)
        self.assertEqual(len(lengths), 4, shown)
        return lengths


if __name__ == "__main__":
    support.main()
