"""TensorFlow 1's language, as TinyFlow spoke it."""

import sys

from tinyflow.frontend.tf import layers, losses, nn, train
from tinyflow.frontend.tf.api import *  # noqa: F403
from tinyflow.frontend.tf.api import __all__ as _api
from tinyflow.frontend.tf.argument import spell
from tinyflow.frontend.tf.array import *  # noqa: F403
from tinyflow.frontend.tf.array import __all__ as _array
from tinyflow.frontend.tf.clip import clip_by_global_norm, clip_by_norm, global_norm
from tinyflow.frontend.tf.config import ConfigProto, GPUOptions
from tinyflow.frontend.tf.context import *  # noqa: F403
from tinyflow.frontend.tf.context import __all__ as _context
from tinyflow.frontend.tf.conv import pad
from tinyflow.frontend.tf.custom import RegisterGradient, custom_gradient
from tinyflow.frontend.tf.initializers import *  # noqa: F403
from tinyflow.frontend.tf.initializers import __all__ as _initializers
from tinyflow.frontend.tf.maths import *  # noqa: F403
from tinyflow.frontend.tf.maths import __all__ as _maths
from tinyflow.frontend.tf.random import *  # noqa: F403
from tinyflow.frontend.tf.random import __all__ as _random
from tinyflow.frontend.tf.scope import Scope as Graph
from tinyflow.frontend.tf.scope import current_scope as get_default_graph
from tinyflow.frontend.tf.scope import reset_default_graph, set_random_seed
from tinyflow.frontend.tf.session import InteractiveSession, Session
from tinyflow.frontend.tf.tensor import Operation, Tensor, Variable
from tinyflow.types import DType

bool, int32, int64 = DType.bool, DType.int32, DType.int64
float16, bfloat16 = DType.float16, DType.bfloat16
float32, float64 = DType.float32, DType.float64

__all__ = ["ConfigProto", "GPUOptions", "Graph", "InteractiveSession", "Operation"]
__all__ += ["clip_by_norm", "RegisterGradient", "Session", "Tensor"]
__all__ += ["clip_by_global_norm", "custom_gradient", "get_default_graph", "global_norm", "layers"]
__all__ += ["Variable", "losses", "nn", "pad", "reset_default_graph", "set_random_seed", "train"]
__all__ += ["bfloat16", "bool", "float16", "float32", "float64", "int32", "int64"]
__all__ += [*_api, *_array, *_context, *_initializers, *_maths, *_random]

spell(sys.modules[__name__])
