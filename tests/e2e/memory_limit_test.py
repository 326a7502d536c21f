"""--max-memory is a promise, and carat plan says what it will come to."""

import json
import re
import unittest

import support

OPAL = support.SOURCE / "models" / "opal" / "opal-qat-q4_0.gguf"
TINY = support.golden("e2b_bf16")
IDS = ",".join(str(2 + i % 200) for i in range(300))


class MaxMemory(support.ProgramTest):
    def run_within(self, limit, *arguments, model=OPAL, **options):
        return self.carat("run", "-m", model, "--token-ids", IDS, "-n", 100, "--max-memory", limit, "--json",
                          *arguments, **options)

    def needed(self, *arguments, model=OPAL):
        run = self.json("run", "-m", model, "--token-ids", IDS, "-n", 100, *arguments)
        return run["planned_bytes"]["resident"]

    def test_the_peak_stays_below_the_limit(self):
        for model, parts in ((OPAL, (1.01, 0.96, 0.9)), (TINY, (1.01, 0.98))):
            needed = self.needed(model=model)
            for part in parts:
                limit = int(needed * part)
                done = self.carat("run", "-m", model, "--token-ids", IDS, "-n", 100, "--max-memory", limit, "--json")
                self.assertLessEqual(json.loads(done.stdout)["peak_rss_bytes"], limit, (model, part))
                self.assertEqual(bool(done.stderr), part < 1, done.stderr)

    def test_a_plan_is_no_less_than_the_peak_and_not_much_more(self):
        for model in (OPAL, TINY, OPAL.parent):
            run = self.json("run", "-m", model, "--token-ids", IDS, "-n", 100, "-c", "400")
            planned = run["planned_bytes"]["resident"]
            self.assertLessEqual(run["peak_rss_bytes"], planned)
            self.assertLess(planned, run["peak_rss_bytes"] + 6e6)

    def test_what_becomes_smaller_is_said_and_changes_no_token(self):
        all_in = json.loads(self.carat("run", "-m", OPAL, "--token-ids", IDS, "-n", 100, "--json").stdout)
        done = self.run_within(int(self.needed() * 0.96))
        self.assertRegex(done.stderr, r"^--max-memory: a batch of (64|32) instead of 128 saves [\d.]+ [kM]B\n$")
        self.assertEqual(json.loads(done.stdout)["tokens"], all_in["tokens"])

    def test_what_cannot_fit_is_refused_with_what_would_help(self):
        needed = self.needed("-c", 512, "-b", 128)
        done = self.run_within(needed - 20000, "-c", 512, "-b", 128, "--cache-type", "f32", expect=support.REFUSED)
        self.assertEqual(done.stdout, "")
        self.assertIn("What would help:", done.stderr)
        for option in ("--cache-type q8_0", "-b 64"):
            self.assertRegex(done.stderr, rf"(?m)^  {option} saves [\d.]+ [kM]?B: enough$")
        done = self.run_within("4M", expect=support.REFUSED)
        self.assertIn("opal-qat-q4_0.gguf: needs ", done.stderr)
        self.assertIn("not enough", done.stderr)

    def test_an_option_that_is_said_to_help_helps(self):
        limit = self.needed("-c", 512, "-b", 128) - 20000
        fixed = ["-c", 512, "-b", 128, "--cache-type", "f32"]
        refusal = self.run_within(limit, *fixed, expect=support.REFUSED).stderr
        offers = re.findall(r"(?m)^  (.*) saves .*: enough$", refusal)
        self.assertGreaterEqual(len(offers), 2)
        for offer in offers:
            wanted = dict(zip(fixed[::2], fixed[1::2]))
            words = offer.split()
            wanted.update(zip(words[::2], words[1::2]))
            done = self.run_within(limit, *[word for pair in wanted.items() for word in pair])
            self.assertLessEqual(json.loads(done.stdout)["peak_rss_bytes"], limit, offer)

    def test_the_prompt_keeps_its_room(self):
        # 300 ids and 100 to come do not go into the smallest context that the limit alone would lead to.
        done = self.run_within(int(self.needed() * 0.94))
        self.assertEqual(len(json.loads(done.stdout)["tokens"]), 100)

    def test_sizes_are_read_as_they_are_written(self):
        for size in ("950M", "1G", "1.5GiB", "2000000000"):
            self.run_within(size)
        for size in ("950X", "-1M", "0", "many", ""):
            self.run_within(size, expect=support.WRONG_USAGE)

    def test_eval_stays_below_the_limit_and_gives_the_same_figure(self):
        text = self.scratch / "text.txt"
        text.write_text((OPAL.parent / "held_out.txt").read_text(encoding="utf-8")[:3000], encoding="utf-8")
        free = self.json("eval", "-m", OPAL, "--text", text)
        limit = free["peak_rss_bytes"] + 1_000_000
        bound = self.json("eval", "-m", OPAL, "--text", text, "--max-memory", limit)
        self.assertLessEqual(bound["peak_rss_bytes"], limit)
        self.assertEqual(bound["perplexity"], free["perplexity"])
        self.carat("eval", "-m", OPAL, "--text", text, "--max-memory", "5M", expect=support.REFUSED)

    def test_chat_takes_the_limit(self):
        self.carat("chat", "-m", OPAL, "--max-memory", "1G", "-n", 3, input="hello\n")
        self.carat("chat", "-m", OPAL, "--max-memory", "3M", input="hello\n", expect=support.REFUSED)


class Plan(support.ProgramTest):
    def test_a_file_is_planned_as_it_runs(self):
        plan = self.json("plan", OPAL, "-c", 400)
        run = self.json("run", "-m", OPAL, "--token-ids", IDS, "-n", 100, "-c", 400)
        self.assertEqual(len(plan["rows"]), 1)
        for name, bytes_ in plan["rows"][0]["planned_bytes"].items():
            if name not in ("program", "vocabulary", "resident"):
                self.assertEqual(bytes_, run["planned_bytes"][name], name)

    def test_all_published_models_in_all_schemes(self):
        plan = self.json("plan", "all")
        self.assertEqual(len(plan["rows"]), 3 * (3 * 5 + 2))
        self.assertGreater(plan["bandwidth_bytes_per_s"], 1e8)
        self.assertIn("recommendation", plan)
        for row in plan["rows"]:
            self.assertEqual(row["fits"], row["planned_bytes"]["resident"] <= plan["available_bytes"])
        table = self.carat("plan", "all").stdout
        self.assertLessEqual(max(map(len, table.splitlines())), 120)

    def test_the_mobile_e2b_takes_less_than_a_gigabyte(self):
        for context, most in ((4096, 0.93e9), (32768, 1.00e9)):
            row = self.json("plan", "e2b", "--scheme", "mobile", "-c", context)["rows"][0]
            self.assertEqual(row["cache_type"], "int8")
            self.assertLess(row["planned_bytes"]["resident"], most)

    def test_contexts_end_at_the_models_own(self):
        rows = self.json("plan", "opal", "--scheme", "q4_0")["rows"]
        self.assertEqual([row["context"] for row in rows], [512])
        rows = self.json("plan", "e2b", "--scheme", "q4_0", "-c", 999, "-c", 10**9)["rows"]
        self.assertEqual([row["context"] for row in rows], [999, 131072])

    def test_what_is_no_model_is_refused(self):
        done = self.carat("plan", "e3b", expect=support.REFUSED)
        self.assertIn("opal, e2b, e4b, 12b, 26b-a4b, 31b", done.stderr)
        self.carat("plan", expect=support.WRONG_USAGE)
        self.carat("plan", OPAL, "--scheme", "q4_0", expect=support.WRONG_USAGE)
        self.carat("plan", "26b-a4b", "--scheme", "mobile", expect=support.REFUSED)


if __name__ == "__main__":
    support.main()
