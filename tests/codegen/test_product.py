"""Generated matrix products: what numpy computes in float64, however they are cut."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyflow as tf
from tinyflow import ops
from tinyflow.backends.native import _load_object, product_kernel
from tinyflow.codegen.product import Product, Tile, product_sizes, product_source
from tinyflow.frontend.tf.tensor import Tensor

SIZES = st.integers(1, 75)
TILES = (Tile(16, 14, 2), Tile(8, 6, 2), Tile(4, 6, 2), Tile(4, 3, 1, depth=8, copied=64))


@st.composite
def products(draw: st.DrawFn) -> Product:
    """Any product: either c or a bias or many of them."""
    flags = draw(st.booleans()), draw(st.booleans())
    plain = Product(draw(SIZES), draw(SIZES), draw(SIZES), *flags)
    return draw(
        st.sampled_from(
            [
                plain,
                replace(plain, biased=True),
                replace(plain, alpha=-0.5, beta=1.0),
                replace(plain, alpha=2.0, beta=0.25),
                replace(plain, count=3),
            ]
        )
    )


def arrays(product: Product) -> dict[str, np.ndarray]:
    """Random ones, the result full of nan."""
    rng, p = np.random.default_rng(0), product
    shapes = {
        "a": (p.count, p.depth, p.rows) if p.transpose_a else (p.count, p.rows, p.depth),
        "b": (p.count, p.columns, p.depth) if p.transpose_b else (p.count, p.depth, p.columns),
        "c": (p.count, p.rows, p.columns),
        "bias": (p.columns,),
    }
    made = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    return {**made, "y": np.full_like(made["c"], np.nan)}


def expected(product: Product, given: dict[str, np.ndarray]) -> np.ndarray:
    a, b = given["a"].astype("float64"), given["b"].astype("float64")
    a = a.swapaxes(1, 2) if product.transpose_a else a
    b = b.swapaxes(1, 2) if product.transpose_b else b
    bias = given["bias"] if product.biased else 0.0
    return product.alpha * (a @ b) + product.beta * given["c"] + bias


def run(product: Product, tile: Tile, given: dict[str, np.ndarray]) -> np.ndarray:
    addresses = [given[name].ctypes.data for name in product.arrays]
    sizes = product_sizes(product, tile)
    table = (ctypes.c_int64 * (len(sizes) + len(addresses)))(*sizes, *addresses)
    _load_object(product_source(product, tile), optimise=False)(ctypes.addressof(table))
    return given["y"]


@pytest.mark.parametrize("tile", TILES)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(product=products())
def test_a_product_is_that_of_numpy(tile: Tile, product: Product) -> None:
    given = arrays(product)
    true = expected(product, given)
    np.testing.assert_allclose(run(product, tile, given), true, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("transposes", [(False, False), (False, True), (True, False), (True, True)])
def test_many_blocks_of_a_large_product_add_up(transposes: tuple[bool, bool]) -> None:
    product = Product(130, 470, 700, *transposes)
    given = arrays(product)
    true = expected(product, given)
    np.testing.assert_allclose(run(product, TILES[0], given), true, rtol=1e-4, atol=2e-4)


def test_nothing_is_written_beside_the_result() -> None:
    product = Product(5, 7, 3)
    given = arrays(product)
    room = np.full(5 * 7 + 64, 7.0, "float32")
    given["y"] = room[32 : 32 + 35]
    run(product, TILES[0], given)
    assert (room[:32] == 7).all() and (room[32 + 35 :] == 7).all()


def test_nan_and_infinity_reach_the_rows_and_columns_that_they_belong_to() -> None:
    product = Product(20, 40, 9)
    given = arrays(product)
    given["a"][0, 3, 2], given["b"][0, 4, 35] = np.nan, np.inf
    y = run(product, TILES[0], given)[0]
    assert np.isnan(y[3]).all() and not np.isfinite(y[:, 35]).any()
    y[3], y[:, 35] = 0, 0
    assert np.isfinite(y).all()


def test_what_is_written_in_place_is_read_first() -> None:
    product = Product(33, 65, 400, alpha=-0.1, beta=1.0, transpose_a=True)
    given = arrays(product)
    true = expected(product, given)
    given["y"] = given["c"]
    np.testing.assert_allclose(run(product, TILES[0], given), true, rtol=1e-5, atol=2e-5)


def test_a_product_says_what_it_computes() -> None:
    assert str(Product(2, 3, 4, transpose_b=True, biased=True)) == (
        "y = a @ b + bias\na(2, 4)\nb(4, 3) stored as its transpose"
    )
    assert str(Product(2, 3, 4, alpha=-0.5, beta=1.0, transpose_a=True)) == (
        "y = -0.5 * a @ b + 1 * c\na(2, 4) stored as its transpose\nb(4, 3)"
    )
    assert str(Product(2, 3, 4, count=5)) == "y = a @ b\na(2, 4)\nb(4, 3)\nfor each of 5"


def source(rows: int, config: str) -> tuple[str, np.ndarray]:
    rng = np.random.default_rng(0)
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [rows, 256])
        w = tf.constant(rng.normal(size=(128, 256)).astype("float32"))
        session = tf.Session(config)
        feed = rng.normal(size=(rows, 256)).astype("float32")
        y = session.run(tf.matmul(x, w, transpose_b=True) * 1.0, {x: feed})
    return session.source(), y


def test_a_session_with_fusion_generates_its_products() -> None:
    assert product_kernel(Product(2, 2, 2)) is not None  # llvmlite is here
    text, y = source(8, "cpu fusion")
    assert "matmul_" in text and "mm(" not in text and "stored as its transpose" in text
    plain, z = source(8, "cpu")
    assert "mm(" in plain
    np.testing.assert_allclose(y, z, rtol=1e-5, atol=1e-5)


def test_products_of_all_sizes_are_one_code() -> None:
    small, large = (product_kernel(Product(*sizes)) for sizes in ((2, 3, 4), (500, 70, 900)))
    assert small is not None and large is not None
    assert small.source == large.source and small.function is large.function
    assert small.sizes[1:4] == (2, 3, 4) and large.sizes[1:4] == (500, 70, 900)


def test_another_batch_size_compiles_nothing() -> None:
    rng = np.random.default_rng(0)
    with tf.Graph().as_default():
        x, labels = tf.placeholder(tf.float32, [None, 8]), tf.placeholder(tf.int64, [None])
        v, w = (tf.Variable(rng.normal(size=s).astype("float32")) for s in ((8, 40), (40, 6)))
        y = tf.matmul(tf.nn.relu(tf.matmul(x, v)), w)
        loss = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(y, labels)
        spread = tf.reduce_mean(tf.square(y))
        step = tf.train.AdamOptimizer(0.01).minimize(loss + spread)
        session = tf.Session("cpu fusion")
        session.run(tf.initialize_all_variables())
        compiled = []
        for rows in (50, 51, 52, 99, 133):
            feeds = {x: rng.normal(size=(rows, 8)), labels: rng.integers(0, 6, rows)}
            session.run([loss, step], feeds)
            compiled.append(_load_object.cache_info().misses)
    assert len(set(compiled)) == 1


@pytest.mark.parametrize("config", ["cpu", "cpu fusion", "cpu fusion interpret"])
def test_a_product_is_not_written_into_a_filter_whose_channels_lie_side_by_side(
    config: str,
) -> None:
    rng = np.random.default_rng(0)
    a, b, images = (
        rng.normal(size=shape).astype("float32")
        for shape in ((4, 3, 3, 5), (4, 3, 5, 3), (2, 3, 8, 8))
    )
    with tf.Graph().as_default():
        w = tf.Variable(np.zeros((4, 3, 3, 3), "float32"))
        p, q = (tf.placeholder(tf.float32, array.shape) for array in (a, b))
        x = tf.placeholder(tf.float32, images.shape)
        y = Tensor(ops.conv2d(x.value, w.value, padding=(1, 1, 1, 1)))
        session = tf.Session(config)
        session.run(w.initializer)
        write = tf.assign(w, tf.matmul(p, q))
        for _ in range(2):
            _, content = session.run([y, write], {x: images, p: a, q: b})
            np.testing.assert_allclose(content, a @ b, rtol=1e-5, atol=1e-5)


def test_a_large_product_is_left_to_torch_if_it_has_several_threads() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert "mm(" in source(100, "cpu fusion")[0]
        assert "mm(" not in source(8, "cpu fusion")[0]
    finally:
        torch.set_num_threads(threads)
    assert "mm(" not in source(100, "cpu fusion")[0]
