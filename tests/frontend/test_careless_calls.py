"""Arguments of a wrong kind are errors that say what was wanted, not Python's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyflow as tf
import tinyflow.frontend.mx as mx
from tinyflow.errors import (
    DTypeError,
    GradientError,
    GraphError,
    RunError,
    ShapeError,
    TinyflowError,
)


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


def slope(op: Any, dy: tf.Tensor) -> tf.Tensor:
    return dy


def overridden(op_type_map: Any) -> None:
    with tf.get_default_graph().gradient_override_map(op_type_map):
        raise AssertionError("entered")


def on(device: Any) -> None:
    with tf.device(device):
        raise AssertionError("entered")


def waiting(first: Any) -> None:
    with tf.control_dependencies([first]):
        raise AssertionError("entered")


IMAGES = np.ones((1, 4, 4, 2), "float32")


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: tf.RegisterGradient(3)(slope), GradientError, "got 3 for <func.*expected a name"),
        (lambda: tf.RegisterGradient(["x"])(slope), GradientError, r"cannot register.*\['x'\]"),
        (lambda: tf.RegisterGradient("x")(3), GradientError, "'x' for 3; expected a name for a"),
        (lambda: tf.custom_gradient(3), GradientError, "cannot decorate; got 3; expected a func"),
        (lambda: tf.custom_gradient(lambda x: (x, 3))(1.0), GradientError, "must return its res"),
        (lambda: overridden(["Relu"]), GradientError, r"override; got \['Relu'\].*expected a dict"),
        (lambda: overridden("Relu"), GradientError, "cannot override; got Relu: .*expected a dict"),
        (lambda: overridden({3: "x"}), GradientError, "cannot override; got 3: x"),
        (lambda: overridden({"Relu": ["x"]}), GradientError, r"cannot override; got Relu: \['x'\]"),
        (lambda: overridden(None), GradientError, "cannot override; got None: .*expected a dict"),
        (
            lambda: tf.abs(1.0, name=["n"]),
            GraphError,
            r"test_careless.*wrong name.*\['n'\]",
        ),
        (lambda: tf.Variable(1.0, name=3), GraphError, "wrong name; got 3; expected text"),
        (lambda: tf.cast(1.0, 7), DTypeError, "unsupported dtype; got 7; expected one of bool"),
        (lambda: tf.cast(1.0, tf.constant(1)), DTypeError, "unsupported dtype; got <tf.Tensor"),
        (lambda: tf.placeholder(1j), DTypeError, "unsupported dtype; got 1j"),
        (lambda: tf.placeholder(tf.float32, 1.5), ShapeError, "not a shape; got 1.5; expected No"),
        (lambda: tf.placeholder(tf.float32, [1.5]), ShapeError, "a size must be None or an int"),
        (lambda: tf.assign(2, 3), GraphError, "can be assigned; got 2; expected a tf.Variable"),
        (lambda: tf.assign_add([0], [1]), GraphError, "only a variable can be assigned"),
        (lambda: tf.group("n"), TinyflowError, "unsupported dtype; got str"),
        (lambda: on(3), RunError, "unknown device; got '3'; expected 'cpu'"),
        (lambda: tf.layers.conv2d(IMAGES, 2, []), GraphError, r"wrong kernel_size; got \[\]"),
        (lambda: tf.layers.conv2d(IMAGES, 2, 3, "x"), GraphError, "wrong strides; got 'x'; expe"),
        (lambda: tf.layers.conv2d(IMAGES, 2, 3, padding=0), GraphError, "wrong padding; got '0'"),
        (lambda: tf.layers.max_pooling2d(IMAGES, None, 2), GraphError, "wrong pool_size; got None"),
        (lambda: tf.layers.dense("x", 2), TinyflowError, "unsupported dtype; got str"),
        (lambda: tf.nn.conv2d(IMAGES, "w"), TinyflowError, "unsupported dtype; got str"),
        (lambda: tf.nn.conv2d(IMAGES, num_filter=2, weight="w"), TinyflowError, "unsupported dty"),
        (lambda: tf.nn.batch_norm(IMAGES, gamma="g"), TinyflowError, "unsupported dtype; got str"),
        (lambda: tf.pad(IMAGES, dim=1, pad=1, mode=3), GraphError, "wrong mode; got 3; expected"),
        (lambda: mx.Variable("x", shape=1.5), ShapeError, "not a shape; got 1.5; expected None"),
        (lambda: mx.Variable("x").infer_shape(x=1.5), ShapeError, "not a shape; got 1.5"),
        (lambda: mx.Variable("x")[[1]], GraphError, r"no such output; got \[1\]; expected x"),
        (lambda: waiting("x"), TinyflowError, "unsupported dtype; got str"),
    ],
)
def test_a_wrong_argument_is_refused(
    call: Callable[[], Any], kind: type[TinyflowError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_a_partial_function_can_be_a_gradient() -> None:
    from functools import partial

    tf.RegisterGradient("Scaled")(partial(lambda factor, op, dy: dy * factor, 3.0))
    x = tf.placeholder(tf.float32)
    with tf.get_default_graph().gradient_override_map({"Exp": "Scaled"}):
        y = tf.exp(x)
    found = tf.Session().run(tf.gradients(y, [x])[0], {x: np.float32(5.0)})
    assert found == 3.0
