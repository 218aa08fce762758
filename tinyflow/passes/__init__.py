"""Passes: functions from graph to graph, one idea a file, composed by a checked pipeline."""

from tinyflow.passes.contract import Pass, Pipeline, Step
from tinyflow.passes.gradient import accumulate, gradient
from tinyflow.passes.infer import DTYPES, KNOWN_DTYPES, KNOWN_SHAPES, SHAPES, describe, infer
from tinyflow.passes.layout import STRIDES, layout
from tinyflow.passes.memory import PLAN, MemoryPlan, memory
from tinyflow.passes.order import SCHEDULE, order
from tinyflow.passes.peephole import peephole
from tinyflow.passes.pin import pin
from tinyflow.passes.place import PLACEMENT, place
from tinyflow.passes.recompute import checkpoint, recompute
from tinyflow.passes.simplify import simplify
from tinyflow.passes.specialise import specialise
from tinyflow.passes.standard import OPTIONS, STANDARD, with_options
from tinyflow.passes.storage import STORAGE, storage

__all__ = [
    "DTYPES", "KNOWN_DTYPES", "KNOWN_SHAPES", "OPTIONS", "PLACEMENT", "PLAN", "SCHEDULE", "SHAPES",
    "STANDARD", "STORAGE", "STRIDES", "MemoryPlan", "Pass", "Pipeline", "Step", "accumulate",
    "checkpoint", "describe", "gradient", "infer", "layout", "memory", "order", "peephole", "pin",
    "place", "recompute", "simplify", "specialise", "storage", "with_options",
]  # fmt: skip
