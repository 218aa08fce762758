"""The kernels of a session with fusion: generated where that is faster. Layer: backends."""

from __future__ import annotations

from collections import ChainMap

from tinyflow.backends.images import IMAGES
from tinyflow.backends.products import PRODUCTS
from tinyflow.backends.torch_ import TORCH
from tinyflow.backends.torch_table import TorchTable

__all__ = ["generated_table"]


def generated_table() -> TorchTable:
    """The table of the CPU for one session, ops added to it later included, with our kernels."""
    table = TorchTable(TORCH.name, {}, TORCH.namespace)
    table._rows = ChainMap({**PRODUCTS, **IMAGES}, TORCH._rows)
    return table
