"""How carat run picks tokens, and what ends an answer."""

import unittest

import support

MODEL = support.golden("e2b_bf16")
PROMPT = ["-p", "the other", "-n", 40]
HOT = ["--temp", 1.5, "--top-k", 0, "--top-p", 1, "--seed", 5]


class Sampling(support.ProgramTest):
    def answer(self, *arguments, prompt=PROMPT):
        return self.json("run", "-m", MODEL, *prompt, *arguments)

    def tokens(self, *arguments):
        return self.answer(*arguments)["tokens"]

    def test_every_cut_can_leave_one_token(self):
        greedy = self.tokens("--temp", 0)
        for cut in (["--top-k", 1], ["--top-k", 0, "--top-p", 1e-6], ["--top-k", 0, "--top-p", 1, "--min-p", 1]):
            self.assertEqual(self.tokens("--temp", 1, *cut), greedy, cut)

    def test_a_banned_token_does_not_come(self):
        first = self.tokens("--temp", 0)[0]
        for value in ("-inf", "-10000"):
            self.assertNotIn(first, self.tokens("--temp", 0, "--logit-bias", f"{first}={value}"))

    def test_biases_add_up(self):
        tokens = self.tokens(*HOT, "--logit-bias", "40=+500", "--logit-bias", "41=500", "--logit-bias", "41=+1000")
        self.assertEqual(set(tokens), {41})

    def test_penalties_bring_other_tokens(self):
        one_of_twenty = ["--temp", 0]
        for token in range(40, 60):
            one_of_twenty += ["--logit-bias", f"{token}=100"]
        free = self.tokens(*one_of_twenty)
        self.assertLessEqual(set(free), set(range(40, 60)))
        for penalty in (["--repeat-penalty", 1.5], ["--presence-penalty", 2], ["--frequency-penalty", 2]):
            self.assertGreater(len(set(self.tokens(*one_of_twenty, *penalty))), len(set(free)), penalty)
            self.assertEqual(self.tokens(*one_of_twenty, *penalty, "--repeat-last-n", 0), free)

    def test_suppressed_tokens_do_not_come(self):
        model = self.scratch / "suppressed"
        model.mkdir()
        for file in MODEL.iterdir():
            (model / file.name).write_bytes(file.read_bytes())
        first = self.tokens("--temp", 0)[0]
        (model / "generation_config.json").write_text(f'{{"eos_token_id": [1], "suppress_tokens": [{first}]}}')
        self.carat("convert", model, self.scratch / "suppressed.gguf")
        for path in (model, self.scratch / "suppressed.gguf"):
            answer = self.json("run", "-m", path, *PROMPT, "--temp", 0, "--logit-bias", f"{first}=1000")
            self.assertNotIn(first, answer["tokens"])

    def test_nothing_left_is_an_error(self):
        bans = [argument for token in range(320) for argument in ("--logit-bias", f"{token}=-inf")]
        done = self.carat("run", "-m", MODEL, *PROMPT, *bans, expect=support.FAILED)
        self.assertIn("banned", done.stderr)

    def test_parameters_out_of_range_are_wrong_usage(self):
        for option, value, words in (
                ("--temp", -1, "temperature: expected 0 or more, found -1"),
                ("--temp", "nan", "temperature: expected 0 or more, found nan"),
                ("--top-k", -1, "top_k: expected 0 (all tokens) or more, found -1"),
                ("--top-p", 0, "top_p: expected more than 0 and at most 1, found 0"),
                ("--top-p", 1.5, "top_p: expected more than 0 and at most 1, found 1.5"),
                ("--min-p", -0.5, "min_p: expected 0 to 1, found -0.5"),
                ("--min-p", "nan", "min_p: expected 0 to 1, found nan"),
                ("--repeat-penalty", 0, "repetition_penalty: expected more than 0 and at most 100, found 0"),
                ("--presence-penalty", 3, "presence_penalty: expected -2 to 2, found 3"),
                ("--frequency-penalty", -3, "frequency_penalty: expected -2 to 2, found -3"),
                ("--repeat-last-n", -2, "penalty_window: expected -1 (all ids) to 1048576, found -2"),
                ("--logit-bias", "320=1", "logit_bias: expected ids from 0 to 319, found 320"),
                ("--logit-bias", "7=inf", "logit_bias: id 7: expected -10000 to 10000, or -inf to ban it, found inf"),
                ("--logit-bias", "7=nan", "logit_bias: id 7: "),
                ("--logit-bias", "seven=1", "--logit-bias: expected an id and what to add to its logit"),
                ("--logit-bias", "7", "--logit-bias: expected an id and what to add to its logit"),
                ("--stop", "a" * 1025, "stop string: expected 1 to 1024 bytes, found 1025"),
                ("--cache-type", "q3", "--cache-type"),
                ("--chat-template", "llama", "--chat-template"),
                ("-b", 0, "--batch")):
            done = self.carat("run", "-m", MODEL, *PROMPT, f"{option}={value}" if option != "-b" else f"-b{value}",
                              expect=support.WRONG_USAGE)
            self.assertIn(words, done.stderr)

    def test_an_answer_ends_in_front_of_a_stop_string(self):
        whole = self.answer(*HOT)
        self.assertIsNone(whole["stop_string"])
        text = whole["text"]
        for begin in range(3, len(text) - 4, 7):
            stop = text[begin:begin + 4]
            if "\ufffd" in stop:
                continue
            answer = self.answer(*HOT, "--stop", "not there", f"--stop={stop}")
            self.assertEqual(answer["text"], text[:text.find(stop)])
            self.assertEqual((answer["stop_reason"], answer["stop_string"]), ("stop", stop))
            streamed = self.carat("run", "-m", MODEL, *PROMPT, *HOT, f"--stop={stop}").stdout
            self.assertEqual(streamed, answer["text"] + "\n")

    def test_what_could_become_a_stop_string_is_written_when_it_does_not(self):
        text = self.answer(*HOT)["text"]
        self.assertEqual(self.answer(*HOT, f"--stop={text[-1]} and what never comes")["text"], text)

    def test_a_batch_of_any_size_gives_the_same_text(self):
        prompt = ["--token-ids", ",".join(str(2 + index * 7 % 300) for index in range(70)), "-n", 20]
        expected = self.answer("--temp", 0, prompt=prompt)["tokens"]
        for batch in (1, 7, 4096):
            self.assertEqual(self.answer("--temp", 0, "-b", batch, prompt=prompt)["tokens"], expected)

    def test_every_type_of_cache_answers(self):
        opal = support.SOURCE / "models" / "opal"
        for kind in ("f32", "f16", "q8_0", "q4_0"):
            answer = self.json("run", "-m", opal, "-p", "Once upon a time", "-n", 8, "--temp", 0, "--cache-type", kind)
            self.assertGreater(len(answer["tokens"]), 0)


if __name__ == "__main__":
    unittest.main()
