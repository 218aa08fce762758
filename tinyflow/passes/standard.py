"""The pipeline of a session. Layer: passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tinyflow.ir import Fact
from tinyflow.passes.contract import Pass, Pipeline
from tinyflow.passes.expand import expand
from tinyflow.passes.fuse import fuse
from tinyflow.passes.infer import DTYPES, KNOWN_DTYPES, KNOWN_SHAPES, SHAPES, infer
from tinyflow.passes.layout import STRIDES, layout
from tinyflow.passes.memory import PLAN, memory
from tinyflow.passes.order import SCHEDULE, order
from tinyflow.passes.peephole import peephole
from tinyflow.passes.pin import pin
from tinyflow.passes.place import PLACEMENT, place
from tinyflow.passes.recompute import checkpoint, recompute
from tinyflow.passes.simplify import simplify
from tinyflow.passes.specialise import specialise
from tinyflow.passes.storage import STORAGE, storage

__all__ = ["OPTIONS", "STANDARD", "with_options"]

# Leaves are never cloned, so what is known of them stays true.
_LEAVES: frozenset[Fact[Any]] = frozenset({KNOWN_SHAPES, KNOWN_DTYPES})
_TYPES: frozenset[Fact[Any]] = frozenset({SHAPES, DTYPES})
_PLACED: frozenset[Fact[Any]] = frozenset({PLACEMENT})
_STRIDES: frozenset[Fact[Any]] = frozenset({STRIDES})
_ORDERED: frozenset[Fact[Any]] = frozenset({SCHEDULE})
_STORED: frozenset[Fact[Any]] = frozenset({STORAGE})
_HOUSED = _TYPES | _ORDERED | _STORED
_PLANNED: frozenset[Fact[Any]] = frozenset({PLAN})

STANDARD = Pipeline(
    (
        Pass("pin", pin, preserves=_LEAVES),
        Pass("infer", infer, provides=_TYPES, preserves=_LEAVES),
        Pass("peephole", peephole, requires=_TYPES, provides=_TYPES, preserves=_LEAVES),
        Pass("specialise", specialise, requires=_TYPES, preserves=_LEAVES),
        Pass("simplify", simplify, requires=_TYPES, provides=_TYPES, preserves=_LEAVES),
        Pass("place", place, provides=_PLACED, preserves=_LEAVES),
        Pass("layout", layout, requires=_TYPES, provides=_STRIDES, preserves=_LEAVES),
        Pass("order", order, requires=_TYPES, provides=_ORDERED, preserves=_LEAVES),
        Pass("storage", storage, requires=_TYPES | _ORDERED, provides=_STORED),
        Pass("memory", memory, requires=_HOUSED, provides=_PLANNED),
    )
)

OPTIONS: Mapping[str, Mapping[str, Pass]] = {  # option: the pass that goes in before another
    "recompute": {"layout": Pass("recompute", recompute, _HOUSED, _TYPES, _LEAVES)},
    "checkpoint": {"layout": Pass("checkpoint", checkpoint, _HOUSED, _TYPES, _LEAVES)},
    "fusion": {
        "specialise": Pass("expand", expand, _TYPES, preserves=_LEAVES),
        "layout": Pass("fuse", fuse, _TYPES, _TYPES, _LEAVES),
    },
}


def with_options(pipeline: Pipeline, options: Iterable[str]) -> Pipeline:
    """The pipeline with the passes of these options, in the order of OPTIONS.

    Where a pipeline lacks the pass that one would go before, it does without.
    """
    wanted = set(options)
    for stages in (stages for word, stages in OPTIONS.items() if word in wanted):
        for before, stage in stages.items():
            if before in pipeline.names():
                pipeline = pipeline.insert(stage, before=before)
    return pipeline
