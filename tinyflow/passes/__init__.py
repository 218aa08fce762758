"""Passes: functions from graph to graph, one idea a file, composed by a checked pipeline."""

from tinyflow.passes.contract import Pass, Pipeline, Step
from tinyflow.passes.gradient import accumulate, gradient
from tinyflow.passes.infer import DTYPES, KNOWN_DTYPES, KNOWN_SHAPES, SHAPES, describe, infer
from tinyflow.passes.order import SCHEDULE, order
from tinyflow.passes.peephole import peephole
from tinyflow.passes.specialise import specialise
from tinyflow.passes.standard import STANDARD

__all__ = [
    "DTYPES",
    "KNOWN_DTYPES",
    "KNOWN_SHAPES",
    "SCHEDULE",
    "SHAPES",
    "STANDARD",
    "Pass",
    "Pipeline",
    "Step",
    "accumulate",
    "describe",
    "gradient",
    "infer",
    "order",
    "peephole",
    "specialise",
]
