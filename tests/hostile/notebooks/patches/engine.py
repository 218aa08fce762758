# /// variant
# title = "patches nodes, values, the catalog and the kernels of its own engine"
# has = ["mul_adjoint"]
# spoils = ["mul_adjoint"]
# ///
import tinyflow
import tinyflow.backends.numpy_ as backend
import tinyflow.ir as ir

for cls in (ir.Node, ir.Value, ir.Graph):
    cls.__eq__ = lambda self, other: True
    cls.__hash__ = lambda self: 0
ir.verify = ir.graph.topological_order = lambda *args: ()
ir.Attribute.check = lambda self, value: value
for op in list(ops.OPS.values()):
    object.__setattr__(op, "name", "placeholder")
backend.NUMPY = {}
relu_adjoint = tanh_adjoint = lambda node, dy: (dy,)
