"""The pipeline of a session. Layer: passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tinyflow.passes.contract import Facts, Pass, Pipeline
from tinyflow.passes.expand import expand
from tinyflow.passes.fuse import fuse
from tinyflow.passes.infer import DTYPES, SHAPES, infer
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

_TYPES: Facts = {SHAPES, DTYPES}
_SCHEDULED: Facts = {*_TYPES, SCHEDULE}
_HOUSED: Facts = {*_SCHEDULED, STORAGE}

STANDARD = Pipeline(
    (
        Pass("pin", pin),
        Pass("infer", infer, provides=_TYPES),
        Pass("peephole", peephole, requires=_TYPES, provides=_TYPES),
        Pass("specialise", specialise, requires=_TYPES),
        Pass("simplify", simplify, requires=_TYPES, provides=_TYPES),
        Pass("place", place, provides={PLACEMENT}),
        Pass("layout", layout, requires=_TYPES, provides={STRIDES}),
        Pass("order", order, requires=_TYPES, provides={SCHEDULE}),
        Pass("storage", storage, requires=_SCHEDULED, provides={STORAGE}),
        Pass("memory", memory, requires=_HOUSED, provides={PLAN}),
    )
)

# For each option the pass that goes in before another. Fusion comes first: what is computed again
# is a whole kernel then, and gives the same bits.
OPTIONS: Mapping[str, Mapping[str, Pass]] = {
    "fusion": {
        "specialise": Pass("expand", expand, requires=_TYPES),
        "layout": Pass("fuse", fuse, requires=_TYPES, provides=_TYPES),
    },
    "recompute": {"layout": Pass("recompute", recompute, requires=_HOUSED, provides=_TYPES)},
    "checkpoint": {"layout": Pass("checkpoint", checkpoint, requires=_HOUSED, provides=_TYPES)},
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
