"""Arguments as TensorFlow 1.15 documents them: all names, in its order, by name and position."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyflow as tf
from tinyflow.errors import GraphError, TinyflowError

M = np.array([[1.0, 3.0, 2.0], [4.0, 0.5, 6.0]], np.float32)
ROWS, LABELS, ONE_HOT = M, np.array([0, 2], np.int32), np.eye(3, dtype=np.float32)[[0, 2]]
IMAGES, FILTER = np.ones((1, 5, 5, 2), np.float32), np.ones((3, 3, 2, 4), np.float32)
TRUE = M > 1
REDUCTION = "weighted_sum_by_nonzero_weights"


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


def _unary(*names: str, first: str = "x") -> list[tuple[str, list[tuple[str, Any]]]]:
    return [(name, [(first, M), ("name", "n")]) for name in names]


def _binary(*names: str) -> list[tuple[str, list[tuple[str, Any]]]]:
    return [(name, [("x", M), ("y", M), ("name", "n")]) for name in names]


def _reductions(*names: str) -> list[tuple[str, list[tuple[str, Any]]]]:
    rest = [("axis", 1), ("keepdims", True), ("name", "n"), ("reduction_indices", None)]
    return [(name, [("input_tensor", M), *rest, ("keep_dims", None)]) for name in names]


DENSE = [
    ("activation", None), ("use_bias", True), ("kernel_initializer", None),
    ("bias_initializer", None), ("kernel_regularizer", None), ("bias_regularizer", None),
    ("activity_regularizer", None), ("kernel_constraint", None), ("bias_constraint", None),
    ("trainable", True), ("name", "n"), ("reuse", None),
]  # fmt: skip
POOL = [("pool_size", 2), ("strides", 2), ("padding", "valid"), ("data_format", "channels_last")]
POOLED = [("value", IMAGES), ("ksize", [1, 2, 2, 1]), ("strides", [1, 2, 2, 1])]
POOLED += [("padding", "VALID"), ("data_format", "NHWC"), ("name", "n")]
RANDOM = [("dtype", tf.float32), ("seed", 1), ("name", "n")]
NORMAL = [("shape", [2, 3]), ("mean", 0.0), ("stddev", 1.0), *RANDOM]
LOSS = [("loss_collection", "losses"), ("reduction", REDUCTION)]

TABLE: list[tuple[str, list[tuple[str, Any]]]] = [
    *_unary("abs", "negative", "exp", "log", "sqrt", "rsqrt", "square", "sigmoid", "tanh", "erf"),
    *_unary("logical_not"),
    *_unary("identity", "stop_gradient", first="input"),
    *_unary("nn.relu", first="features"),
    *_binary("add", "subtract", "multiply", "pow", "maximum", "minimum", "equal", "not_equal"),
    *_binary("less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or"),
    *_reductions("reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod"),
    ("zeros_like", [("tensor", M), ("dtype", "int32"), ("name", "n"), ("optimize", True)]),
    ("ones_like", [("tensor", M), ("dtype", "int32"), ("name", "n"), ("optimize", True)]),
    ("zeros", [("shape", [2]), ("dtype", "int32"), ("name", "n")]),
    ("ones", [("shape", [2]), ("dtype", "int32"), ("name", "n")]),
    ("constant", [("value", 2), ("dtype", "int32"), ("shape", [3]), ("name", "n"),
                  ("verify_shape", False)]),
    ("reshape", [("tensor", M), ("shape", [3, 2]), ("name", "n")]),
    ("transpose", [("a", M), ("perm", [1, 0]), ("name", "n"), ("conjugate", False)]),
    ("broadcast_to", [("input", M), ("shape", [4, 2, 3]), ("name", "n")]),
    ("cast", [("x", M), ("dtype", "int32"), ("name", "n")]),
    ("shape", [("input", M), ("name", "n"), ("out_type", tf.int64)]),
    ("argmax", [("input", M), ("axis", 1), ("name", "n"), ("dimension", None),
                ("output_type", tf.int32)]),
    ("argmin", [("input", M), ("axis", 1), ("name", "n"), ("dimension", None),
                ("output_type", tf.int32)]),
    ("matmul", [("a", M), ("b", M), ("transpose_a", False), ("transpose_b", True),
                ("adjoint_a", None), ("adjoint_b", None), ("a_is_sparse", False),
                ("b_is_sparse", False), ("name", "n")]),
    ("add_n", [("inputs", [M, M]), ("name", "n")]),
    ("concat", [("values", [M, M]), ("axis", 1), ("name", "n")]),
    ("stack", [("values", [M, M]), ("axis", 1), ("name", "n")]),
    ("unstack", [("value", M), ("num", 2), ("axis", 0), ("name", "n")]),
    ("split", [("value", M), ("num_or_size_splits", 3), ("axis", 1), ("num", None), ("name", "n")]),
    ("slice", [("input_", M), ("begin", [0, 1]), ("size", [1, 2]), ("name", "n")]),
    ("gather", [("params", M), ("indices", [1]), ("validate_indices", None), ("name", "n"),
                ("axis", 1), ("batch_dims", 0)]),
    ("expand_dims", [("input", M), ("axis", 0), ("name", "n"), ("dim", None)]),
    ("squeeze", [("input", M[:1]), ("axis", [0]), ("name", "n"), ("squeeze_dims", None)]),
    ("where", [("condition", TRUE), ("x", M), ("y", -M), ("name", "n")]),
    ("clip_by_value", [("t", M), ("clip_value_min", 1.0), ("clip_value_max", 2.0), ("name", "n")]),
    ("clip_by_global_norm", [("t_list", [tf.constant(M)]), ("clip_norm", 1.0), ("use_norm", None),
                             ("name", "n")]),
    ("global_norm", [("t_list", [M]), ("name", "n")]),
    ("cumsum", [("x", M), ("axis", 1), ("exclusive", True), ("reverse", True), ("name", "n")]),
    ("one_hot", [("indices", LABELS), ("depth", 3), ("on_value", 2), ("off_value", 1), ("axis", 0),
                 ("dtype", tf.int32), ("name", "n")]),
    ("pad", [("tensor", M), ("paddings", [[1, 0], [0, 2]]), ("mode", "CONSTANT"), ("name", "n"),
             ("constant_values", 7)]),
    ("random_normal", NORMAL),
    ("truncated_normal", NORMAL),
    ("random_uniform", [("shape", [2, 3]), ("minval", 0.0), ("maxval", 1.0), *RANDOM]),
    ("nn.softmax", [("logits", M), ("axis", 0), ("name", "n"), ("dim", None)]),
    ("nn.log_softmax", [("logits", M), ("axis", 0), ("name", "n"), ("dim", None)]),
    ("nn.sigmoid", [("x", M), ("name", "n")]),
    ("nn.tanh", [("x", M), ("name", "n")]),
    ("nn.l2_loss", [("t", M), ("name", "n")]),
    ("nn.l2_normalize", [("x", M), ("axis", 1), ("epsilon", 1e-12), ("name", "n"), ("dim", None)]),
    ("nn.bias_add", [("value", M), ("bias", M[0]), ("data_format", None), ("name", "n")]),
    ("nn.dropout", [("x", M), ("keep_prob", 1.0), ("noise_shape", None), ("seed", 1),
                    ("name", "n"), ("rate", None)]),
    ("nn.embedding_lookup", [("params", M), ("ids", [1]), ("partition_strategy", "mod"),
                             ("name", "n"), ("validate_indices", True), ("max_norm", None)]),
    ("nn.conv2d", [("input", IMAGES), ("filter", FILTER), ("strides", [1, 1, 1, 1]),
                   ("padding", "SAME"), ("use_cudnn_on_gpu", True), ("data_format", "NHWC"),
                   ("dilations", [1, 1, 1, 1]), ("name", "n"), ("filters", None)]),
    ("nn.max_pool", [*POOLED, ("input", None)]),
    ("nn.avg_pool", [*POOLED, ("input", None)]),
    ("nn.batch_normalization", [("x", M), ("mean", 0.5), ("variance", 2.0), ("offset", 1.0),
                                ("scale", 2.0), ("variance_epsilon", 1e-3), ("name", "n")]),
    ("nn.sigmoid_cross_entropy_with_logits", [("labels", ONE_HOT),
                                              ("logits", M), ("name", "n")]),
    ("nn.sparse_softmax_cross_entropy_with_logits", [("labels", LABELS),
                                                     ("logits", ROWS), ("name", "n")]),
    ("nn.softmax_cross_entropy_with_logits", [("labels", ONE_HOT),
                                              ("logits", ROWS), ("dim", -1), ("name", "n"),
                                              ("axis", None)]),
    ("nn.softmax_cross_entropy_with_logits_v2", [("labels", ONE_HOT),
                                                 ("logits", ROWS), ("axis", None), ("name", "n"),
                                                 ("dim", None)]),
    ("losses.mean_squared_error", [("labels", M), ("predictions", M + 1), ("weights", 1.0),
                                   ("scope", None), *LOSS]),
    ("losses.softmax_cross_entropy", [("onehot_labels", ONE_HOT), ("logits", M), ("weights", 1.0),
                                      ("label_smoothing", 0), ("scope", None), *LOSS]),
    ("losses.sparse_softmax_cross_entropy", [("labels", LABELS), ("logits", M), ("weights", 1.0),
                                             ("scope", None), *LOSS]),
    ("losses.sigmoid_cross_entropy", [("multi_class_labels", ONE_HOT), ("logits", M),
                                      ("weights", 1.0), ("label_smoothing", 0), ("scope", None),
                                      *LOSS]),
    ("layers.dropout", [("inputs", M), ("rate", 0.5), ("noise_shape", None), ("seed", 1),
                        ("training", False), ("name", "n")]),
    ("layers.flatten", [("inputs", IMAGES), ("name", "n"), ("data_format", "channels_last")]),
    ("layers.max_pooling2d", [("inputs", IMAGES), *POOL, ("name", "n")]),
    ("layers.average_pooling2d", [("inputs", IMAGES), *POOL, ("name", "n")]),
]  # fmt: skip
KEYWORDS_ONLY = {name for name, _ in TABLE if "_with_logits" in name}


def found(path: str) -> Callable[..., Any]:
    function: Any = tf
    for part in path.split("."):
        function = getattr(function, part)
    return function  # type: ignore[no-any-return]


@pytest.mark.parametrize(("path", "arguments"), TABLE, ids=[row[0] for row in TABLE])
def test_arguments_of_tensorflow_are_taken_by_name_and_by_position(
    path: str, arguments: list[tuple[str, Any]]
) -> None:
    function, named = found(path), dict(arguments)
    by_name = function(**named)
    if path in KEYWORDS_ONLY:  # TensorFlow allows only names here; TinyFlow has another order
        return
    by_position = function(*[value for _, value in arguments])
    session = tf.Session(seed=1)
    results = session.run([by_name, by_position])
    for mine, other in zip(*(r if isinstance(r, list | tuple) else [r] for r in results)):
        np.testing.assert_array_equal(mine, other)


def _made(call: Callable[[], tf.Tensor]) -> Any:
    with tf.Graph().as_default():
        y, session = call(), tf.Session(seed=1)
        session.run(tf.global_variables_initializer())
        return session.run(y)


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("layers.dense", [("inputs", M), ("units", 2), *DENSE]),
        ("layers.conv2d", [
            ("inputs", IMAGES), ("filters", 2), ("kernel_size", 3), ("strides", (1, 1)),
            ("padding", "same"), ("data_format", "channels_last"), ("dilation_rate", (1, 1)),
            *DENSE,
        ]),
        ("get_variable", [
            ("name", "v"), ("shape", [2]), ("dtype", tf.float64), ("initializer", None),
            ("regularizer", None), ("trainable", False), ("collections", None),
            ("caching_device", None), ("partitioner", None), ("validate_shape", True),
            ("use_resource", None), ("custom_getter", None), ("constraint", None),
        ]),
        ("Variable", [
            ("initial_value", M), ("trainable", False), ("collections", None),
            ("validate_shape", True), ("caching_device", None), ("name", "v"),
            ("variable_def", None), ("dtype", tf.float64), ("expected_shape", None),
            ("import_scope", None), ("constraint", None), ("use_resource", None),
        ]),
    ],
)  # fmt: skip
def test_what_makes_variables_takes_arguments_of_tensorflow(
    path: str, arguments: list[tuple[str, Any]]
) -> None:
    values = [value for _, value in arguments]
    mine = _made(lambda: found(path)(**dict(arguments)))
    np.testing.assert_array_equal(mine, _made(lambda: found(path)(*values)))


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("GradientDescentOptimizer", [("learning_rate", 0.5), ("use_locking", True)]),
        ("MomentumOptimizer", [("learning_rate", 0.5), ("momentum", 0.5), ("use_locking", False),
                               ("name", "M"), ("use_nesterov", True)]),
        ("AdamOptimizer", [("learning_rate", 0.5), ("beta1", 0.8), ("beta2", 0.9),
                           ("epsilon", 1e-8), ("use_locking", False), ("name", "A")]),
        ("AdagradOptimizer", [("learning_rate", 0.5), ("initial_accumulator_value", 0.2),
                              ("use_locking", False), ("name", "A")]),
        ("RMSPropOptimizer", [("learning_rate", 0.5), ("decay", 0.8), ("momentum", 0.5),
                              ("epsilon", 1e-9), ("use_locking", False), ("centered", True),
                              ("name", "R")]),
    ],
)  # fmt: skip
def test_optimizers_take_arguments_of_tensorflow(
    path: str, arguments: list[tuple[str, Any]]
) -> None:
    optimizer = getattr(tf.train, path)

    def stepped(made: Any) -> tf.Tensor:
        w = tf.Variable([1.0, -2.0])
        step = made.minimize(
            tf.reduce_sum(w * w), global_step=None, var_list=[w], gate_gradients=1,
            aggregation_method=None, colocate_gradients_with_ops=True, name="step", grad_loss=None,
        )  # fmt: skip
        with tf.control_dependencies(control_inputs=[step]):
            return w.read_value()

    mine = _made(lambda: stepped(optimizer(**dict(arguments))))
    other = _made(lambda: stepped(optimizer(*[value for _, value in arguments])))
    np.testing.assert_array_equal(mine, other)
    assert np.abs(mine - [1.0, -2.0]).min() > 0.01


def test_other_names_mean_the_same() -> None:
    x = tf.constant(M)
    pairs = [
        (tf.reduce_mean(x, reduction_indices=[1], keep_dims=True), M.mean(1, keepdims=True)),
        (tf.argmax(x, dimension=1), M.argmax(1)),
        (tf.nn.softmax(x, dim=0), np.exp(M) / np.exp(M).sum(0)),
        (tf.expand_dims(x, dim=1), M[:, None]),
        (tf.concat([x, x], concat_dim=1), np.concatenate([M, M], 1)),
        (tf.zeros_like(x, tf.int32), np.zeros((2, 3), np.int32)),
        (tf.pad(x, [[1, 1], [0, 1]], constant_values=-1.5),
         np.pad(M, [[1, 1], [0, 1]], constant_values=-1.5)),
        (tf.one_hot(LABELS, 3, axis=0), ONE_HOT.T),
        (tf.one_hot(np.stack([LABELS, LABELS]), 3, axis=1), np.stack([ONE_HOT.T, ONE_HOT.T])),
        (tf.one_hot(LABELS, 3, axis=-1), ONE_HOT),
    ]  # fmt: skip
    for mine, right in zip(tf.Session().run([mine for mine, _ in pairs]), pairs):
        np.testing.assert_allclose(mine, right[1], rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tf.reshape(M, form=[6]), ["reshape has no argument 'form'", "tensor, shape"]),
        (lambda: tf.reshape(M), ["reshape needs more arguments", "expected shape"]),
        (lambda: tf.reduce_sum(M, 0, False, "n", None, None, 1), ["too many arguments", "got 7"]),
        (lambda: tf.argmax(M, axis=0, dimension=1), ["axis and dimension mean the same", "0, 1"]),
        (lambda: tf.transpose(M, conjugate=True), ["conjugate is not supported", "got True"]),
        (lambda: tf.losses.mean_squared_error(M, M, weights=M), ["weights is not sup"]),
        (lambda: tf.layers.dense(M, 2, kernel_regularizer=tf.nn.l2_loss),
         ["dense: kernel_regularizer is not supported", "expected None"]),
        (lambda: tf.get_variable("v", [2], regularizer=tf.nn.l2_loss), ["regularizer is not"]),
        (lambda: tf.layers.conv2d(IMAGES, 2, 3, data_format="channels_first"),
         ["data_format is not supported", "'channels_first'", "'channels_last'"]),
        (lambda: tf.concat(1, [M, M]), ["old order", "concat([...], axis)", "tensors come first"]),
        (lambda: tf.train.AdamOptimizer(rate=1.0), ["AdamOptimizer has no argument 'rate'"]),
        (lambda: tf.Session("cpu", "grpc://x"), ["no graph", "got 'grpc://x'", "a tf.Graph"]),
    ],
)  # fmt: skip
def test_what_tinyflow_does_not_have_is_refused_by_name(
    call: Callable[[], Any], words: list[str]
) -> None:
    with pytest.raises(TinyflowError) as error:
        call()
    assert "test_tf1_arguments.py" in str(error.value) or isinstance(error.value, GraphError)
    for word in words:
        assert word in str(error.value)


def test_signatures_show_the_order_that_calls_follow() -> None:
    assert list(inspect.signature(tf.gather).parameters)[:4] == [
        "params", "indices", "validate_indices", "name",
    ]  # fmt: skip
    shown = inspect.signature(tf.reduce_sum).parameters
    assert {"input_tensor", "axis", "keep_dims", "reduction_indices"} <= shown.keys()
    assert shown["input_tensor"].default is inspect.Parameter.empty
    adam = list(inspect.signature(tf.train.AdamOptimizer).parameters)
    assert adam[:6] == ["learning_rate", "beta1", "beta2", "epsilon", "use_locking", "name"]
    ours = inspect.signature(tf.nn.conv2d).parameters["num_filter"]
    assert ours.kind is inspect.Parameter.KEYWORD_ONLY


def test_none_never_contradicts_another_name_of_the_same_argument() -> None:
    x = tf.constant(np.ones((2, 3), np.float32))
    for words in ({"keep_dims": True, "keepdims": None}, {"keepdims": None, "keep_dims": True}):
        assert tf.reduce_sum(x, 1, **words).get_shape() == (2, 1)


def test_numbers_of_numpy_and_empty_lists_leave_an_argument_alone() -> None:
    x = tf.constant(M)
    tf.gradients(tf.reduce_sum(x * x), x, stop_gradients=[])
    assert tf.transpose(x, [1, 0], conjugate=np.False_).get_shape() == (3, 2)
    with pytest.raises(GraphError, match="weights is not supported; got .*2.0.*; expected 1.0"):
        tf.losses.mean_squared_error(x, x, weights=np.float32(2))


def test_messages_of_methods_do_not_list_self() -> None:
    with pytest.raises(GraphError) as raised:
        tf.train.GradientDescentOptimizer()
    assert "self" not in str(raised.value) and "got nothing" in str(raised.value)
