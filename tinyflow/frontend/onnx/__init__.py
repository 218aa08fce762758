"""ONNX: write networks for other programs, and read theirs. Needs the extra ``[onnx]``."""

try:
    import onnx as _onnx  # noqa: F401
except ImportError as error:
    raise ImportError("the package onnx is missing; pip install 'tinyflow[onnx]'") from error

from tinyflow.frontend.onnx.export import export
from tinyflow.frontend.onnx.load import load

__all__ = ["export", "load"]
