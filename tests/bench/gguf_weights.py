"""Reads the keys and tensors of a BERT model in a GGUF file into numpy arrays, independently of the library."""
import struct

import numpy as np

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values[0]

    def text(self):
        size = self.take("Q")
        self.at += size
        return self.data[self.at - size : self.at].decode("utf-8", "replace")

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind != 9:
            return self.take(SCALARS[kind])
        kind, count = self.take("I"), self.take("Q")
        if kind == 8:
            return [self.text() for _ in range(count)]
        size = struct.calcsize(SCALARS[kind])
        self.at += size * count
        return np.frombuffer(self.data, dtype=np.dtype(SCALARS[kind]), count=count, offset=self.at - size * count)


def nibbles(blocks, start):
    low, high = blocks[:, start : start + 16] & 15, blocks[:, start : start + 16] >> 4
    return np.concatenate([low, high], axis=1).astype(np.float32)


def halves(blocks, start):
    return blocks[:, start : start + 2].copy().view(np.float16).astype(np.float32)


def fifth_bits(blocks, start):
    bits = blocks[:, start : start + 4].copy().view(np.uint32)
    return ((bits >> np.arange(32, dtype=np.uint32)) & 1).astype(np.float32) * 16


def unpack(kind, raw, shape):
    """The tensor as float32; kinds as GGUF numbers them."""
    if kind == 0:
        return np.frombuffer(raw, dtype=np.float32).reshape(shape)
    if kind == 1:
        return np.frombuffer(raw, dtype=np.float16).astype(np.float32).reshape(shape)
    width = {2: 18, 3: 20, 6: 22, 7: 24, 8: 34}[kind]
    blocks = np.frombuffer(raw, dtype=np.uint8).reshape(-1, width)
    d = halves(blocks, 0)
    if kind == 2:
        values = (nibbles(blocks, 2) - 8) * d
    elif kind == 3:
        values = nibbles(blocks, 4) * d + halves(blocks, 2)
    elif kind == 6:
        values = (nibbles(blocks, 6) + fifth_bits(blocks, 2) - 16) * d
    elif kind == 7:
        values = (nibbles(blocks, 8) + fifth_bits(blocks, 4)) * d + halves(blocks, 2)
    else:
        values = blocks[:, 2:].view(np.int8).astype(np.float32) * d
    return values.reshape(shape)


BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34)}


def load(path):
    """(keys, tensors): tensors by name, a matrix as [outputs][inputs]."""
    with open(path, "rb") as file:
        data = file.read()
    reader = Reader(data)
    magic, version, count, key_count = reader.take("4s"), reader.take("I"), reader.take("Q"), reader.take("Q")
    assert magic == b"GGUF" and version in (2, 3)
    keys = {}
    for _ in range(key_count):
        name = reader.text()
        keys[name] = reader.value(reader.take("I"))
    infos = []
    for _ in range(count):
        name, dims = reader.text(), reader.take("I")
        shape = [reader.take("Q") for _ in range(dims)][::-1]
        infos.append((name, shape, reader.take("I"), reader.take("Q")))
    step = keys.get("general.alignment", 32)
    base = (reader.at + step - 1) // step * step
    tensors = {}
    for name, shape, kind, offset in infos:
        per, size = BLOCKS[kind]
        total = int(np.prod(shape)) // per * size
        tensors[name] = unpack(kind, data[base + offset : base + offset + total], shape)
    return keys, tensors
