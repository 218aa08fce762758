"""Frames between judge and worker: strict JSON plus raw buffers. Layer: wire.

A frame is magic, json length u32, raw length u64, nonce u64, kind u8; then the JSON; then the bytes
of all arrays. Nothing that crosses can name code: there is no pickle and no eval. Lengths are
checked before memory is taken. What may stand in the JSON says ``wire_data.py``.
"""

from __future__ import annotations

import gc
import json
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

from autograder.wire_data import Caps, Extension, Reader, WireError, Writer, read_json, require

__all__ = ["HEADER", "Caps", "Codec", "Extension", "Header", "Kind", "WireError", "require"]

HEADER = struct.Struct("<4sIQQB3x")
_MAGIC = b"TFK1"


class Kind(IntEnum):
    """What a frame is for. The judge sends CALL, ANSWER and REFUSAL, the worker the others."""

    HELLO = 1
    CALL = 2
    RESULT = 3
    ERROR = 4
    CALLBACK = 5
    ANSWER = 6
    REFUSAL = 7


@dataclass(frozen=True, slots=True)
class Header:
    """The fixed first part of a frame, checked."""

    kind: Kind
    nonce: int
    json_bytes: int
    raw_bytes: int

    @classmethod
    def parse(cls, data: bytes | bytearray, caps: Caps) -> Header:
        """Read ``HEADER.size`` bytes; raises WireError on wrong magic, kind or lengths."""
        magic, json_bytes, raw_bytes, nonce, kind = HEADER.unpack(data)
        require(magic == _MAGIC, "a frame does not begin with the magic bytes")
        require(kind in Kind.__members__.values(), f"unknown frame kind {kind}")
        _check_size(json_bytes, raw_bytes, caps)
        return cls(Kind(kind), nonce, json_bytes, raw_bytes)


class Codec:
    """Turns objects into frames and back."""

    def __init__(self, extensions: Sequence[Extension] = ()) -> None:
        self._extensions = {extension.tag: extension for extension in extensions}

    def pack(self, kind: Kind, nonce: int, body: object, caps: Caps) -> tuple[bytes, bytes]:
        """One frame, head with JSON and raw bytes; raises WireError naming what cannot cross."""
        sent = False
        try:
            with _no_collection():
                writer = Writer(self._extensions, caps)
                value = writer.write(body)
                sections = {t: e.section(writer.write) for t, e in self._extensions.items()}
                used = {tag: section for tag, section in sections.items() if section is not None}
                message = {"v": value, "s": used, "a": writer.listing()}
                encoded = json.dumps(message, separators=(",", ":"), allow_nan=False).encode(
                    "ascii"
                )
            raw_bytes = sum(array.nbytes for array in writer.arrays)
            _check_size(len(encoded), raw_bytes, caps)
            sent = True
        finally:
            for extension in self._extensions.values():
                extension.settle(sent)
        head = HEADER.pack(_MAGIC, len(encoded), raw_bytes, nonce, kind)
        return head + encoded, b"".join(array.tobytes() for array in writer.arrays)

    def unpack(self, text: bytes | bytearray, raw: bytes | bytearray, caps: Caps) -> object:
        """The object of a frame's JSON and raw bytes; raises WireError at the first oddity."""
        message = read_json(text)
        whole = type(message) is dict and message.keys() == {"v", "s", "a"}
        require(whole, "a message must have the parts v, s and a")
        sections = message["s"]
        known = type(sections) is dict and sections.keys() <= self._extensions.keys()
        require(known, "unknown section")
        with _no_collection():
            reader = Reader(self._extensions, caps, message["a"], raw)
            for tag, extension in self._extensions.items():
                extension.open(sections.get(tag), reader.read, caps)
            value = reader.read(message["v"])
        require(not reader.unread, "an array that nothing refers to")
        return value


def _check_size(json_bytes: int, raw_bytes: int, caps: Caps) -> None:
    most = f"{caps.json_bytes} + {caps.raw_bytes}"
    fits = json_bytes <= caps.json_bytes and raw_bytes <= caps.raw_bytes
    require(fits, f"a message of {json_bytes} + {raw_bytes} bytes; expected at most {most}")


@contextmanager
def _no_collection() -> Iterator[None]:
    """A million new objects, none of them garbage, would set off the collector time and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
