"""Prompts of token ids that do not need a tokenizer."""


def prompts_for(vocabulary, window, bos):
    """Two prompts, one longer than three sliding windows and one that fits in one, always the same for the same model.

    Ids come from a linear congruential generator, so that every tool can make them; the first is `bos`.
    """
    prompts = []
    state = vocabulary * 2654435761 + window
    for length in (3 * window + 1, window):
        prompt = [bos]
        while len(prompt) < length:
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
