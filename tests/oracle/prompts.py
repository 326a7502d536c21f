"""Prompts of token ids that do not need a tokenizer."""


def prompts_for(vocabulary, window, bos):
    """Five prompts, each long enough to pass the sliding window twice, always the same for the same model.

    Ids come from a linear congruential generator, so that every tool can make them; the first is `bos`.
    """
    prompts = []
    state = vocabulary * 2654435761 + window
    for index in range(5):
        prompt = [bos]
        while len(prompt) < 2 * window + 1 + 2 * index:
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            prompt.append((state >> 33) % vocabulary)
        prompts.append(prompt)
    return prompts


def read_prompts(path):
    """One prompt a line: ids separated by commas."""
    with open(path, encoding="ascii") as lines:
        return [[int(number) for number in line.split(",")] for line in lines if line.strip()]


def write_prompts(path, prompts):
    with open(path, "w", encoding="ascii") as out:
        for prompt in prompts:
            out.write(",".join(map(str, prompt)) + "\n")
