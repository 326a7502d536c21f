"""Folders as mlx-lm writes them, in numpy alone: tensors, the packing of codes, and what a weight is worth.

A quantized module has `weight` (uint32, the first code in the lowest bits), `scales` and `biases`. mlx multiplies and
adds: a weight is stored code * scale + bias.
"""

import hashlib
import json

import skip

numpy, = skip.require("numpy")

ELEMENTS = {"U32": numpy.uint32, "I32": numpy.int32, "I64": numpy.int64, "F32": numpy.float32, "F16": numpy.float16,
            "BF16": numpy.uint16}


def to_bf16(values):
    """Float32 to the bits of bfloat16, half to even; values are finite."""
    bits = numpy.ascontiguousarray(values, numpy.float32).view(numpy.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(numpy.uint16)


def from_bf16(bits):
    return (bits.astype(numpy.uint32) << 16).view(numpy.float32)


def rounded_to_bf16(values):
    return from_bf16(to_bf16(values))


def read_tensors(path):
    """{name: (type, array)}; bfloat16 as its bits."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8:8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        array = numpy.frombuffer(content[8 + length + begin:8 + length + end], ELEMENTS[entry["dtype"]])
        tensors[name] = (entry["dtype"], array.reshape(entry["shape"]))
    return tensors


def write_tensors(path, tensors):
    """The inverse; wide elements come first, so that each lies at a multiple of its size."""
    header, data = {"__metadata__": {"format": "mlx"}}, b""
    for name, (dtype, array) in sorted(tensors.items(), key=lambda item: -item[1][1].itemsize):
        piece = array.tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def floats(tensor):
    dtype, array = tensor
    return from_bf16(array) if dtype == "BF16" else array.astype(numpy.float32)


def packed(stored, bits):
    """Words of codes between 0 and 2^bits - 1."""
    lanes = stored.astype(numpy.uint64).reshape(*stored.shape[:-1], -1, 32 // bits)
    return (lanes << (numpy.arange(32 // bits, dtype=numpy.uint64) * bits)).sum(-1).astype(numpy.uint32)


def unpacked(words, bits):
    lanes = (words[..., None] >> (numpy.arange(32 // bits, dtype=numpy.uint32) * bits)) & ((1 << bits) - 1)
    return lanes.reshape(*words.shape[:-1], -1)


def settings_of(config, module):
    quantization = config["quantization"]
    own = quantization.get(module, True)
    return quantization if own is True else own


class Module:
    """A quantized module of a folder."""

    def __init__(self, config, tensors, name):
        settings = settings_of(config, name)
        self.bits, self.columns = settings["bits"], settings["group_size"]
        self.scale_type = tensors[name + ".scales"][0]
        stored = unpacked(tensors[name + ".weight"][1], self.bits)
        self.stored = stored.reshape(*stored.shape[:-1], -1, self.columns).astype(numpy.float32)
        self.scales = floats(tensors[name + ".scales"])[..., None]
        self.biases = floats(tensors[name + ".biases"])[..., None]

    def codes(self):
        """The integers of the symmetric lattice, int8."""
        return flat(self.stored - 2 ** (self.bits - 1)).astype(numpy.int8)

    def values(self):
        """What mlx's rule makes of them when no step of it rounds: all of this is exact in float64."""
        exact = self.stored.astype(numpy.float64) * self.scales + self.biases
        return flat(exact).astype(numpy.float32)

    def rounded(self, values):
        """`values` in the type of the scales."""
        return rounded_to_bf16(values) if self.scale_type == "BF16" else values.astype(numpy.float32)

    def kernel_values(self):
        """The same as kernels get it that compute in the type of the scales: product and sum are rounded each."""
        return flat(self.rounded(self.rounded(self.stored * self.scales) + self.biases))


def flat(groups):
    return groups.reshape(*groups.shape[:-2], -1)


def modules_of(config, tensors):
    """The quantized modules of the text model by Carat's names for their weights."""
    found = {}
    for name in tensors:
        if not name.endswith(".scales") or name.startswith("vision_tower."):
            continue
        module = name.removesuffix(".scales")
        found[carat_name(module)] = Module(config, tensors, module)
    return found


def carat_name(module):
    name = module.removeprefix("language_model.").replace(".experts.switch_glu.", ".experts.")
    return name if ".experts." in name else name + ".weight"


def load(folder):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config, read_tensors(folder / "model.safetensors")


def sha256(array):
    return hashlib.sha256(numpy.ascontiguousarray(array).tobytes()).hexdigest()


def described(modules):
    return {name: {"codes": sha256(module.codes()), "values": sha256(module.values())}
            for name, module in sorted(modules.items())}
