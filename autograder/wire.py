"""Frames and codec between judge and worker: strict JSON plus raw buffers. Layer: wire.

A frame is magic, json length u32, raw length u64, nonce u64, kind u8; then the JSON; then the bytes
of all arrays. Nothing that crosses can name code: there is no pickle and no eval. The reader treats
every byte as hostile: lengths are checked before memory is taken, types are exact, and every part
of a message is counted against ``Caps``. Objects that the codec does not know (graph values,
callbacks, handles) cross through an ``Extension``.
"""

from __future__ import annotations

import gc
import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NoReturn, Protocol

import numpy as np

__all__ = ["DTYPES", "HEADER", "Caps", "Codec", "Extension", "Header", "Kind", "WireError"]

HEADER = struct.Struct("<4sIQQB3x")
_MAGIC = b"TFK1"
DTYPES = (
    *("bool", "uint8", "int8", "int16", "int32", "int64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
_MAX_INT_DIGITS, _MAX_RANK, _MAX_STRING = 20, 16, 1 << 20
_SCALARS = (bool, int, float, str, np.bool_, np.integer, np.floating)
_SAFE = 1e4  # fits every float dtype
_NAMES = {np.dtype(name): name for name in DTYPES}
_NON_FINITE = ("nan", "inf", "-inf")


class WireError(Exception):
    """Bytes, or an object, that must not cross: what was got and what is allowed."""


class Kind(IntEnum):
    """What a frame is for. HELLO, RESULT, ERROR and CALLBACK come from the worker."""

    HELLO = 1
    LOAD = 2
    CALL = 3
    RESULT = 4
    ERROR = 5
    CALLBACK = 6
    ANSWER = 7
    REFUSAL = 8
    DROP = 9


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that one message may hold; a reader refuses more."""

    json_bytes: int = 8 << 20
    raw_bytes: int = 64 << 20
    values: int = 2_000_000
    arrays: int = 256
    depth: int = 64
    nodes: int = 500_000  # new graph nodes

    def relative_to(self, json_bytes: int, raw_bytes: int, nodes: int) -> Caps:
        """Caps of a reply to that much input: room for honest work, none for floods.

        A reply may be 64 times its input plus a constant, and never above these caps.
        """
        return Caps(
            json_bytes=min(self.json_bytes, (256 << 10) + 64 * json_bytes),
            raw_bytes=min(self.raw_bytes, (4 << 20) + 64 * raw_bytes),
            values=min(self.values, 20_000 + 64 * json_bytes),
            arrays=self.arrays,
            depth=self.depth,
            nodes=min(self.nodes, 4_000 + 64 * nodes),
        )


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
        if magic != _MAGIC:
            raise WireError("a frame does not begin with the magic bytes")
        if kind not in Kind.__members__.values():
            raise WireError(f"unknown frame kind {kind}")
        if json_bytes > caps.json_bytes or raw_bytes > caps.raw_bytes:
            raise WireError(
                f"frame of {json_bytes} + {raw_bytes} bytes; expected at most "
                f"{caps.json_bytes} + {caps.raw_bytes}"
            )
        return cls(Kind(kind), nonce, json_bytes, raw_bytes)


class Extension(Protocol):
    """Carries objects the codec does not know, as a JSON object with one tag of its own.

    ``write`` returns the content of the tag, or None if the object is not its business; ``read``
    turns the content back. ``section``/``open`` carry what the whole message shares (a table of
    nodes): written after the body, read before it. ``hashable`` results may be dict keys.
    """

    tag: str
    hashable: bool

    def write(self, obj: object, write: Callable[[object], Any]) -> Any | None:
        """Content for the tag, or None if ``obj`` is not this extension's."""

    def read(self, content: Any, read: Callable[[Any], object]) -> object:
        """The object for ``content``; raises WireError."""

    def section(self, write: Callable[[object], Any]) -> Any | None:
        """What the message needs beside its body, or None."""

    def open(self, content: Any | None, read: Callable[[Any], object], caps: Caps) -> None:
        """Read what ``section`` wrote; raises WireError."""

    def settle(self, sent: bool) -> None:
        """The message that was being written is complete, or (``sent`` false) will never leave."""


class Codec:
    """Turns objects into frames and back: None, bool, int, float, str, bytes, list, tuple, dict,
    set, arrays of ``DTYPES``, and what the extensions know. Dict keys and set members are scalars:
    tuples with equal hashes would keep the reader busy for minutes.
    """

    def __init__(self, extensions: Sequence[Extension] = ()) -> None:
        self._extensions = {extension.tag: extension for extension in extensions}

    def pack(self, kind: Kind, nonce: int, body: object, caps: Caps) -> list[bytes | memoryview]:
        """One frame, as buffers to send in order; raises WireError naming what cannot cross."""
        sent = False
        try:
            with _no_collection():
                frame = self._pack(kind, nonce, body, caps)
            sent = True
            return frame
        finally:
            for extension in self._extensions.values():
                extension.settle(sent)

    def _pack(self, kind: Kind, nonce: int, body: object, caps: Caps) -> list[bytes | memoryview]:
        writer = _Writer(self._extensions, caps)
        value = writer.write(body)
        sections = {t: e.section(writer.write) for t, e in self._extensions.items()}
        message = {
            "v": value,
            "s": {tag: section for tag, section in sections.items() if section is not None},
            "a": [[_NAMES[a.dtype], list(a.shape)] for a in writer.arrays],
        }
        text = json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii")
        raw_bytes = sum(a.nbytes for a in writer.arrays)
        if len(text) > caps.json_bytes or raw_bytes > caps.raw_bytes:
            raise WireError(
                f"a message of {len(text)} + {raw_bytes} bytes; expected at most "
                f"{caps.json_bytes} + {caps.raw_bytes}"
            )
        head = HEADER.pack(_MAGIC, len(text), raw_bytes, nonce, kind)
        return [head + text, *(a.reshape(-1).view(np.uint8).data for a in writer.arrays)]

    def unpack(self, text: bytes | bytearray, raw: bytes | bytearray, caps: Caps) -> object:
        """The object of a frame's JSON and raw bytes; raises WireError at the first oddity."""
        try:
            message = _STRICT.decode(str(text, "ascii", "strict"))
        except RecursionError:
            raise WireError("JSON nested too deep") from None
        except ValueError as error:
            raise WireError(f"not strict JSON ({type(error).__name__})") from None
        if type(message) is not dict or message.keys() != {"v", "s", "a"}:
            raise WireError("a message must have the parts v, s and a")
        with _no_collection():
            return self._read(message, raw, caps)

    def _read(self, message: dict[str, Any], raw: bytes | bytearray, caps: Caps) -> object:
        reader = _Reader(self._extensions, caps, _arrays(message["a"], raw, caps))
        try:
            sections = message["s"]
            if type(sections) is not dict or not sections.keys() <= self._extensions.keys():
                raise WireError("unknown section")
            for tag, extension in self._extensions.items():
                extension.open(sections.get(tag), reader.read, caps)
            value = reader.read(message["v"])
        except RecursionError:
            raise WireError("nested too deep") from None
        if reader.unread:
            raise WireError("an array that nothing refers to")
        return value


class _Writer:
    def __init__(self, extensions: Mapping[str, Extension], caps: Caps) -> None:
        self.extensions, self.caps = extensions, caps
        self.arrays: list[np.ndarray[Any, Any]] = []
        self.depth = self.values = 0

    def write(self, obj: object) -> Any:
        """JSON for ``obj``. Subclasses cross as their base: only data crosses, never behaviour."""
        self.values += 1
        if self.depth > self.caps.depth or self.values > self.caps.values:
            raise WireError("nested too deep, or too many values")
        self.depth += 1
        try:
            return self._scalar(obj) if _is_scalar(obj) else self._compound(obj)
        finally:
            self.depth -= 1

    def _scalar(self, obj: Any) -> Any:
        if obj is None or isinstance(obj, bool | np.bool_):
            return None if obj is None else bool(obj)
        if isinstance(obj, int | np.integer):
            return self._int(int(obj))
        if isinstance(obj, float | np.floating):
            number = float(obj)
            return number if math.isfinite(number) else {"$f": repr(number)}
        return str.__str__(obj)

    def _int(self, number: int) -> int:
        if abs(number) >= 10 ** (_MAX_INT_DIGITS - 1):
            raise WireError(f"an integer of more than {_MAX_INT_DIGITS - 1} digits")
        return number

    def _compound(self, obj: Any) -> Any:
        if isinstance(obj, np.ndarray):
            return self._any_array(obj)
        for tag, extension in self.extensions.items():
            content = extension.write(obj, self.write)
            if content is not None:
                return {tag: content}
        if isinstance(obj, list):
            return [self.write(item) for item in list.__iter__(obj)]
        if isinstance(obj, tuple):
            return {"$t": [self.write(item) for item in tuple.__iter__(obj)]}
        if isinstance(obj, dict):
            return {"$d": [[self.write(k), self.write(v)] for k, v in dict.items(obj)]}
        if isinstance(obj, set | frozenset):
            return {"$s": [self.write(item) for item in obj]}
        if isinstance(obj, bytes):
            return {"$b": self._array(np.frombuffer(obj, np.uint8))}
        return self._any_array(obj)

    def _any_array(self, obj: Any) -> Any:
        array = _as_array(obj)
        if array.ndim == 0 and array.dtype.kind in "biuf":
            return {"$0": [_NAMES[array.dtype], self.write(array.item())]}
        return {"$a": self._array(array)}

    def _array(self, array: np.ndarray[Any, Any]) -> int:
        if len(self.arrays) >= self.caps.arrays:
            raise WireError(f"more than {self.caps.arrays} arrays in one message")
        self.arrays.append(np.ascontiguousarray(array).reshape(array.shape))
        return len(self.arrays) - 1


def _is_scalar(obj: object) -> bool:
    return obj is None or isinstance(obj, _SCALARS)


def _as_array(obj: Any) -> np.ndarray[Any, Any]:
    """``obj`` as a plain array; a torch tensor is detached. Raises WireError for other things."""
    if type(obj).__module__.partition(".")[0] == "torch" and hasattr(obj, "detach"):
        obj = obj.detach().cpu().numpy()
    if not isinstance(obj, np.ndarray | np.generic):
        raise WireError(f"cannot send a {type(obj).__name__}; expected numbers, arrays or values")
    array = np.asarray(obj)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype not in _NAMES:
        raise WireError(f"cannot send an array of {array.dtype}; expected one of {DTYPES}")
    return array


def _arrays(listed: Any, raw: bytes | bytearray, caps: Caps) -> list[np.ndarray[Any, Any]]:
    """Views of ``raw`` for the listed (dtype, shape) pairs, whose sizes must add up exactly."""
    if type(listed) is not list or len(listed) > caps.arrays:
        raise WireError(f"expected a list of at most {caps.arrays} arrays")
    found, position = [], 0
    for item in listed:
        if type(item) is not list or len(item) != 2 or not _is_shape(item[1]):
            raise WireError("an array without dtype and shape")
        name, shape = item
        if type(name) is not str or name not in DTYPES:
            raise WireError("an array of unknown dtype")
        count = math.prod(shape)
        size_bytes = count * np.dtype(name).itemsize
        if position + size_bytes > len(raw):
            raise WireError("an array longer than its bytes")
        data = np.frombuffer(raw, "uint8" if name == "bool" else name, count, position)
        if name == "bool" and count and data.max() > 1:
            raise WireError("a bool that is neither 0 nor 1")
        found.append(data.astype(name).reshape(shape))  # a copy: aligned, and its own memory
        position += size_bytes
    if position != len(raw):
        raise WireError("raw bytes that belong to no array")
    return found


def _is_shape(shape: Any) -> bool:
    return (
        type(shape) is list
        and len(shape) <= _MAX_RANK
        and all(type(size) is int and 0 <= size < 1 << 40 for size in shape)
    )


class _Reader:
    def __init__(
        self,
        extensions: Mapping[str, Extension],
        caps: Caps,
        arrays: Sequence[np.ndarray[Any, Any]],
    ) -> None:
        self.extensions, self.caps = extensions, caps
        self.unread = dict(enumerate(arrays))
        self.depth = self.values = 0

    def read(self, item: Any) -> object:
        """The object for one JSON item; counts it and everything below."""
        self.values += 1
        if self.depth > self.caps.depth or self.values > self.caps.values:
            raise WireError("nested too deep, or too many values")
        if type(item) is str:
            return _checked_string(item)
        if type(item) is float and not math.isfinite(item):
            raise WireError("a number too large for a float")
        if not isinstance(item, list | dict):
            return item  # None, bool, int or a finite float
        self.depth += 1
        try:
            return self._list(item) if isinstance(item, list) else self._tagged(item)
        finally:
            self.depth -= 1

    def _list(self, items: Any) -> list[object]:
        if type(items) is not list:
            raise WireError("expected a list")
        return [self.read(item) for item in items]

    def _tagged(self, item: dict[str, Any]) -> object:
        if len(item) != 1:
            raise WireError("an object must have exactly one tag")
        ((tag, content),) = item.items()
        if tag in self.extensions:
            return self.extensions[tag].read(content, self.read)
        reader = self._READERS.get(tag)
        if reader is None:
            raise WireError("unknown tag")
        return reader(self, content)

    def _dict(self, pairs: Any) -> dict[Any, object]:
        if type(pairs) is not list or any(type(p) is not list or len(p) != 2 for p in pairs):
            raise WireError("a dict must be a list of pairs")
        found = {self._key(key): self.read(value) for key, value in pairs}
        if len(found) != len(pairs):
            raise WireError("a key twice")
        return found

    def _set(self, items: Any) -> set[Any]:
        if type(items) is not list:
            raise WireError("expected a list")
        return {self._key(item) for item in items}

    def _key(self, item: Any) -> object:
        if type(item) is dict:
            extension = self.extensions.get(next(iter(item), ""))
            if extension is None or not extension.hashable:
                raise WireError("dict keys and set members must be scalars or graph values")
        elif type(item) is list:
            raise WireError("dict keys and set members must be scalars or graph values")
        return self.read(item)

    def _array(self, index: Any) -> np.ndarray[Any, Any]:
        if type(index) is not int or index not in self.unread:
            raise WireError("a reference to no array, or to one used before")
        return self.unread.pop(index)

    def _scalar_array(self, content: Any) -> np.ndarray[Any, Any]:
        if type(content) is not list or len(content) != 2 or type(content[0]) is not str:
            raise WireError("a scalar array without dtype")
        if content[0] not in DTYPES:
            raise WireError("an array of unknown dtype")
        value: Any = self.read(content[1])
        if type(value) not in (bool, int, float):
            raise WireError("a scalar array must hold a number")
        try:
            if abs(value) <= _SAFE:
                return np.array(value, content[0])
            with np.errstate(over="ignore"):
                return np.array(value, content[0])
        except OverflowError:
            raise WireError("a number too large for its dtype") from None

    def _float(self, text: Any) -> float:
        if text not in _NON_FINITE:
            raise WireError("not a non-finite float")
        return float(text)

    _READERS: Mapping[str, Callable[[_Reader, Any], object]] = {
        "$t": lambda self, content: tuple(self._list(content)),
        "$d": lambda self, content: self._dict(content),
        "$s": lambda self, content: self._set(content),
        "$b": lambda self, content: self._array(content).tobytes(),
        "$a": lambda self, content: self._array(content),
        "$0": lambda self, content: self._scalar_array(content),
        "$f": lambda self, content: self._float(content),
    }


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


def _checked_string(text: str) -> str:
    """``text`` unless it is too long or holds lone surrogates, which crash whoever prints them."""
    if len(text) > _MAX_STRING:
        raise WireError(f"a string of more than {_MAX_STRING} characters")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise WireError("a string that is not text (a lone surrogate)")
    return text


def _parse_int(digits: str) -> int:
    if len(digits) > _MAX_INT_DIGITS:
        raise WireError(f"an integer of more than {_MAX_INT_DIGITS} digits")
    return int(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise WireError(f"a bare {name}")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise WireError("a duplicate key")
    return found


_STRICT = json.JSONDecoder(
    parse_int=_parse_int, parse_constant=_refuse_constant, object_pairs_hook=_unique_keys
)
