"""What every torch kernel is wrapped in. Layer: backends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tinyflow.backends.table import Kernel, Template
from tinyflow.types import DType

__all__ = [
    "DTYPES", "Attrs", "Axes", "Out", "Shapes", "aten", "backward", "function", "into", "kernel",
    "named",
]  # fmt: skip

Axes = tuple[int, ...] | None
Out = Tensor | None
Attrs = Mapping[str, Any]
Shapes = Sequence[tuple[int, ...]]
DTYPES: Mapping[DType, torch.dtype] = {dtype: getattr(torch, dtype.value) for dtype in DType}
aten = torch.ops.aten


def _tensor(x: Any, others: Sequence[Any]) -> Any:
    """A Python number as a tensor beside the others, with the dtype of the first floating one."""
    if isinstance(x, Tensor) or x is None:
        return x
    tensors = [y for y in others if isinstance(y, Tensor)]
    dtype = next((y.dtype for y in tensors if y.is_floating_point()), None)
    return torch.as_tensor(x, dtype=dtype, device=tensors[0].device if tensors else None)


def kernel(
    compute: Callable[..., Tensor | tuple[Tensor, ...]],
    template: Template | str | None = None,
    *,
    writes_out: bool = True,
) -> Kernel:
    """Kernel of ``compute(*tensors, out=None, **attrs)``; without ``writes_out`` it has no out."""

    def run(*inputs: Any, out: Any = None, **attrs: Any) -> Any:
        tensors = [_tensor(x, inputs) for x in inputs]
        if writes_out:
            return compute(*tensors, out=out, **attrs)
        result = compute(*tensors, **attrs)
        if out is None:
            return result
        several = isinstance(result, tuple)
        return tuple(o.copy_(r) for o, r in zip(out, result)) if several else out.copy_(result)

    if isinstance(template, str):
        fixed = template
        return Kernel(run, writes_out, lambda attrs, shapes: fixed)
    return Kernel(run, writes_out, template)


def function(name: str, arity: int) -> Kernel:
    """Kernel of ``torch.name(inputs, out=out)``."""
    places = ", ".join(f"{{{i}}}" for i in range(arity))
    return kernel(getattr(torch, name), f"{name}({places}, out={{out}})")


def named(names: str) -> dict[str, object]:
    """The functions of torch that templates of ``function`` name, separated by blanks."""
    return {name: getattr(torch, name) for name in names.split()}


def into(out: Out, result: Tensor) -> Tensor:
    """Copy to ``out``, or to new row-major memory."""
    if out is None:
        return result.clone(memory_format=torch.contiguous_format)
    return out.copy_(result)


def backward(name: str, *more: int) -> Kernel:
    """Kernel of ``aten.name(dy, y, *more, grad_input=out)``."""
    packet = getattr(aten, name)

    def run(dy: Tensor, y: Tensor, out: Out = None) -> Tensor:
        if out is None:
            result: Tensor = packet(dy, y, *more)
            return result
        packet.grad_input(dy, y, *more, grad_input=out)
        return out

    arguments = ", ".join(["{0}", "{1}", *map(str, more)])
    return kernel(run, f"{name}({arguments}, grad_input={{out}})")
