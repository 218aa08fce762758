"""Images of random numbers, and runs of layers on them."""

import numpy as np

import tinyflow as tf

RNG = np.random.default_rng(3)


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def nhwc(x):
    return x.transpose(0, 2, 3, 1)


def run(tensor, feeds=None, state=None):
    session = tf.Session()
    for variable, array in (state or {}).items():
        session.run(tf.assign(variable, array))
    return session.run(tensor, feeds)


def variables_of(net, known):
    return {name: (v, shape) for v, name, shape in tf.infer_variable_shapes(net, known)}
