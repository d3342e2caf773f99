"""The wire format of protocol buffers, as far as CIFF needs it: whole numbers, texts and messages in messages.

Source: protobuf.dev/programming-guides/encoding. Each field is a tag, number << 3 | type, and its value; a message
among others in a file comes after its length.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_VARINT, _DOUBLE, _BYTES = 0, 1, 2


def varint(value: int) -> bytes:
    """A whole number of 0 or more, seven bits a byte, the lowest first; all bytes but the last have their top bit."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: int | float | str | bytes) -> bytes:
    """A field of a message: a whole number, a double, a text, or another message."""
    if isinstance(value, float):
        return varint(number << 3 | _DOUBLE) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3 | _VARINT) + varint(value)
    content = value.encode("utf-8", "replace") if isinstance(value, str) else value
    return varint(number << 3 | _BYTES) + varint(len(content)) + content


def delimited(message: bytes) -> bytes:
    """A message as one of several in a file."""
    return varint(len(message)) + message


def pairs(number: int, first: NDArray[np.int64], second: NDArray[np.int64]) -> bytes:
    """A repeated field of messages of two whole numbers each, fields 1 and 2."""
    (ones, has_one), (twos, has_two) = _varints(first), _varints(second)
    n = len(first)
    length = (2 + has_one.sum(axis=1) + has_two.sum(axis=1)).astype(np.uint8)  # 2 to 22: a byte

    def column(value: int) -> NDArray[np.uint8]:
        return np.full((n, 1), value, np.uint8)

    tags = column(number << 3 | _BYTES), length[:, None], column(1 << 3 | _VARINT), column(2 << 3 | _VARINT)
    content = np.hstack([tags[0], tags[1], tags[2], ones, tags[3], twos])
    always = np.ones((n, 1), np.bool_)
    return content[np.hstack([always, always, always, has_one, always, has_two])].tobytes()


def _varints(values: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Numbers below 2^70 in ten bytes each, and which of the bytes are there."""
    shifts = 7 * np.arange(9, dtype=np.uint64)
    groups = (values.astype(np.uint64)[:, None] >> shifts) & np.uint64(0x7F)
    there = np.maximum.accumulate((groups > 0)[:, ::-1], axis=1)[:, ::-1]
    there[:, 0] = True
    more = np.zeros_like(there)
    more[:, :-1] = there[:, 1:]
    return (groups | np.where(more, np.uint64(0x80), np.uint64(0))).astype(np.uint8), there


def messages(data: memoryview) -> Iterator[memoryview]:
    """Messages that follow each other, each after its length."""
    at = 0
    while at < len(data):
        length, at = _number(data, at)
        yield data[at : at + length]
        at += length


def fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """The fields of a message in their order, by number.

    Raises:
        ValueError: it is none, or has fields of another type.
    """
    at = 0
    while at < len(message):
        tag, at = _number(message, at)
        if tag & 7 == _VARINT:
            value, at = _number(message, at)
            yield tag >> 3, value
        elif tag & 7 == _DOUBLE:
            yield tag >> 3, struct.unpack_from("<d", message, at)[0]
            at += 8
        elif tag & 7 == _BYTES:
            length, at = _number(message, at)
            yield tag >> 3, message[at : at + length]
            at += length
        else:
            raise ValueError(f"a field of type {tag & 7} came in a message of numbers and texts")


def _number(data: memoryview, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
