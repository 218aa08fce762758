"""Profiles: each instruction once, counted work, files for trace viewers, nothing changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyflow as tf
from tinyflow import ops
from tinyflow.errors import FeedError, RunError
from tinyflow.ir import Graph, Op
from tinyflow.ir.op import Attribute
from tinyflow.runtime.work import bytes_moved, flops
from tinyflow.types import DType


@pytest.fixture(autouse=True)
def fresh_graph() -> None:
    tf.reset_default_graph()


def network() -> tuple[tf.Tensor, dict[Any, Any]]:
    x = tf.placeholder(tf.float32, [8, 5], name="x")
    w = tf.Variable(tf.random_normal([5, 3]), name="w")
    loss = tf.reduce_mean(tf.square(tf.tanh(tf.matmul(x, w, name="product"))))
    return tf.train.AdamOptimizer(0.1).minimize(loss), {x: np.ones((8, 5))}


@pytest.mark.parametrize("config", ["cpu", "numpy"])
def test_every_instruction_has_a_line_and_the_session_stays_as_it_is(config: str) -> None:
    step, feeds = network()
    sess = tf.Session(config)
    sess.run(tf.global_variables_initializer())
    before = sess.checkpoint()
    found = sess.profile(step, feeds, runs=3)
    product = [line for line in found.lines if "'product'" in line.where]
    assert [(line.op, line.shape, line.flops) for line in product] == [
        ("matmul", "float32[8, 3]", 2 * 8 * 5 * 3)
    ]
    assert product[0].moved_bytes == 4 * (8 * 5 + 5 * 3 + 8 * 3)
    assert found.runs == 3 and found.total_ns > 0 and found.flops > 2 * 2 * 8 * 5 * 3
    assert all(line.time_ns >= 0 for line in found.lines)
    after = sess.checkpoint()
    assert after.run_count == before.run_count
    for name, array in before.arrays.items():
        np.testing.assert_array_equal(after.arrays[name], array)
    if config == "cpu":
        sess.run(step, feeds)
        emitted = [line for line in sess.source().splitlines() if " = None" not in line]
        assert len(found.lines) == len(emitted) - 2  # the def and the return


def test_a_profile_prints_and_shows_itself_with_the_slowest_first() -> None:
    step, feeds = network()
    sess = tf.Session()
    sess.run(tf.global_variables_initializer())
    found = sess.profile(step, feeds, runs=2)
    head, *rows, summary = str(found).splitlines()
    assert head.split() == ["us", "share", "bytes", "FLOPs", "GFLOP/s", "output", "instruction"]
    assert len(rows) == len(found.lines) and "(median of 2)" in summary
    times = [float(row.split()[0]) for row in rows]
    assert times == sorted(times, reverse=True)
    html = found._repr_html_()
    assert html.count("<tr>") == len(rows) + 1 and "matmul &#x27;product&#x27;" in html


def test_a_chrome_trace_is_one_run_without_gaps(tmp_path: Path) -> None:
    step, feeds = network()
    sess = tf.Session()
    sess.run(tf.global_variables_initializer())
    found = sess.profile(step, feeds, runs=1)
    found.chrome_trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())
    events = trace["traceEvents"]
    assert [event["name"] for event in events] == [line.op for line in found.lines]
    end = 0.0
    for event, line in zip(events, found.lines):
        assert event["ph"] == "X" and event["ts"] == pytest.approx(end)
        assert event["args"]["bytes"] == line.moved_bytes
        end = event["ts"] + event["dur"]
    with pytest.raises(RunError, match="cannot write trace"):
        found.chrome_trace(tmp_path / "absent" / "trace.json")


def test_a_wrong_call_is_the_error_of_a_run() -> None:
    x = tf.placeholder(tf.float32, name="x")
    with pytest.raises(FeedError, match="'x'.*not fed"):
        tf.Session().profile(x + 1.0)
    with pytest.raises(RunError, match="a profile needs runs; got 0"):
        tf.Session().profile(tf.constant(1.0), runs=0)


def attrs(op: Op, **given: Any) -> Any:
    return op.check_attrs(given)


def test_floating_point_operations_are_counted_by_formula() -> None:
    a, b, c = (4, 5), (5, 6), (4, 6)
    assert flops(ops.matmul, attrs(ops.matmul), [a, b], [c]) == 2 * 4 * 5 * 6
    turned = attrs(ops.matmul, transpose_a=True)
    assert flops(ops.matmul, turned, [(5, 4), b], [c]) == 2 * 4 * 5 * 6
    assert flops(ops.gemm, attrs(ops.gemm), [c, a, b], [c]) == 2 * 4 * 5 * 6 + 24
    assert flops(ops.linear, {}, [a, (6, 5), (6,)], [c]) == 2 * 4 * 5 * 6 + 24
    assert flops(ops.add, {}, [a, a], [a]) == 20
    assert flops(ops.exp, {}, [a], [a]) == 20
    assert flops(ops.identity, {}, [a], [a]) == 0
    assert flops(ops.reduce_sum, {}, [a], [()]) == 20
    assert flops(ops.reshape, {}, [a], [(20,)]) == 0
    assert flops(ops.transpose, {}, [a], [(5, 4)]) == 0
    assert flops(ops.softmax, {}, [a], [a]) is None


def test_the_ops_of_a_transformer_are_counted() -> None:
    x, y, z = (8, 3, 4), (8, 4, 5), (8, 3, 5)
    assert flops(ops.batch_matmul, attrs(ops.batch_matmul), [x, y], [z]) == 2 * 8 * 3 * 4 * 5
    assert flops(ops.layer_norm, {}, [x, (4,), (4,)], [x]) == 7 * 96
    assert flops(ops.layer_norm_grad, {}, [x, x, (4,)], [x, (4,), (4,)]) == 18 * 96
    assert flops(ops.cumsum, {}, [x], [x]) == 96
    assert flops(ops.gelu, {}, [x], [x]) == 5 * 96
    assert flops(ops.split, {}, [x], [x]) == flops(ops.gather, {}, [x, (2,)], [(2, 3, 4)]) == 0


def test_convolutions_are_counted_by_name() -> None:
    x, weight, y = (2, 3, 8, 8), (4, 3, 5, 5), (2, 4, 4, 4)
    work = 2 * (2 * 4 * 4 * 4) * (3 * 5 * 5)
    assert flops(ops.conv2d, {}, [x, weight], [y]) == work
    assert flops(ops.conv2d_input_grad, {}, [y, weight, x], [x]) == work
    assert flops(ops.conv2d_weight_grad, {}, [y, x, weight], [weight]) == work


def test_pools_and_batch_normalisation_are_counted() -> None:
    x, y, window = (2, 3, 8, 8), (2, 3, 4, 4), {"ksize": (2, 2)}
    assert flops(ops.max_pool2d, window, [x], [y, y]) == 4 * 96
    assert flops(ops.avg_pool2d, window, [x], [y]) == 4 * 96
    assert flops(ops.avg_pool2d_grad, window, [y, x], [x]) == 4 * 96
    assert flops(ops.max_pool2d_grad, window, [y, y, x], [x]) == 96
    assert flops(ops.batch_norm, {}, [x, (3,), (3,), (3,), (3,)], [x, (3,), (3,)]) == 7 * 384
    assert flops(ops.batch_norm_grad, {}, [x, x], [x]) == 9 * 384
    assert flops(ops.crop, {}, [x], [y]) == flops(ops.max_pool2d_take, window, [x, y], [y]) == 0


def test_a_group_of_elementwise_ops_counts_its_body() -> None:
    x = ops.placeholder(dtype="float32", name="x")
    body = Graph((ops.exp(ops.mul(x, x)),))
    group = Op("g", ("x",), ops.exp.shape, ops.exp.dtype, {"body": Attribute("graph", doc="it")})
    assert flops(group, {"body": body}, [(10,)], [(10,)]) == 20


def test_bytes_are_those_read_and_written() -> None:
    f = DType.float32
    assert bytes_moved(ops.add, [((2, 3), f), ((3,), f)], [((2, 3), f)]) == 4 * (6 + 3 + 6)
    assert bytes_moved(ops.reshape, [((2, 3), f)], [((6,), f)]) == 0
    assert bytes_moved(ops.assign, [((6,), f), ((6,), f)], [((6,), f)]) == 4 * 12
    assert bytes_moved(ops.zeros_like, [((6,), f)], [((6,), f)]) == 4 * 6


def test_a_fused_group_tells_what_is_in_it() -> None:
    x = tf.placeholder(tf.float32, [1000])
    y = tf.reduce_sum(tf.exp(tf.tanh(x) * 2.0 + 1.0) - x)
    found = tf.Session("cpu fusion").profile(y, {x: np.ones(1000)}, runs=1)
    groups = [line for line in found.lines if line.op == "fused"]
    assert groups and "tanh mul add exp" in groups[0].where
    assert groups[0].flops and groups[0].flops >= 5 * 1000
