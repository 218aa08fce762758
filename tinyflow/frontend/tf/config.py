"""``tf.ConfigProto``: what scripts tell TensorFlow about its machine. Layer: frontend."""

from types import SimpleNamespace
from typing import Any

__all__ = ["ConfigProto", "GPUOptions"]


class GPUOptions(SimpleNamespace):
    """Which part of a GPU's memory TensorFlow may take; takes any field, and changes nothing."""


class ConfigProto(SimpleNamespace):
    """``tf.Session(config=tf.ConfigProto(allow_soft_placement=True))``: any field; no change."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**{"gpu_options": GPUOptions(), **fields})
