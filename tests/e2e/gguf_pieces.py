"""A GGUF file taken apart, so that a test can damage one piece and put it together again."""

import dataclasses
import struct

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9


@dataclasses.dataclass
class Tensor:
    name: bytes
    shape: list  # fastest extent first, as in the file
    type: int
    offset: int


@dataclasses.dataclass
class Gguf:
    entries: list  # (key, type and value as they stand in the file)
    tensors: list
    data: bytes
    version: int = 3
    magic: bytes = b"GGUF"
    sections: dict = dataclasses.field(default_factory=dict)  # where each section ends in the file that was read

    def entry(self, key):
        return next(index for index, (name, _) in enumerate(self.entries) if name == key)

    def tensor(self, name):
        return next(tensor for tensor in self.tensors if tensor.name == name)

    def to_bytes(self):
        out = bytearray(self.magic + struct.pack("<IQQ", self.version, len(self.tensors), len(self.entries)))
        for key, value in self.entries:
            out += packed(key) + value
        for tensor in self.tensors:
            out += packed(tensor.name) + struct.pack("<I", len(tensor.shape))
            out += b"".join(struct.pack("<Q", extent % 2**64) for extent in tensor.shape)
            out += struct.pack("<IQ", tensor.type, tensor.offset)
        out += bytes(-len(out) % 32)
        return bytes(out + self.data)


def without_history(path):
    """What a file holds, but for how it came to be."""
    gguf = read(path)
    history = (b"carat.sha256", b"carat.provenance")
    return [entry for entry in gguf.entries if entry[0] not in history], gguf.tensors, gguf.data


def packed(text):
    return struct.pack("<Q", len(text)) + text


def read(path):
    content = path.read_bytes()
    position = 24
    sections = {"magic": 4, "version": 8, "counts": 24}
    count_tensors, count_entries = struct.unpack_from("<QQ", content, 8)

    def text():
        nonlocal position
        length, = struct.unpack_from("<Q", content, position)
        position += 8 + length
        return content[position - length:position]

    def skip_value(kind):
        nonlocal position
        if kind == STRING:
            text()
        elif kind == ARRAY:
            inner, length = struct.unpack_from("<IQ", content, position)
            position += 12
            for _ in range(length):
                skip_value(inner)
        else:
            position += SIZES[kind]

    entries = []
    for _ in range(count_entries):
        key = text()
        begin = position
        position += 4
        skip_value(struct.unpack_from("<I", content, begin)[0])
        entries.append((key, content[begin:position]))
    sections["entries"] = position

    tensors = []
    for _ in range(count_tensors):
        name = text()
        extents, = struct.unpack_from("<I", content, position)
        shape = list(struct.unpack_from(f"<{extents}Q", content, position + 4))
        kind, offset = struct.unpack_from("<IQ", content, position + 4 + 8 * extents)
        position += 16 + 8 * extents
        tensors.append(Tensor(name, shape, kind, offset))
    sections["tensors"] = position
    position += -position % 32
    sections["data"] = len(content)
    return Gguf(entries, tensors, content[position:], sections=sections)


def split(gguf, count):
    """The bytes of `count` files that hold the model together, as llama.cpp's gguf-split writes them."""
    def u16(value):
        return struct.pack("<IH", 2, value)

    files = []
    order = sorted(gguf.tensors, key=lambda tensor: tensor.offset)
    ends = [tensor.offset for tensor in order[1:]] + [len(gguf.data)]
    for part in range(count):
        first, last = part * len(order) // count, (part + 1) * len(order) // count
        entries = list(gguf.entries) if part == 0 else []
        entries += [(b"split.no", u16(part)), (b"split.count", u16(count)),
                    (b"split.tensors.count", struct.pack("<Ii", 5, len(order)))]
        begin = order[first].offset
        tensors = [dataclasses.replace(tensor, offset=tensor.offset - begin) for tensor in order[first:last]]
        files.append(Gguf(entries, tensors, gguf.data[begin:ends[last - 1]]).to_bytes())
    return files
