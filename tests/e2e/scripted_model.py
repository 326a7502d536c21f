"""A Gemma 4 model that says what a test wants: each piece is followed by one that the test names.

Widths are as large as the vocabulary, so that a piece is a direction of its own. The one layer's attention gives
nothing; its feed-forward network adds the direction of the next piece, ten times as long as that of the piece it read.
"""

import array
import json
import struct

import support

END = "<turn|>"
STEP = 10.0
MULTIPLE = 32  # of which matrices have their widths
WIDTHS = ("vocab_size", "vocab_size_per_layer_input", "hidden_size", "intermediate_size")


def spell(piece):
    return piece.replace(" ", "\u2581")


def with_pieces(vocabulary, scripts):
    """The vocabulary, and the pieces of the scripts that it lacks."""
    pieces = list(vocabulary)
    for piece in [piece for start, script in scripts.items() for piece in [start, *script]]:
        if piece not in pieces:
            pieces.append(piece)
    pieces += [f"<unused{place}>" for place in range(len(pieces), len(pieces) + -len(pieces) % MULTIPLE)]
    return {piece: place for place, piece in enumerate(pieces)}


def successors(ids, scripts):
    """The id that follows each id; the end of the turn where no script says another."""
    after = [ids[END]] * len(ids)
    told = set()
    for start, script in scripts.items():
        for piece, following in zip([start, *script], script):
            assert piece not in told, f"{piece!r} cannot be followed by two pieces"
            told.add(piece)
            after[ids[piece]] = ids[following]
    return after


def matrix(rows, columns, value=0.0, places=()):
    """Of zeros, but for `value` at some places."""
    values = array.array("f", bytes(4 * rows * columns))
    for row, column in places:
        values[row * columns + column] = value
    return (rows, columns), values


def vector(size, value):
    return (size,), array.array("f", [value]) * size


def tensors(after, config):
    width = config["vocab_size"]
    full = config["per_layer_config"]["0"]
    heads, values = config["num_attention_heads"] * full["head_dim"], full["num_key_value_heads"] * full["head_dim"]
    same = [(place, place) for place in range(width)]
    attention, network = "model.layers.0.self_attn.", "model.layers.0.mlp."
    return {
        "model.embed_tokens.weight": matrix(width, width, 1.0, same),
        "model.norm.weight": vector(width, 1.0),
        "model.layers.0.layer_scalar": vector(1, 1.0),
        "model.layers.0.input_layernorm.weight": vector(width, 1.0),
        "model.layers.0.post_attention_layernorm.weight": vector(width, 0.0),
        "model.layers.0.pre_feedforward_layernorm.weight": vector(width, 1.0),
        "model.layers.0.post_feedforward_layernorm.weight": vector(width, STEP),
        attention + "q_proj.weight": matrix(heads, width),
        attention + "k_proj.weight": matrix(values, width),
        attention + "o_proj.weight": matrix(width, heads),
        attention + "q_norm.weight": vector(full["head_dim"], 1.0),
        attention + "k_norm.weight": vector(full["head_dim"], 1.0),
        network + "gate_proj.weight": matrix(width, width, 1.0, same),
        network + "up_proj.weight": matrix(width, width, 1.0, same),
        network + "down_proj.weight": matrix(width, width, 1.0, [(to, piece) for piece, to in enumerate(after)]),
    }


def write_safetensors(path, named):
    header, data = {}, b""
    for name, (shape, values) in named.items():
        content = values.tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_scripted_model(folder, scripts):
    """Writes a HuggingFace folder, a large model without a chat template of its own.

    `scripts` has lists of pieces, each said after the piece that is its key: "\\n" ends a prompt that lets the model
    think, "<channel|>" one that does not, "<tool_response|>" one that gives a result. Pieces that the vocabulary lacks
    are added, whole sentences too. No piece is followed by two; what no script continues ends the turn."""
    folder.mkdir()
    base = support.golden("12b_f32")
    tokenizer = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))
    spelled = {spell(start): [spell(piece) for piece in script] for start, script in scripts.items()}
    ids = with_pieces(tokenizer["model"]["vocab"], spelled)
    tokenizer["model"]["vocab"] = ids
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    config.update(num_hidden_layers=1, layer_types=["full_attention"], max_position_embeddings=2048,
                  per_layer_config={"0": {"head_dim": 32, "num_key_value_heads": 1}}, final_logit_softcapping=None,
                  **dict.fromkeys(WIDTHS, len(ids)))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "generation_config.json").write_bytes((base / "generation_config.json").read_bytes())
    write_safetensors(folder / "model.safetensors", tensors(successors(ids, spelled), config))
