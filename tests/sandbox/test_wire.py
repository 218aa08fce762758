"""The codec: what crosses comes back equal; whatever else arrives is a WireError."""

from __future__ import annotations

import json
import math
from collections import OrderedDict, namedtuple
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.wire import HEADER, Caps, Codec, Header, Kind, WireError
from autograder.wire_data import DTYPES

CODEC = Codec()


def frame(body: object, caps: Caps | None = None) -> tuple[bytes, bytes]:
    """JSON and raw part of a frame."""
    head, raw = CODEC.pack(Kind.RESULT, 7, body, caps or Caps())
    return head[HEADER.size :], raw


def there_and_back(body: object) -> object:
    """What the other end reads."""
    return CODEC.unpack(*frame(body), Caps())


def read(message: object, raw: bytes = b"", **caps: int) -> object:
    """Read a message written by hand."""
    text = message if isinstance(message, str) else json.dumps(message)
    return CODEC.unpack(text.encode(), raw, Caps(**caps))


def message(value: object, arrays: object = ()) -> dict[str, Any]:
    """A message of one value."""
    return {"v": value, "s": {}, "a": list(arrays) if isinstance(arrays, tuple) else arrays}


scalars = (
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.text(max_size=20)
    | st.floats(allow_nan=False) | st.binary(max_size=20)
)  # fmt: skip
keys = st.booleans() | st.text(max_size=5)
data = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.sets(keys, max_size=4)
    ),
    max_leaves=20,
)


@given(data.filter(lambda value: "\\ud8" not in ascii(value)))
@settings(max_examples=60, deadline=None)
def test_data_comes_back_equal(value: object) -> None:
    assert there_and_back(value) == value


@given(st.binary(max_size=200), st.binary(max_size=50))
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_a_wire_error(text: bytes, raw: bytes) -> None:
    with pytest.raises(WireError):
        CODEC.unpack(text, raw, Caps())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_arrays_keep_dtype_shape_and_content(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    result = there_and_back(array)
    assert isinstance(result, np.ndarray) and result.dtype == dtype
    np.testing.assert_array_equal(result, array)


def test_strided_big_endian_and_torch_arrays_cross_as_plain_ones() -> None:
    strided = np.arange(12.0).reshape(3, 4)[::-1, ::2]
    np.testing.assert_array_equal(there_and_back(strided), strided)
    np.testing.assert_array_equal(there_and_back(np.arange(3, dtype=">i4")), [0, 1, 2])
    tensor = torch.arange(3.0, requires_grad=True)
    np.testing.assert_array_equal(there_and_back(tensor), [0, 1, 2])


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinities_cross(value: float) -> None:
    assert there_and_back(value) == value
    assert math.isnan(there_and_back(math.nan))  # type: ignore[arg-type]


def test_subclasses_cross_as_their_base_without_their_behaviour() -> None:
    class AlwaysEqual(float):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = float.__hash__

    pair = namedtuple("pair", "a b")  # a student's
    assert type(there_and_back(AlwaysEqual(1))) is float
    assert there_and_back(pair(1, 2)) == (1, 2)
    assert there_and_back(OrderedDict(a=1)) == {"a": 1}
    assert type(there_and_back(np.float32(1.5))) is float


@pytest.mark.parametrize(
    "value",
    [object(), print, 10**20, np.array([object()]), np.zeros(2, "datetime64[s]"), b"".join, 1j],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_data_cannot_be_sent(value: object) -> None:
    with pytest.raises(WireError):
        frame(value)


def test_a_list_that_holds_itself_cannot_be_sent() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(WireError, match="deep"):
        frame(loop)


@pytest.mark.parametrize(
    "text",
    [
        '{"v": NaN, "s": {}, "a": []}',
        '{"v": Infinity, "s": {}, "a": []}',
        '{"v": 1e999, "s": {}, "a": []}',
        '{"v": 1, "v": 2, "s": {}, "a": []}',
        '{"v": 123456789012345678901, "s": {}, "a": []}',
        '{"v": "\\ud800", "s": {}, "a": []}',
        '{"v": 1, "s": {}}',
        '{"v": 1, "s": {"$x": 1}, "a": []}',
        "[]",
        "[" * 100_000,
    ],
    ids=lambda text: text[:30],
)
def test_loose_json_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        read(text)


@pytest.mark.parametrize(
    "value",
    [
        {"$x": 1},
        {},
        {"$t": 1},
        {"$t": [1], "$s": [1]},
        {"$d": [[1]]},
        {"$d": [[1, 2], [1, 3]]},
        {"$d": [[1, 2], [True, 3]]},
        {"$f": "1.0"},
        {"$f": ["nan"]},
        {"$a": 0},
        {"$b": "x"},
    ],
    ids=repr,
)
def test_forged_tags_are_refused(value: object) -> None:
    with pytest.raises(WireError):
        read(message(value))


@pytest.mark.parametrize("key", [{"$t": [1, 2]}, [1], {"$d": []}], ids=repr)
def test_dict_keys_and_set_members_are_scalars(key: object) -> None:
    """Tuples of equal hash kept a reader busy for minutes."""
    with pytest.raises(WireError, match="scalars"):
        read(message({"$d": [[key, 1]]}))
    with pytest.raises(WireError, match="scalars"):
        read(message({"$s": [key]}))


@pytest.mark.parametrize(
    ("arrays", "raw"),
    [
        ([["float32", [2]]], b"\0" * 4),  # shorter than it says
        ([["float32", [2]]], b"\0" * 9),  # longer
        ([["float32", [1 << 39, 1 << 39]]], b"\0" * 8),  # overflows
        ([["object", [1]]], b"\0" * 8),
        ([["float32", [-1]]], b""),
        ([["float32", [True]]], b"\0" * 4),
        ([["float32", [1] * 17]], b"\0" * 4),
        ([["bool", [1]]], b"\2"),
        ([["float32"]], b""),
        ({}, b""),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_arrays_that_lie_about_themselves_are_refused(arrays: object, raw: bytes) -> None:
    with pytest.raises(WireError):
        read(message({"$a": 0}, arrays), raw)


def test_an_array_is_referred_to_exactly_once() -> None:
    arrays = [["uint8", [1]]]
    with pytest.raises(WireError, match="nothing refers"):
        read(message(1, arrays), b"\0")
    with pytest.raises(WireError, match="used before"):
        read(message([{"$a": 0}, {"$a": 0}], arrays), b"\0")


def test_caps_bound_depth_values_and_arrays() -> None:
    with pytest.raises(WireError, match="deep"):
        read(message([[[[1]]]]), depth=3)
    with pytest.raises(WireError, match="many"):
        read(message([0] * 100), values=50)
    with pytest.raises(WireError, match="arrays"):
        read(message([], [["uint8", [0]]] * 3), arrays=2)


def test_a_reply_is_capped_relative_to_its_input() -> None:
    small, large = Caps().relative_to(100, 0, 10), Caps().relative_to(10**9, 10**9, 10**9)
    assert small.json_bytes < 300_000 and small.nodes < 5_000
    assert large == Caps()


def test_lengths_are_checked_before_memory_is_taken() -> None:
    for json_bytes, raw_bytes in [((8 << 20) + 1, 0), (0, (64 << 20) + 1), (0, 1 << 63)]:
        head = HEADER.pack(b"TFK1", json_bytes, raw_bytes, 1, Kind.RESULT)
        with pytest.raises(WireError, match="at most"):
            Header.parse(head, Caps())


def test_frames_of_other_protocols_are_refused() -> None:
    with pytest.raises(WireError, match="magic"):
        Header.parse(HEADER.pack(b"HTTP", 0, 0, 1, Kind.RESULT), Caps())
    with pytest.raises(WireError, match="kind"):
        Header.parse(HEADER.pack(b"TFK1", 0, 0, 1, 99), Caps())


def test_a_message_above_the_caps_is_not_sent() -> None:
    with pytest.raises(WireError, match="at most"):
        frame(np.zeros(1000), Caps(raw_bytes=100))
    with pytest.raises(WireError, match="at most"):
        frame("x" * 1000, Caps(json_bytes=100))
