"""Gradient rules: programs written in ops, one file per file of ``ops``. Layer: adjoints.

A rule may be called before any shape is known, so it never reads one: ``sum_like`` undoes a
broadcast, ``broadcast_like`` a reduction, ``reshape_like`` a reshape, ``cast_like`` a cast, and
``size`` counts elements. Everything that a rule builds has a rule itself: second derivatives work.

Source: Griewank and Walther, Evaluating Derivatives, 2nd ed., SIAM 2008, chapter 3; the form
``rule(node, dy) -> adjoints of the inputs`` is NNVM's FGradient.
"""

from tinyflow.adjoints import (
    array,
    conv,
    elementwise,
    layout,
    linalg,
    nn,
    norm,
    pool,
    random,
    reduction,
    scan,
    select,
    state,
    transformer,
)
from tinyflow.adjoints.table import AdjointRule, Adjoints, AdjointTable, NoGradient, PlacedRules

__all__ = ["ADJOINTS", "AdjointRule", "AdjointTable", "Adjoints", "NoGradient", "PlacedRules"]

ADJOINTS = AdjointTable(
    state.RULES,
    random.RULES,
    elementwise.RULES,
    reduction.RULES,
    linalg.RULES,
    layout.RULES,
    nn.RULES,
    conv.RULES,
    pool.RULES,
    norm.RULES,
    select.RULES,
    array.RULES,
    scan.RULES,
    transformer.RULES,
)
