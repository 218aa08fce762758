"""Models of ONNX, run by onnxruntime and by the engine."""

from __future__ import annotations

from typing import Any

import onnx
import onnxruntime

import tinyflow as tf
from tinyflow.frontend.onnx import load


def runtime(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    """What onnxruntime computes."""
    data = model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return list(session.run(None, feeds))


def imported(model: Any, feeds: dict[str, Any], config: str = "cpu") -> list[Any]:
    """What the engine computes of the model."""
    with tf.Graph().as_default():
        inputs, outputs = load(model)
        sess = tf.Session(config)
        sess.run(tf.initialize_all_variables())
        fed = {inputs[name]: array for name, array in feeds.items()}
        return list(sess.run(list(outputs.values()), fed))
