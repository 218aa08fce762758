"""TinyFlow: a small deep-learning engine to read, in the style of NNVM.

``import tinyflow as tf`` gives the TensorFlow 1 front end: placeholders, variables, gradients,
optimizers, sessions. Below it lie, in order, ``ir``, ``ops``, ``adjoints``, ``passes``,
``program``, ``backends`` and ``runtime``: each a lecture.
"""

from tinyflow.errors import TinyflowError
from tinyflow.frontend.tf import *  # noqa: F403
from tinyflow.frontend.tf import __all__ as _tf

__all__ = ["TinyflowError", *_tf]
__version__ = "0.1.0"
