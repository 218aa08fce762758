"""Losses against torch, with their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import tinyflow as tf
from tinyflow.errors import RunError, ShapeError

RNG = np.random.default_rng(5)
LOGITS = RNG.normal(size=(6, 4)) * 3
CLASSES = np.array([0, 3, 1, 1, 2, 0])
ONE_HOT = np.eye(4)[CLASSES]
TRUTH = RNG.integers(0, 2, (6, 4)).astype(float)


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            lambda x: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=CLASSES, logits=x),
            lambda x: F.cross_entropy(x, torch.from_numpy(CLASSES), reduction="none"),
        ),
        (
            lambda x: tf.nn.softmax_cross_entropy_with_logits_v2(labels=ONE_HOT, logits=x),
            lambda x: F.cross_entropy(x, torch.from_numpy(ONE_HOT), reduction="none"),
        ),
        (
            lambda x: tf.nn.sigmoid_cross_entropy_with_logits(labels=TRUTH, logits=x),
            lambda x: F.binary_cross_entropy_with_logits(
                x, torch.from_numpy(TRUTH), reduction="none"
            ),
        ),
        (
            lambda x: tf.losses.sparse_softmax_cross_entropy(CLASSES, x),
            lambda x: F.cross_entropy(x, torch.from_numpy(CLASSES)),
        ),
        (
            lambda x: tf.losses.softmax_cross_entropy(ONE_HOT, x),
            lambda x: F.cross_entropy(x, torch.from_numpy(ONE_HOT)),
        ),
        (
            lambda x: tf.losses.sigmoid_cross_entropy(TRUTH, x),
            lambda x: F.binary_cross_entropy_with_logits(x, torch.from_numpy(TRUTH)),
        ),
        (
            lambda x: tf.losses.mean_squared_error(TRUTH, x),
            lambda x: F.mse_loss(x, torch.from_numpy(TRUTH)),
        ),
    ],
    ids=["sparse", "dense", "sigmoid", "mean sparse", "mean dense", "mean sigmoid", "squared"],
)
def test_a_loss_and_its_gradient_are_those_of_torch(ours: Any, theirs: Any) -> None:
    x = tf.placeholder(tf.float64, [None, 4])
    loss = ours(x)
    (slope,) = tf.gradients(loss, [x])
    made = tf.Session().run([loss, slope], {x: LOGITS})
    leaf = torch.tensor(LOGITS, requires_grad=True)
    wanted = theirs(leaf)
    wanted.sum().backward()
    np.testing.assert_allclose(made[0], wanted.detach().numpy(), rtol=1e-10)
    np.testing.assert_allclose(made[1], leaf.grad.numpy(), atol=1e-12)


def test_sigmoid_losses_do_not_overflow() -> None:
    x = tf.placeholder(tf.float32, [2])
    loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=[1.0, 0.0], logits=x)
    slope = tf.gradients(loss, [x])[0]
    for made in tf.Session().run([loss, slope], {x: [1000.0, -1000.0]}):
        np.testing.assert_array_equal(made, [0, 0])


def test_labels_that_are_no_classes_never_pass_in_silence() -> None:
    x, y = tf.placeholder(tf.float32, [None, 4]), tf.placeholder(tf.int64, [None])
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=x)
    made = tf.Session().run(each, {x: LOGITS[:3], y: [4, 0, -1]})
    np.testing.assert_array_equal(np.isnan(made), [True, False, True])
    with pytest.raises(RunError, match="not a class number"):
        tf.Session().run(tf.losses.sparse_softmax_cross_entropy(y, x), {x: LOGITS[:1], y: [4]})
    with pytest.raises(ShapeError, match=r"number of classes is needed; got \[\.\.\.\]"):
        tf.nn.sparse_softmax_cross_entropy_with_logits(y, tf.placeholder(tf.float32))
