"""``tf.`` functions on parts of arrays and those of transformers, run in a session."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import tinyflow as tf
from tinyflow import TinyflowError

RNG = np.random.default_rng(3)
X = RNG.normal(size=(4, 6)).astype(np.float32)
Y = RNG.normal(size=(4, 6)).astype(np.float32)
CUBE = RNG.normal(size=(2, 3, 4)).astype(np.float32)
IDS = np.array([[2, 0, 2], [1, 1, 3]])


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


def run(build: Callable[..., Any], *arrays: np.ndarray, shaped: bool = True) -> Any:
    """Feed the arrays to placeholders and fetch what ``build`` makes of them."""
    fed = [
        tf.placeholder(str(array.dtype), array.shape if shaped else None, name=f"x{i}")
        for i, array in enumerate(arrays)
    ]
    return tf.Session(config="cpu").run(build(*fed), dict(zip(fed, arrays)))


CASES: list[tuple[str, Callable[..., Any], tuple[np.ndarray, ...], Any]] = [
    ("maximum", tf.maximum, (X, Y), np.maximum(X, Y)),
    ("minimum", tf.minimum, (X, Y), np.minimum(X, Y)),
    ("abs", tf.abs, (X,), abs(X)),
    ("abs operator", abs, (X,), abs(X)),
    ("erf", tf.erf, (X,), np.vectorize(math.erf)(X)),
    ("rsqrt", tf.rsqrt, (X * X,), 1 / abs(X)),
    ("less", tf.less, (X, Y), X < Y),
    ("less_equal", tf.less_equal, (X, Y), X <= Y),
    ("greater_equal", tf.greater_equal, (X, Y), X >= Y),
    ("not_equal", tf.not_equal, (IDS, IDS[::-1].copy()), IDS[::-1] != IDS),
    ("comparison operators", lambda x, y: [x < y, x <= y, x > y, x >= y], (X, Y),
     [X < Y, X <= Y, X > Y, X >= Y]),
    ("logical_and", lambda x, y: tf.logical_and(x > 0, y > 0), (X, Y), (X > 0) & (Y > 0)),
    ("logical_or", lambda x, y: tf.logical_or(x > 0, y > 0), (X, Y), (X > 0) | (Y > 0)),
    ("logical_not", lambda x: tf.logical_not(x > 0), (X,), ~(X > 0)),
    ("where", lambda x, y: tf.where(x > y, x, y * 2), (X, Y), np.where(X > Y, X, Y * 2)),
    ("where with numbers", lambda x: tf.where(x > 0, x, 0.5), (X,), np.where(X > 0, X, 0.5)),
    ("clip_by_value", lambda x: tf.clip_by_value(x, -0.5, 0.5), (X,), X.clip(-0.5, 0.5)),
    ("matmul of cubes", lambda a, b: tf.matmul(a, b, transpose_b=True), (CUBE, CUBE),
     CUBE @ CUBE.swapaxes(1, 2)),
    ("@ of cubes", lambda a, b: a @ tf.transpose(b, [0, 2, 1]), (CUBE, CUBE),
     CUBE @ CUBE.swapaxes(1, 2)),
    ("batch_matmul", lambda a, b: tf.batch_matmul(a, b, adj_x=True), (CUBE, CUBE),
     CUBE.swapaxes(1, 2) @ CUBE),
    ("concat", lambda x, y: tf.concat([x, y], 1), (X, Y), np.concatenate([X, Y], 1)),
    ("concat at the end", lambda x, y: tf.concat([x, y], axis=-1), (X, Y), np.hstack([X, Y])),
    ("split", lambda x: tf.split(x, 3, axis=1), (X,), np.split(X, 3, 1)),
    ("split in sizes", lambda x: tf.split(x, [1, 3], 0), (X,), [X[:1], X[1:]]),
    ("stack", lambda x, y: tf.stack([x, y]), (X, Y), np.stack([X, Y])),
    ("stack at the end", lambda x, y: tf.stack([x, y], axis=-1), (X, Y), np.stack([X, Y], -1)),
    ("unstack", lambda x: tf.unstack(x, 6, axis=1), (X,), list(X.T)),
    ("slice", lambda x: tf.slice(x, [1, 2], [2, -1]), (X,), X[1:3, 2:]),
    ("gather", tf.gather, (X, IDS), X[IDS]),
    ("gather along an axis", lambda x, i: tf.gather(x, i, axis=1), (X, IDS), X[:, IDS]),
    ("cumsum", lambda x: tf.cumsum(x, axis=1), (X,), X.cumsum(1)),
    ("cumsum from the end", lambda x: tf.cumsum(x, exclusive=True, reverse=True), (X,),
     X[::-1].cumsum(0)[::-1] - X),
    ("expand_dims", lambda x: tf.expand_dims(x, -1), (X,), X[..., None]),
    ("expand_dims by its old name", lambda x: tf.expand_dims(x, dim=0), (X,), X[None]),
    ("squeeze", lambda x: tf.squeeze(x[None]), (X,), X),
    ("squeeze an axis", lambda x: tf.squeeze(x[None, :, None], [0]), (X,), X[:, None]),
    ("one_hot", lambda i: tf.one_hot(i, 4), (IDS,), np.eye(4, dtype="float32")[IDS]),
    ("one_hot of other values", lambda i: tf.one_hot(i, 3, 7, -1, dtype=tf.int32), (IDS,),
     np.where(IDS[..., None] == np.arange(3), 7, -1)),
    ("reduce_min", lambda x: tf.reduce_min(x, 1), (X,), X.min(1)),
    ("reduce_prod", lambda x: tf.reduce_prod(x, 1), (X,), X.prod(1)),
    ("reduce_prod of all", lambda x: tf.reduce_prod(x, keep_dims=True), (X,),
     X.prod(keepdims=True)),
    ("reduce_prod of integers", lambda i: tf.reduce_prod(i, [0, 1]), (IDS,), IDS.prod()),
    ("square of integers", tf.square, (IDS,), IDS * IDS),
    ("gelu", tf.nn.gelu, (X,), torch.nn.functional.gelu(torch.from_numpy(X)).numpy()),
    ("layer_norm", lambda x: tf.nn.layer_norm(x, [2.0] * 6, [1.0] * 6), (X,),
     2 * torch.nn.functional.layer_norm(torch.from_numpy(X), (6,)).numpy() + 1),
    ("embedding_lookup", tf.nn.embedding_lookup, (X, IDS), X[IDS]),
    ("l2_loss", tf.nn.l2_loss, (X,), (X * X).sum() / 2),
    ("l2_normalize", lambda x: tf.nn.l2_normalize(x, 1), (X,),
     X / np.linalg.norm(X, axis=1, keepdims=True)),
]  # fmt: skip


@pytest.mark.parametrize("shaped", [True, False], ids=["shapes known", "shapes unknown"])
@pytest.mark.parametrize(("name", "build", "arrays", "expected"), CASES, ids=[c[0] for c in CASES])
def test_a_function_computes_what_numpy_does(
    name: str, build: Any, arrays: Any, expected: Any, shaped: bool
) -> None:
    if not shaped and ("cubes" in name or name == "concat"):
        shaped = True  # a product of matrices of matrices needs a rank
    got = run(build, *arrays, shaped=shaped)
    if isinstance(expected, list):
        assert isinstance(got, list) and len(got) == len(expected)
    for a, b in zip(got, expected) if isinstance(expected, list) else [(got, expected)]:
        assert a.shape == np.shape(b)
        assert a.dtype.kind == np.asarray(b).dtype.kind
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


KEYS: list[Any] = [
    1, -1, slice(1, 3), (slice(None), slice(1, 3)), (0, 2), (slice(None), -1), Ellipsis,
    (Ellipsis, 1), (Ellipsis, slice(1, None, 2)), (slice(None, None, -1), Ellipsis, None),
    None, (None, 1, Ellipsis, None, slice(-2, None)), (1, None, slice(None), None, 2),
    (slice(-100, 100), 0, slice(None, -1)), (slice(3, 1), Ellipsis), (np.int64(1), 0),
    (Ellipsis, slice(None, None, -2)), (slice(5, None, -1),), (),
]  # fmt: skip


@pytest.mark.parametrize("shaped", [True, False], ids=["shapes known", "shapes unknown"])
@pytest.mark.parametrize("key", KEYS, ids=str)
def test_brackets_pick_what_numpy_picks(key: Any, shaped: bool) -> None:
    np.testing.assert_array_equal(run(lambda x: x[key] + 0, CUBE, shaped=shaped), CUBE[key])


def test_the_gradient_of_brackets_goes_where_they_looked() -> None:
    expected = np.zeros_like(CUBE)
    expected[1, ::2, -1] += 1
    expected[:, 0] += 1

    def slope(x: tf.Tensor) -> tf.Tensor:
        return tf.gradients(tf.reduce_sum(x[1, ::2, -1]) + tf.reduce_sum(x[:, 0]), x)[0]

    for shaped in (True, False):
        np.testing.assert_array_equal(run(slope, CUBE, shaped=shaped), expected)


def test_the_shape_tells_how_many_parts_there_are() -> None:
    rows = run(tf.unstack, X)
    assert len(rows) == 4
    np.testing.assert_array_equal(rows, X)


def test_a_condition_of_rank_one_chooses_rows() -> None:
    rows = run(lambda x, y: tf.where(x[:, 0] > 0, x, y), X, Y)
    np.testing.assert_array_equal(rows, np.where((X[:, 0] > 0)[:, None], X, Y))


def test_the_gradient_of_a_table_adds_up_what_was_looked_up_twice() -> None:
    def slope(table: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        return tf.gradients(tf.nn.embedding_lookup(table, ids), table)[0]

    expected = np.bincount(IDS.ravel(), minlength=4)[:, None] * np.ones(6)
    np.testing.assert_array_equal(run(slope, X, IDS), expected)


@pytest.mark.parametrize("device", ["cpu", "numpy"])
def test_an_id_out_of_range_is_an_error_that_names_it(device: str) -> None:
    table, ids = tf.Variable(X, name="table"), tf.placeholder(tf.int32, name="ids")
    rows = tf.nn.embedding_lookup(table, ids, name="rows")
    sess = tf.Session(config=device)
    sess.run(tf.initialize_all_variables())
    with pytest.raises(TinyflowError, match="'rows'.*id 4 at position 1; expected .* 0 to 3"):
        sess.run(rows, {ids: np.array([0, 4], np.int32)})


@pytest.mark.parametrize("device", ["cpu", "numpy", "cpu interpret"])
def test_a_step_with_an_id_out_of_range_changes_nothing(device: str) -> None:
    table, ids = tf.Variable(X, name="table"), tf.placeholder(tf.int32, name="ids")
    loss = tf.reduce_sum(tf.nn.embedding_lookup(table, ids))
    step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    (slope,) = tf.gradients(loss, table)
    sess = tf.Session(config=device)
    sess.run(tf.initialize_all_variables())
    for fetch in (step, slope):  # nothing but the check needs the rows themselves
        with pytest.raises(TinyflowError, match=r"gather \(test_array.py.*id -1 at position 0"):
            sess.run(fetch, {ids: np.array([-1, 1], np.int32)})
    np.testing.assert_array_equal(sess.run(table), X)


# --- division ----------------------------------------------------------------------------------


@pytest.mark.parametrize("config", ["cpu", "cpu fusion", "numpy"])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_div_of_two_integers_floors_as_tensorflow_1_does(dtype: str, config: str) -> None:
    x, y = tf.placeholder(dtype), tf.placeholder(dtype)
    numbers = np.array([-(2**31), -7, -6, -1, 0, 1, 6, 7, 2**31 - 1], dtype)
    a, b = (grid.ravel() for grid in np.meshgrid(numbers, numbers))
    keep = (b != 0) & ~((a == -(2**31)) & (b == -1))  # the quotient 2 ** 31 is no int32
    got, true = tf.Session(config).run([tf.div(x, y), x / y], {x: a[keep], y: b[keep]})
    assert got.dtype == dtype and true.dtype == "float32"
    np.testing.assert_array_equal(got, a[keep] // b[keep])
    np.testing.assert_allclose(true, a[keep] / b[keep], rtol=1e-6)
    whole = torch.div(torch.from_numpy(a[keep]), torch.from_numpy(b[keep]), rounding_mode="floor")
    np.testing.assert_array_equal(got, whole)


def test_div_of_integers_broadcasts_takes_numbers_and_gives_0_for_division_by_0() -> None:
    x = tf.placeholder(tf.int32, [None])
    row = np.array([-3, 0, 5], "int32")
    np.testing.assert_array_equal(run(lambda x: tf.div(x, 2), row), [-2, 0, 2])
    np.testing.assert_array_equal(run(lambda x: tf.div(7, x), row), [-3, 0, 1])
    assert tf.div(x, 2).dtype == tf.int32 and tf.div(x, np.int64(2)).dtype == tf.int64
    table = run(lambda x: tf.div(tf.expand_dims(x, 1), x), row + 4)
    np.testing.assert_array_equal(table, (row + 4)[:, None] // (row + 4))


def test_div_divides_as_ever_where_a_float_takes_part() -> None:
    row = np.array([-3, 0, 5], "int32")
    for two in (2.0, np.float32(2), np.float64(2), tf.constant(2.0)):
        np.testing.assert_array_equal(run(lambda x, y=two: tf.div(x, y), row), row / 2)
    np.testing.assert_array_equal(run(lambda x: tf.div(x, 2), np.float32(row)), row / 2)


# --- dropout -----------------------------------------------------------------------------------

ONES = np.ones((200, 50), np.float32)


def test_dropout_keeps_the_share_asked_for_and_the_mean() -> None:
    y = run(lambda x: tf.nn.dropout(x, 0.8, seed=5), ONES)
    np.testing.assert_allclose(np.unique(y), [0, 1.25])
    assert abs(np.mean(y > 0) - 0.8) < 0.02


def test_dropout_drops_the_same_in_both_passes_on_both_backends_and_others_in_the_next_run() -> (
    None
):
    masks = []
    for device in ("cpu", "numpy"):
        tf.reset_default_graph()
        x = tf.placeholder(tf.float32)
        y = tf.nn.dropout(x, keep_prob=0.5)
        again = tf.nn.dropout(x, keep_prob=0.5)
        (slope,) = tf.gradients(y, x)
        sess = tf.Session(config=device)
        for _ in range(2):
            forward, backward, other = sess.run([y, slope, again], {x: ONES})
            np.testing.assert_array_equal(forward, backward)
            assert not np.array_equal(forward, other)
            masks.append(forward)
    np.testing.assert_array_equal(masks[0], masks[2])
    np.testing.assert_array_equal(masks[1], masks[3])
    assert not np.array_equal(masks[0], masks[1])


def test_the_share_kept_may_be_fed() -> None:
    x, keep = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
    y = tf.nn.dropout(x, keep)
    sess = tf.Session()
    np.testing.assert_array_equal(sess.run(y, {x: ONES, keep: 1.0}), ONES)
    assert abs(np.mean(sess.run(y, {x: ONES, keep: 0.25}) > 0) - 0.25) < 0.02


def test_a_share_of_unknown_shape_is_one_number_and_the_shape_of_x_stays() -> None:
    x, keep = tf.placeholder(tf.float32, [8, 6]), tf.placeholder(tf.float32)
    on = tf.placeholder(tf.bool)
    dropped = [tf.nn.dropout(x, keep), tf.nn.dropout(x, rate=keep)]
    dropped.append(tf.layers.dropout(x, 0.5, training=on))
    for y in dropped:
        assert y.shape == (8, 6) and tf.layers.dense(y, 3).shape == (8, 3)
    sess = tf.Session()
    made = sess.run(dropped[2], {x: np.ones((8, 6)), on: True})
    assert set(np.unique(made)) == {0, 2}
    np.testing.assert_array_equal(sess.run(dropped[0], {x: made, keep: 1.0}), made)
    with pytest.raises(TinyflowError, match="reshape"):
        sess.run(dropped[0], {x: made, keep: np.ones(6)})


def test_the_rate_is_the_share_dropped_and_keeping_all_changes_nothing() -> None:
    assert abs(np.mean(run(lambda x: tf.nn.dropout(x, rate=0.1), ONES) > 0) - 0.9) < 0.02
    np.testing.assert_array_equal(run(lambda x: tf.nn.dropout(x, 1.0), X), X)


def _losses(config: str) -> list[float]:
    """Three steps of a transformer block with a table, attention, dropout and slices."""
    tf.reset_default_graph()
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> tf.Variable:
        return tf.Variable((rng.normal(size=shape) * 0.3).astype(np.float32))

    ids = tf.placeholder(tf.int64, [None, 3])
    x = tf.reshape(tf.nn.embedding_lookup(weight(4, 8), ids), [-1, 8])
    q, k, v = (
        tf.reshape(part, [-1, 3, 8])
        for part in tf.split(tf.matmul(tf.nn.layer_norm(x), weight(8, 24)), 3, axis=1)
    )
    read = tf.matmul(tf.nn.softmax(tf.matmul(q, k, transpose_b=True)), v)
    x = x + tf.nn.dropout(tf.reshape(read, [-1, 8]), 0.7)
    x = x + tf.nn.dropout(tf.nn.gelu(tf.matmul(x, weight(8, 8))), 0.7)
    last = tf.reshape(x, [-1, 3, 8])[:, -1]
    loss = tf.reduce_mean(tf.square(tf.concat([last, tf.cumsum(last, 1)], 1)))
    step = tf.train.AdamOptimizer(0.01).minimize(loss)
    sess = tf.Session(config=config)
    sess.run(tf.global_variables_initializer())
    return [float(sess.run([loss, step], {ids: IDS})[0]) for _ in range(4)]


@pytest.mark.parametrize(
    "config", ["cpu recompute", "cpu checkpoint", "cpu fusion", "cpu interpret", "numpy"]
)
def test_a_transformer_with_dropout_trains_alike_on_every_road(config: str) -> None:
    losses = _losses("cpu")
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(_losses(config), losses, rtol=1e-4)


def test_layer_norm_makes_the_variables_it_lacks() -> None:
    x = tf.placeholder(tf.float32, [None, 6])
    y = tf.nn.layer_norm(x, name="norm")
    assert [v.name for v in tf.trainable_variables()] == ["norm_gamma", "norm_beta"]
    sess = tf.Session()
    sess.run(tf.initialize_all_variables())
    expected = torch.nn.functional.layer_norm(torch.from_numpy(X), (6,)).numpy()
    np.testing.assert_allclose(sess.run(y, {x: X}), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda x: tf.concat([], 0), ["concat", "got 0"]),
        (lambda x: tf.split(x, 0), ["split", "nothing to split into"]),
        (lambda x: tf.split(x, []), ["split", "nothing to split into"]),
        (lambda x: tf.unstack(x), ["how many parts", "num="]),
        (lambda x: tf.slice(x, [0], [1, 1]), ["not a slice", "one size per begin"]),
        (lambda x: tf.slice(x, [-1], [1]), ["not a slice", "(-1,)"]),
        (lambda x: tf.slice(x, [0], [-2]), ["not a slice", "(-2,)"]),
        (lambda x: x[..., 0, ...], ["more than one '...'"]),
        (lambda x: x[1.5], ["cannot index", "float", "integers"]),
        (lambda x: x["a"], ["cannot index", "str"]),
        (lambda x: x[x > 0], ["cannot index", "Tensor", "tf.gather"]),
        (lambda x: x[x:], ["cannot index", "Tensor"]),
        (lambda x: tf.where(x > 0), ["no fixed shape", "x and y"]),
        (lambda x: tf.nn.dropout(x, 0.0), ["wrong keep_prob", "0.0"]),
        (lambda x: tf.nn.dropout(x, 1.5), ["wrong keep_prob", "1.5"]),
        (lambda x: tf.nn.dropout(x), ["keep_prob or rate"]),
        (lambda x: tf.nn.layer_norm(x), ["last axis is not known", "give gamma and beta"]),
        (lambda x: tf.expand_dims(x), ["expand_dims", "axis"]),
    ],
)
def test_what_cannot_be_built_is_refused_at_once(build: Any, words: list[str]) -> None:
    with pytest.raises(TinyflowError) as caught:
        build(tf.placeholder(tf.float32))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda x: x[7], ["slice", "out of range", "7 to 8", "0 to 4"]),
        (lambda x: x[-5], ["slice", "out of range", "-5 to -4"]),
        (lambda x: x[0, 0, 0], ["slice", "(0, 1, 2)", "-2 to 1"]),
        (lambda x: tf.slice(x, [3, 0], [2, 1]), ["slice", "out of range", "3 to 5"]),
        (lambda x: tf.split(x, 3)[0], ["split", "equal parts", "4"]),
        (lambda x: tf.split(x, [1, 2])[0], ["split", "do not add up", "1 + 2"]),
        (lambda x: tf.concat([x, x[1:]], 1), ["concat", "contradict"]),
        (lambda x: tf.squeeze(x, 0), ["squeeze", "not 1"]),
        (lambda x: tf.where(x, x, x), ["where", "not bool", "float32"]),
        (lambda x: tf.batch_matmul(x[None], x[None]), ["batch_matmul", "do not fit", "6 and 4"]),
        (lambda x: tf.gather(x, x > 0), ["gather", "ids are not integers", "bool"]),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "numpy"])
def test_what_does_not_fit_is_named_when_it_is_run(
    build: Any, words: list[str], device: str
) -> None:
    x = tf.placeholder(tf.float32)
    y = build(x)
    with pytest.raises(TinyflowError) as caught:
        tf.Session(config=device).run(y, {x: X})
    for word in ["test_array.py", *words]:
        assert word in str(caught.value)
