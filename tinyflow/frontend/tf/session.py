"""``tf.Session``: the runtime's session, speaking tensors. Layer: frontend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from tinyflow.errors import FeedError, GraphError
from tinyflow.frontend.tf.config import ConfigProto
from tinyflow.frontend.tf.saver import check_fits
from tinyflow.frontend.tf.scope import Scope, current_scope
from tinyflow.frontend.tf.tensor import ACTIVE, Operation, Tensor, unwrap
from tinyflow.ir import Value
from tinyflow.passes import STANDARD, Pipeline
from tinyflow.passes.contract import Step
from tinyflow.runtime.bisect import Bisection, bisect
from tinyflow.runtime.checkpoint import read_checkpoint, write_checkpoint
from tinyflow.runtime.find_nan import Finding, find_nan
from tinyflow.runtime.profile import Profile, profile
from tinyflow.runtime.session import Session as Runner

__all__ = ["InteractiveSession", "Session"]


class Session(Runner):
    """``tf.Session("cpu")``; see :class:`tinyflow.runtime.session.Session`.

    ``with tf.Session() as sess:`` makes it the session of ``tensor.eval()``. Without ``seed``, it
    is that of ``tf.set_random_seed``. A ``graph`` is what the ``with`` block builds into. The
    words may be in ``target`` and ``config``; none, or a ``tf.ConfigProto``, mean "cpu".
    """

    def __init__(
        self,
        target: str | ConfigProto | None = "",
        graph: Scope | None = None,
        config: str | ConfigProto | None = None,
        *,
        pipeline: Pipeline = STANDARD,
        seed: int | None = None,
    ) -> None:
        if not isinstance(graph, Scope | None):
            raise GraphError("this is no graph", got=repr(graph)[:80], expected="a tf.Graph")
        self._graph, self._block = graph, ExitStack()
        seed = self.graph.seed if seed is None else seed
        words = [str(w) for w in (target, config) if w and not isinstance(w, ConfigProto)]
        super().__init__(" ".join(words) or "cpu", pipeline=pipeline, seed=seed)

    @property
    def graph(self) -> Scope:
        """The graph that this session was made for, or the default one."""
        return self._graph or current_scope()

    @contextmanager
    def as_default(self) -> Iterator[Session]:
        """Serve ``tensor.eval()`` inside a ``with`` block; the session stays open behind it."""
        ACTIVE.append(self)
        try:
            yield self
        finally:
            ACTIVE.remove(self)

    def run(
        self,
        fetches: Any,
        feed_dict: Mapping[Tensor, Any] | None = None,
        options: Any = None,
        run_metadata: Any = None,
    ) -> Any:
        """Compute a tensor and return a numpy array; of lists, tuples and dicts, the same ones.

        ``feed_dict`` maps tensors to arrays: floats convert to float32, ints to floats, floats
        never to ints. A group gives None; ``options`` and ``run_metadata`` change nothing. Raises
        TinyflowError naming node, got and expected.
        """
        results = self.run_values(_fetches(fetches), *_feeds(feed_dict))
        return results[0] if isinstance(fetches, Tensor) else _arranged(fetches, iter(results))

    def trace(self, fetch: Any, feed_dict: Mapping[Tensor, Any] | None = None) -> list[Step]:
        """The graph of these fetches before and after each pass; print the steps to read them."""
        return self.trace_values(_fetches(fetch), *_feeds(feed_dict))

    def bisect(
        self,
        fetch: Any,
        feed_dict: Mapping[Tensor, Any] | None = None,
        tolerance: float | None = None,
    ) -> Bisection:
        """Which pass changes results? Print the answer: a line per pass, the first wrong node.

        The graph is interpreted as built and after each pass, and the emitted function runs last,
        all on copies of the variables. ``tolerance`` is relative; see ``runtime.bisect``.
        """
        return bisect(self, _fetches(fetch), *_feeds(feed_dict), tolerance)

    def find_nan(self, fetch: Any, feed_dict: Mapping[Tensor, Any] | None = None) -> Finding | None:
        """The first node of the next run that makes NaN or infinity, with the ranges of its inputs.

        Print it. None if all is finite. Variables stay as they are.
        """
        return find_nan(self, _fetches(fetch), *_feeds(feed_dict))

    def profile(
        self, fetch: Any, feed_dict: Mapping[Tensor, Any] | None = None, runs: int = 20
    ) -> Profile:
        """Time, bytes and FLOPs of each instruction, as medians over ``runs`` runs on a copy.

        Print it, show it in a notebook, or ``.chrome_trace(path)``. Variables stay as they are.
        """
        return profile(self, _fetches(fetch), *_feeds(feed_dict), runs)

    def save(self, path: str) -> str:
        """Write all variables, optimizer slots too, and the random counter to one file; its path.

        Training that is saved, restored and goes on gives bit for bit what it would have given.
        """
        write_checkpoint(path, self.checkpoint())
        return path

    def restore(self, path: str) -> None:
        """Take over what ``save`` wrote; variables that the file lacks are uninitialised then.

        Raises RunError for a missing file or a variable that the graph lacks, ShapeError or
        DTypeError for one that does not fit, GraphError for a file that is no checkpoint. Nothing
        is changed then.
        """
        saved = read_checkpoint(path)
        check_fits(saved, current_scope().variables())
        self.resume(saved)

    def __enter__(self) -> Session:
        ACTIVE.append(self)
        if self._graph is not None:
            self._block.enter_context(self._graph.as_default())
        return self

    def __exit__(self, *error: object) -> None:
        self._block.close()
        ACTIVE.remove(self)

    def close(self) -> None:
        """Drop programs and variables."""
        self._cache.clear()
        self._last = None
        self._storage.clear()
        self._ready.clear()


class InteractiveSession(Session):
    """A session that serves ``tensor.eval()`` and ``step.run()`` from here on, until it closes."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        ACTIVE.append(self)

    def close(self) -> None:
        """Drop programs and variables, and serve ``eval`` no more."""
        super().close()
        if self in ACTIVE:
            ACTIVE.remove(self)


def _fetches(fetches: Any) -> list[Value]:
    """The values to compute, in the order in which lists, tuples and dicts have them."""
    if isinstance(fetches, Tensor | Operation):
        return [(fetches if isinstance(fetches, Tensor) else fetches.outputs[0]).value]
    parts = fetches.values() if isinstance(fetches, dict) else fetches
    if not isinstance(fetches, list | tuple | dict):
        got, expected = type(fetches).__name__, "a tensor, or a list, tuple or dict of tensors"
        raise FeedError("cannot fetch this", got=got, expected=expected)
    return [value for part in parts for value in _fetches(part)]


def _arranged(fetches: Any, results: Iterator[Any]) -> Any:
    """The results as lists, tuples and dicts, as they were fetched."""
    if isinstance(fetches, dict):
        return {key: _arranged(part, results) for key, part in fetches.items()}
    if not isinstance(fetches, list | tuple):
        result = next(results)
        return None if isinstance(fetches, Operation) else result
    parts, kind = [_arranged(part, results) for part in fetches], type(fetches)
    return kind(*parts) if hasattr(kind, "_fields") else kind(parts)


def _feeds(feed_dict: Mapping[Tensor, Any] | None) -> tuple[list[Value], list[Any]]:
    """The values that are fed, and what each is fed."""
    feed_dict = feed_dict or {}
    for tensor in feed_dict:
        if not isinstance(tensor, Tensor):
            got, fix = repr(tensor)[:80], "Use {x: array} with the placeholder x itself."
            raise FeedError("cannot feed this", got=got, expected="a tensor as the key", fix=fix)
    return [unwrap(tensor) for tensor in feed_dict], list(feed_dict.values())
