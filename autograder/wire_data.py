"""What may cross between judge and worker, as JSON and arrays. Layer: wire.

None, bool, int, float, str, bytes, list, tuple, dict, set, numpy arrays of ``DTYPES`` (tensors of
torch leave as arrays), and what extensions know. Whoever reads treats every byte as hostile: types
are exact and every part is counted against ``Caps``. Dict keys and set members are scalars: tuples
of equal hash would keep the reader busy for minutes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

__all__ = ["DTYPES", "Caps", "Extension", "Reader", "WireError", "Writer", "read_json", "require"]

DTYPES = (
    *("bool", "uint8", "int8", "int16", "int32", "int64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
_NAMES = {np.dtype(name): name for name in DTYPES}
_SCALARS = (type(None), bool, int, float, str, np.bool_, np.integer, np.floating)
_NON_FINITE = ("nan", "inf", "-inf")
_MAX_INT_DIGITS, _MAX_RANK, _MAX_STRING = 20, 16, 1 << 20

Array = np.ndarray[Any, Any]
Write = Callable[[object], Any]
Read = Callable[[Any], object]


class WireError(Exception):
    """Bytes, or an object, that must not cross: what was got and what is allowed."""


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that one message may hold; a reader refuses more."""

    json_bytes: int = 8 << 20
    raw_bytes: int = 64 << 20
    values: int = 2_000_000
    arrays: int = 100_000
    depth: int = 64
    nodes: int = 500_000  # new graph nodes

    def relative_to(self, json_bytes: int, raw_bytes: int, nodes: int) -> Caps:
        """Caps of a reply to that much input: 64 times as much plus a constant, never above these.

        Room for honest work, none for floods.
        """
        return replace(
            self,
            json_bytes=min(self.json_bytes, (256 << 10) + 64 * json_bytes),
            raw_bytes=min(self.raw_bytes, (4 << 20) + 64 * raw_bytes),
            values=min(self.values, 20_000 + 64 * json_bytes),
            nodes=min(self.nodes, 4_000 + 64 * nodes),
        )


class Extension:
    """Carries objects that are not plain data, as a JSON object with one tag of its own.

    Base class; what it does not override does nothing. ``hashable``: results may be dict keys.
    """

    tag = ""
    hashable = False

    def write(self, obj: object, write: Write) -> Any | None:
        """Content for the tag, or None if ``obj`` is not this extension's business."""
        return None

    def read(self, content: Any, read: Read) -> object:
        """The object for ``content``; raises WireError."""
        raise WireError("this may leave, and not come in")

    def section(self, write: Write) -> Any | None:
        """What the whole message shares, such as a table of nodes; written after the body."""
        return None

    def open(self, content: Any | None, read: Read, caps: Caps) -> None:
        """Read what ``section`` wrote, before the body; raises WireError."""
        require(content is None, "unknown section")

    def settle(self, sent: bool) -> None:
        """The message that was being written is complete, or (``sent`` false) will never leave."""


class Writer:
    """Turns one object into JSON and a list of ``arrays``."""

    def __init__(self, extensions: Mapping[str, Extension], caps: Caps) -> None:
        self._extensions, self._caps = extensions, caps
        self._depth = self._values = 0
        self.arrays: list[Array] = []

    def listing(self) -> list[Any]:
        """Dtype and shape of each array, for the reader."""
        return [[_NAMES[array.dtype], list(array.shape)] for array in self.arrays]

    def write(self, obj: object) -> Any:
        """JSON for ``obj``; raises WireError naming what cannot cross.

        Subclasses cross as their base: only data crosses, never behaviour.
        """
        self._values += 1
        few = self._depth <= self._caps.depth and self._values <= self._caps.values
        require(few, "nested too deep, or too many values")
        self._depth += 1
        try:
            return _scalar(obj) if isinstance(obj, _SCALARS) else self._compound(obj)
        finally:
            self._depth -= 1

    def _compound(self, obj: Any) -> Any:
        for tag, extension in self._extensions.items():
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
        return {"$a": self._array(_as_array(obj))}

    def _array(self, array: Array) -> int:
        most = self._caps.arrays
        require(len(self.arrays) < most, f"more than {most} arrays in one message")
        self.arrays.append(array)
        return len(self.arrays) - 1


def _scalar(obj: Any) -> Any:
    if obj is None or isinstance(obj, bool | np.bool_):
        return None if obj is None else bool(obj)
    if isinstance(obj, int | np.integer):
        if abs(int(obj)) >= 10 ** (_MAX_INT_DIGITS - 1):
            raise WireError(f"an integer of more than {_MAX_INT_DIGITS - 1} digits")
        return int(obj)
    if isinstance(obj, float | np.floating):
        number = float(obj)
        return number if math.isfinite(number) else {"$f": repr(number)}
    return str.__str__(obj)


def _as_array(obj: Any) -> Array:
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


class Reader:
    """Turns JSON back into objects; raises WireError at the first oddity.

    ``listing`` and ``raw`` are the arrays; ``unread`` those that nothing has referred to yet.
    """

    def __init__(
        self, extensions: Mapping[str, Extension], caps: Caps, listing: Any, raw: bytes | bytearray
    ) -> None:
        self._extensions, self._caps = extensions, caps
        self._depth = self._values = 0
        self.unread = dict(enumerate(_arrays(listing, raw, caps)))

    def read(self, item: Any) -> object:
        """The object for one JSON item; counts it and everything below."""
        self._values += 1
        few = self._depth <= self._caps.depth and self._values <= self._caps.values
        require(few, "nested too deep, or too many values")
        if type(item) is str:
            return _checked_string(item)
        if type(item) is float:
            require(math.isfinite(item), "a bare number that is not finite")
        if not isinstance(item, list | dict):
            return item  # None, bool, int or a finite float
        self._depth += 1
        try:
            return self._list(item) if isinstance(item, list) else self._tagged(item)
        finally:
            self._depth -= 1

    def _list(self, items: Any) -> list[object]:
        require(type(items) is list, "expected a list")
        return [self.read(item) for item in items]

    def _tagged(self, item: dict[str, Any]) -> object:
        require(len(item) == 1, "an object must have exactly one tag")
        ((tag, content),) = item.items()
        if tag in self._extensions:
            return self._extensions[tag].read(content, self.read)
        require(tag in self._READERS, "unknown tag")
        return self._READERS[tag](self, content)

    def _dict(self, pairs: Any) -> dict[Any, object]:
        require(type(pairs) is list and all(_is_pair(p) for p in pairs), "a dict must be pairs")
        found = {self._key(key): self.read(value) for key, value in pairs}
        require(len(found) == len(pairs), "a key twice")
        return found

    def _set(self, items: Any) -> set[Any]:
        require(type(items) is list, "expected a list")
        return {self._key(item) for item in items}

    def _key(self, item: Any) -> object:
        extension = self._extensions.get(next(iter(item), "")) if type(item) is dict else None
        if isinstance(item, list | dict) and not (extension and extension.hashable):
            raise WireError("dict keys and set members must be scalars or graph values")
        return self.read(item)

    def _array(self, index: Any) -> Array:
        known = type(index) is int and index in self.unread
        require(known, "a reference to no array, or to one used before")
        return self.unread.pop(index)

    def _float(self, text: Any) -> float:
        require(text in _NON_FINITE, "not a non-finite float")
        return float(text)

    _READERS: Mapping[str, Callable[[Reader, Any], object]] = {
        "$t": lambda self, content: tuple(self._list(content)),
        "$d": _dict,
        "$s": _set,
        "$b": lambda self, content: self._array(content).tobytes(),
        "$a": _array,
        "$f": _float,
    }


def _arrays(listing: Any, raw: bytes | bytearray, caps: Caps) -> list[Array]:
    """The arrays in ``raw`` by their (dtype, shape) pairs; their sizes must add up exactly."""
    require(type(listing) is list and len(listing) <= caps.arrays, "too many arrays, or no list")
    found, position = [], 0
    for item in listing:
        known = _is_pair(item) and item[0] in DTYPES and _is_shape(item[1])
        require(known, "an array of unknown dtype or shape")
        name, shape = item
        count = math.prod(shape)
        size_bytes = count * np.dtype(name).itemsize
        require(position + size_bytes <= len(raw), "an array longer than its bytes")
        data = np.frombuffer(raw, "uint8" if name == "bool" else name, count, position)
        if name == "bool" and count:
            require(data.max() <= 1, "a bool that is neither 0 nor 1")
        found.append(data.astype(name).reshape(shape))  # a copy: aligned, and its own memory
        position += size_bytes
    require(position == len(raw), "raw bytes that belong to no array")
    return found


def _is_pair(item: Any) -> bool:
    return type(item) is list and len(item) == 2


def _is_shape(shape: Any) -> bool:
    if type(shape) is not list or len(shape) > _MAX_RANK:
        return False
    return all(type(size) is int and 0 <= size < 1 << 40 for size in shape)


def _checked_string(text: str) -> str:
    """``text`` unless it is too long or holds lone surrogates, which crash whoever prints them."""
    require(len(text) <= _MAX_STRING, "a string that is too long")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise WireError("a string that is not text (a lone surrogate)")
    return text


def read_json(text: bytes | bytearray) -> Any:
    """Parse JSON without a key twice or long integers; raises WireError. ``Reader`` refuses NaN."""
    try:
        return _STRICT.decode(str(text, "ascii", "strict"))
    except RecursionError:
        raise WireError("JSON nested too deep") from None
    except ValueError as error:
        raise WireError(f"not strict JSON ({type(error).__name__})") from None


def _parse_int(digits: str) -> int:
    require(len(digits) <= _MAX_INT_DIGITS, "an integer of too many digits")
    return int(digits)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    require(len(found) == len(pairs), "a duplicate key")
    return found


_STRICT = json.JSONDecoder(parse_int=_parse_int, object_pairs_hook=_unique_keys)


def require(condition: bool, otherwise: str) -> None:
    """Raise WireError, saying ``otherwise``, unless ``condition`` holds."""
    if not condition:
        raise WireError(otherwise)
