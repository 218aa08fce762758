"""TensorFlow 1's language, as TinyFlow spoke it."""

from tinyflow.frontend.tf import nn, train
from tinyflow.frontend.tf.api import *  # noqa: F403
from tinyflow.frontend.tf.api import __all__ as _api
from tinyflow.frontend.tf.scope import Scope as Graph
from tinyflow.frontend.tf.scope import reset_default_graph
from tinyflow.frontend.tf.session import Session
from tinyflow.frontend.tf.tensor import Tensor, Variable
from tinyflow.types import DType

bool, int32, int64 = DType.bool, DType.int32, DType.int64
float16, bfloat16, float32, float64 = (
    DType.float16,
    DType.bfloat16,
    DType.float32,
    DType.float64,
)

__all__ = ["Graph", "Session", "Tensor", "Variable", "nn", "reset_default_graph", "train"]
__all__ += ["bfloat16", "bool", "float16", "float32", "float64", "int32", "int64"]
__all__ += _api
