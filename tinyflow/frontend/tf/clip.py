"""Keep gradients from exploding. Layer: frontend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinyflow.errors import GraphError
from tinyflow.frontend.tf.api import add_n, square
from tinyflow.frontend.tf.array import where
from tinyflow.frontend.tf.maths import maximum, multiply, reduce_sum, sqrt
from tinyflow.frontend.tf.tensor import Like, Tensor

__all__ = ["clip_by_global_norm", "clip_by_norm", "global_norm"]


def global_norm(t_list: Sequence[Tensor | None], name: str | None = None) -> Tensor:
    """sqrt(sum of the squares of all elements of all tensors); a None in the list counts nothing.

    Raises GraphError if there is no tensor.
    """
    squares = [reduce_sum(square(t)) for t in t_list if t is not None]
    if not squares:
        raise GraphError("no tensor to take the norm of", expected="a list of gradients")
    return sqrt(add_n(squares), name)


def clip_by_global_norm(
    t_list: Sequence[Tensor | None],
    clip_norm: Like,
    use_norm: Tensor | None = None,
    name: str | None = None,
) -> tuple[list[Tensor | None], Tensor]:
    """All tensors scaled by clip_norm / max(norm, clip_norm), and their norm, a scalar, before.

    ``use_norm`` is the norm if you have it already. Up to clip_norm nothing changes; a None stays
    None. Raises GraphError if there is no tensor.
    Source: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent networks, 2013.
    """
    norm = global_norm(t_list) if use_norm is None else use_norm
    scale = clip_norm / maximum(norm, clip_norm)
    return [None if t is None else t * scale for t in t_list], norm


def clip_by_norm(t: Like, clip_norm: Like, axes: Any = None, name: str | None = None) -> Tensor:
    """t * clip_norm / max(norm, clip_norm), for the norm of all of t, or along ``axes``."""
    squares = reduce_sum(square(t), axes, True)
    some = squares > 0.0  # the derivative of the root is infinite at 0
    norm = where(some, sqrt(where(some, squares, 1.0)), squares)
    return multiply(t, clip_norm / maximum(norm, clip_norm), name)
