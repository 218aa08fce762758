"""MXNet 1.x's symbol language: ``import tinyflow.frontend.mx as mx``.

``mx.FullyConnected(data, num_hidden=10, name="fc1")``, or ``mx.sym.FullyConnected`` as in MXNet.
"""

import sys
from functools import partial

from tinyflow.frontend.mx.executor import Executor, NDArray
from tinyflow.frontend.mx.layers import DIALECT
from tinyflow.frontend.mx.symbol import Group, NameManager, Symbol, Variable, load, load_json
from tinyflow.frontend.mx.symbol import function as _function
from tinyflow.types import Device

sym = symbol = sys.modules[__name__]
var = Variable
_functions = {name: _function(op) for name, op in DIALECT.items() if not name.startswith("_")}
globals().update(_functions)
cpu, gpu = partial(Device, "cpu"), partial(Device, "gpu")  # contexts: cpu(), gpu(0)

__all__ = ["Executor", "Group", "NDArray", "NameManager", "Symbol", "Variable", "cpu", "gpu"]
__all__ += ["load", "load_json", "sym", "symbol", "var", *_functions]
