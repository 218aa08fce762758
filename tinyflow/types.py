"""Shapes, dtypes, devices: the words every layer shares. Layer: types.

A shape is a tuple of sizes, each an ``int`` or ``None`` (not known yet); ``None`` in place of the
tuple means that even the rank is not known. Zero is a size, never a sign for "unknown".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeGuard

import numpy as np

from tinyflow.errors import DTypeError, RunError, ShapeError

__all__ = [
    "DType",
    "Device",
    "Shape",
    "as_dtype",
    "as_shape",
    "default_dtype",
    "elements",
    "is_static",
    "promote",
    "show_shape",
    "unify_dim",
    "unify_shape",
]

Shape = tuple[int | None, ...] | None
_Truth = bool  # DType has a member of that name


class DType(Enum):
    """Element type of a value. The members are exported as ``tf.float32`` and so on."""

    bool = "bool"
    int32 = "int32"
    int64 = "int64"
    float16 = "float16"
    bfloat16 = "bfloat16"
    float32 = "float32"
    float64 = "float64"

    is_floating: _Truth  # True for the real-valued dtypes: only these carry gradients
    itemsize: int  # bytes of one element
    __hash__ = object.__hash__  # Enum's own hashes the name, at each look-up

    def __init__(self, name: str) -> None:
        self.is_floating = "float" in name
        sizes = {"bool": 1, "float16": 2, "bfloat16": 2, "int32": 4, "float32": 4}
        self.itemsize = sizes.get(name, 8)

    @property
    def numpy(self) -> np.dtype[Any]:
        """The numpy dtype; raises DTypeError for bfloat16, which numpy does not have."""
        if self is DType.bfloat16:
            raise DTypeError("numpy has no bfloat16", fix="Cast to float32 before fetching.")
        return np.dtype(str(self.value))

    def holds(self, numbers: np.ndarray[Any, Any]) -> _Truth:
        """True if none of ``numbers`` would become another one: no fraction or overflow.

        Floating dtypes round, so they hold all.
        """
        with np.errstate(invalid="ignore"):  # of infinity and nan, which integers do not have
            return self.is_floating or _Truth((numbers.astype(self.numpy) == numbers).all())

    def __str__(self) -> str:
        return str(self.value)

    def __repr__(self) -> str:
        return str(self.value)


_ORDER = tuple(DType)  # bool < int32 < int64 < float16 < bfloat16 < float32 < float64


def as_dtype(value: object) -> DType:
    """Turn a DType, a name such as "float32" or a numpy dtype into a DType.

    Raises DTypeError naming the supported dtypes, for anything else.
    """
    if isinstance(value, DType):
        return value
    name: Any = value
    try:
        name = value if isinstance(value, str) else np.dtype(value).name  # type: ignore[call-overload]
        return DType(name)
    except (TypeError, ValueError):
        names, got = ", ".join(d.value for d in DType), str(name)[:80]
        raise DTypeError("unsupported dtype", got=got, expected=f"one of {names}") from None


def promote(*dtypes: DType) -> DType:
    """The smallest dtype that holds all of them: bool < int < float.

    An int with a float gives the float, whatever their sizes; float16 with bfloat16 gives float32.
    """
    if all(dtype is dtypes[0] for dtype in dtypes):
        return dtypes[0]
    if DType.float16 in dtypes and DType.bfloat16 in dtypes:
        dtypes = (*dtypes, DType.float32)
    return max(dtypes, key=_ORDER.index)


def default_dtype(array: np.ndarray[Any, Any]) -> DType:
    """Dtype of a Python number that meets no other: float32, int32 or bool."""
    return {"f": DType.float32, "i": DType.int32, "b": DType.bool}[array.dtype.kind]


def as_shape(value: object) -> Shape:
    """Check and normalise a shape given by a user: None, or a sequence of ints and Nones.

    Raises ShapeError on a negative or non-integer size, and on what has no sizes.
    """
    if value is None:
        return None
    if not isinstance(value, int | np.integer | Iterable):
        got, expected = repr(value)[:80], "None, or sizes such as [100, None]"
        raise ShapeError("not a shape", got=got, expected=expected)
    dims = (value,) if isinstance(value, int | np.integer) else tuple(value)
    for dim in dims:
        if dim is not None and (not isinstance(dim, int | np.integer) or dim < 0):
            raise ShapeError("a size must be None or an integer >= 0", got=dims)
    return tuple(None if dim is None else int(dim) for dim in dims)


def is_static(shape: Shape) -> TypeGuard[tuple[int, ...]]:
    """True if rank and every size are known."""
    return shape is not None and None not in shape


def elements(shape: Shape) -> int:
    """Number of elements of a static shape; raises ShapeError if a size is unknown."""
    if shape is None or None in shape:
        raise ShapeError("the number of elements is not known", got=show_shape(shape))
    count = 1
    for dim in shape:
        count *= dim  # type: ignore[operator]
    return count


def show_shape(shape: Shape) -> str:
    """Print a shape: ``[100, ?]``; ``[...]`` when the rank is unknown."""
    if shape is None:
        return "[...]"
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in shape) + "]"


def unify_dim(a: int | None, b: int | None) -> int | None:
    """The size that both stand for; raises ShapeError if they contradict."""
    if a is None or b is None:
        return b if a is None else a
    if a != b:
        raise ShapeError("sizes contradict", got=f"{a} and {b}", expected="equal sizes")
    return a


def unify_shape(a: Shape, b: Shape) -> Shape:
    """What is known when both describe one value; raises ShapeError if they contradict.

    >>> unify_shape((None, 784), (100, None))
    (100, 784)
    """
    if a is None or b is None or a == b:
        return b if a is None else a
    if len(a) != len(b) or any(x is not None and y is not None and x != y for x, y in zip(a, b)):
        raise ShapeError(
            "shapes contradict", got=f"{show_shape(a)} and {show_shape(b)}", expected="equal shapes"
        )
    return tuple(y if x is None else x for x, y in zip(a, b))


@dataclass(frozen=True, slots=True)
class Device:
    """Where a value lives: kind ("cpu", "gpu" or "numpy") and index."""

    kind: str
    index: int = 0

    @staticmethod
    def parse(text: str) -> Device:
        """Read "cpu", "cpu:1", "gpu", "gpu:1" or "numpy"; raises RunError with the known kinds."""
        kind, _, index = text.partition(":")
        if kind not in ("cpu", "gpu", "numpy") or (index and not index.isdecimal()):
            raise RunError(
                "unknown device",
                got=repr(text),
                expected="'cpu', 'gpu', 'gpu:N' or 'numpy'",
            )
        return Device(kind, int(index or 0))

    def __str__(self) -> str:
        return f"{self.kind}:{self.index}" if self.kind == "gpu" or self.index else self.kind
