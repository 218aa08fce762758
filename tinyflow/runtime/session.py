"""A session: variable contents, and a cache of programs. Layer: runtime."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyflow import ops
from tinyflow.backends.numpy_ import NUMPY
from tinyflow.backends.table import KernelTable
from tinyflow.errors import RunError, ShapeError
from tinyflow.ir import Graph, Value
from tinyflow.passes import (
    DTYPES,
    KNOWN_DTYPES,
    KNOWN_SHAPES,
    PLAN,
    SHAPES,
    STANDARD,
    MemoryPlan,
    Pipeline,
    infer,
    with_options,
)
from tinyflow.passes.contract import Step
from tinyflow.program import Program, Register, lower
from tinyflow.runtime.checkpoint import Checkpoint, capture
from tinyflow.runtime.collector import no_collector
from tinyflow.runtime.config import check_bfloat16, check_devices, kernels_of, read_config
from tinyflow.runtime.executor import Executable, emit
from tinyflow.runtime.failure import failure
from tinyflow.runtime.feed import FEED_DTYPES, Array, check_fed, checked_feeds, cut
from tinyflow.runtime.interpreter import interpret
from tinyflow.types import is_static

__all__ = ["Session"]

_Kinds = tuple[tuple[tuple[int, ...], np.dtype[Any]], ...]
_Key = tuple[tuple[Value, ...], tuple[Value, ...], _Kinds]  # fetches, fed values, kinds of feeds
_PROGRAMS = 32  # least recently used programs are dropped


@dataclass(frozen=True, slots=True)
class _Compiled:
    """One entry of the cache: how to run these fetches on feeds of these shapes."""

    fetches: tuple[Value, ...]
    fed: tuple[Value, ...]
    kinds: _Kinds  # shape and dtype of each feed
    graph: Graph
    feeds: tuple[tuple[int, Value], ...]  # position among the feeds of the call, and placeholder
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    executable: Executable | None  # None: the interpreter runs the graph

    def serves(self, fetches: Sequence[Value], fed: Sequence[Value], given: Sequence[Any]) -> bool:
        """True if this entry runs such a call on the feeds as they are; says no when in doubt."""
        if len(fetches) != len(self.fetches) or len(fed) != len(self.fed):
            return False
        for mine, yours in zip(self.fetches, fetches):
            if mine is not yours and mine != yours:
                return False
        for mine, yours, kind, array in zip(self.fed, fed, self.kinds, given):
            if mine is not yours or type(array) is not np.ndarray:
                return False
            if array.dtype is not kind[1] or array.shape != kind[0]:
                return False
        return True


class Session:
    """Runs graphs; holds the contents of their variables by name.

    Args:
        config: words: a device ("cpu", "gpu", "gpu:1", "numpy") and options: "fusion" (groups of
            ops in one generated kernel; on a GPU also replay as CUDA graphs), "recompute" (compute
            cheap values again instead of keeping them), "checkpoint" (keep about √N of N values),
            "interpret" (walk the graph instead of emitting a function). The road to a GPU has not
            run on one yet.
        pipeline: the passes to apply; ``STANDARD.replace("infer", my_infer)`` puts yours in.
        seed: of all random ops; the same seed gives the same numbers.

    Raises RunError for an unknown word or a device that this machine lacks.
    """

    def __init__(
        self, config: str = "cpu", *, pipeline: Pipeline = STANDARD, seed: int = 0
    ) -> None:
        self.config = config
        self.device, self.options = read_config(config)
        self.pipeline, self.seed = with_options(pipeline, self.options), seed
        if self.device.kind == "gpu" and "layout" in self.pipeline.names():
            self.pipeline = self.pipeline.without("layout")  # which is for processors
        self.kernels = kernels_of(self.device, self.options)
        self.kernels.open()
        self.run_count = 0
        self._storage: dict[str, Any] = {}  # arrays of the backend, by variable name
        self._ready: set[str] = set()  # variables that have a content
        self._cache: OrderedDict[_Key, _Compiled] = OrderedDict()
        self._last: _Compiled | None = None
        self._lock = threading.Lock()

    def run_values(
        self, fetches: Sequence[Value], fed: Sequence[Value], given: Sequence[Any]
    ) -> list[Any]:
        """Compute ``fetches`` with the values ``fed`` set to the arrays ``given``.

        Returns numpy arrays that belong to the caller; None for a group. Raises FeedError for feeds
        that are missing or do not fit, RunError for variables without content and failing kernels,
        and what the passes raise.
        """
        with self._lock:
            compiled = self._last
            if compiled is None or not compiled.serves(fetches, fed, given):
                given = checked_feeds(fed, given)
                compiled = self._compiled(tuple(fetches), tuple(fed), given)
            self._check_ready(compiled)
            self.run_count += 1
            results = self._execute(compiled, given)
            self._ready.update(compiled.writes)
        return results

    def _compiled(
        self, fetches: tuple[Value, ...], fed: tuple[Value, ...], arrays: Sequence[Array]
    ) -> _Compiled:
        key = (fetches, fed, tuple((array.shape, array.dtype) for array in arrays))
        compiled = self._cache.get(key)
        if compiled is None:
            compiled = self._cache[key] = self._compile(key, arrays)
            if len(self._cache) > _PROGRAMS:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(key)
        self._last = compiled
        return compiled

    def _compile(self, key: _Key, arrays: Sequence[Array]) -> _Compiled:
        with no_collector():
            return self._compile_now(key, arrays)

    def _compile_now(self, key: _Key, arrays: Sequence[Array]) -> _Compiled:
        graph, feeds = self._prepare(key[0], key[1], arrays)
        fills = _only_fills(graph)
        try:
            graph = self._fill(graph) if fills else self.pipeline(graph)
        except NotImplementedError:  # a homework's engine, in which a pass is still to be written
            return _interpreted(key, graph, feeds)
        except ShapeError:
            check_fed(graph, feeds)  # which explains a shape that nobody knows
            raise
        check_fed(graph, feeds)
        check_bfloat16(graph, key[0], self.kernels)
        shapes, dtypes = graph.fact(SHAPES), graph.fact(DTYPES)
        unknown = [v for v, shape in shapes.items() if not is_static(shape)]
        unknown += [v for v, dtype in dtypes.items() if dtype is None]
        static = all(value.node.op.name == "group" for value in unknown)
        if not static or fills or "interpret" in self.options or self.kernels is NUMPY:
            return _interpreted(key, graph, feeds)
        used = _used(graph, feeds)
        program = lower(graph, [value for _, value in used])
        self._make_room(program)
        executable = emit(program, self.kernels, self._storage)
        return _Compiled(*key, graph, used, program.reads, program.writes, executable)

    def _fill(self, graph: Graph) -> Graph:
        """The graph for the interpreter: what fills variables runs once, and need not be fast."""
        unneeded = {*self.pipeline.names()} - {"pin", "infer", "specialise"}
        graph = self.pipeline.without(*unneeded)(graph)
        return graph if DTYPES in graph.facts else infer(graph)

    def _make_room(self, program: Program) -> None:
        """Storage for the variables of a program, with the strides that it wants.

        Other programs hold the arrays that are replaced, so they are compiled again when needed.
        """
        for register in program.registers:
            if register.node.op.name != "variable" or register.base is not None:
                continue
            name = register.node.name or ""
            old, strides = self._storage.get(name), register.strides
            if old is None:
                self._storage[name] = self._allocate(register)
            elif strides is not None and self.kernels.address(old, strides) is None:
                self._storage[name] = self._allocate(register)
                self._storage[name][...] = old
                self._cache.clear()
                self._last = None

    def _allocate(self, register: Register) -> Any:
        try:
            return self.kernels.empty(register.shape, register.dtype, register.strides)
        except (ValueError, TypeError, RuntimeError, MemoryError) as error:
            raise failure(error, register.node, register.size_bytes) from error

    def _prepare(
        self, fetches: tuple[Value, ...], feeds: tuple[Value, ...], arrays: Sequence[Array]
    ) -> tuple[Graph, tuple[Value, ...]]:
        """The graph of these fetches, fed inner values cut off, with the facts known of leaves."""
        graph, feeds = cut(Graph(fetches), feeds, arrays)
        check_devices(graph, self.device)
        shapes = {value: tuple(array.shape) for value, array in zip(feeds, arrays)}
        dtypes = {value: FEED_DTYPES[array.dtype] for value, array in zip(feeds, arrays)}
        for node in graph.nodes:
            if node.op.name == "variable" and node.name in self._ready:
                array = self._storage[node.name]
                shapes[node.outputs[0]] = tuple(array.shape)
                dtypes[node.outputs[0]] = self.kernels.dtype_of(array)
        present = set(graph.nodes)
        graph = graph.with_fact(
            KNOWN_SHAPES, {v: s for v, s in shapes.items() if v.node in present}
        )
        known = {v: d for v, d in dtypes.items() if v.node in present}
        return graph.with_fact(KNOWN_DTYPES, known), feeds

    def _check_ready(self, compiled: _Compiled) -> None:
        if not self._ready.issuperset(compiled.reads):
            missing = [name for name in compiled.reads if name not in self._ready]
            node = next(n for n in compiled.graph.nodes if n.name == missing[0])
            raise RunError(
                f"variable '{missing[0]}' is not initialised",
                node=node,
                fix="Run tf.initialize_all_variables(), or tf.assign it, in this session first.",
            )

    def _execute(self, compiled: _Compiled, arrays: Sequence[Array]) -> list[Any]:
        key = (self.seed, self.run_count)
        if compiled.executable is None:
            return self._interpret(compiled, arrays, key)
        from_feed = self.kernels.from_feed
        try:
            with self.kernels.inference():
                feeds = [from_feed(arrays[position]) for position, _ in compiled.feeds]
                return compiled.executable.launch(key, *feeds)
        except Exception as error:
            raise compiled.executable.explain(error) from error
        except KeyboardInterrupt as stop:
            compiled.executable.interrupted(stop)
            raise

    def _interpret(
        self, compiled: _Compiled, arrays: Sequence[Array], key: tuple[int, int]
    ) -> list[Any]:
        kernels = self.kernels
        used = [(value, arrays[i]) for i, value in compiled.feeds]
        fed = {value: kernels.from_numpy(a, FEED_DTYPES[a.dtype]) for value, a in used}
        contents = {name: self._storage[name] for name in self._ready}
        results = interpret(compiled.graph, fed, contents, kernels, key)
        for name in compiled.writes:
            self._store(name, contents[name])
        return [None if array is None else kernels.to_numpy(array) for array in results]

    def _store(self, name: str, array: Any) -> None:
        """Set a variable, in place where programs hold its storage."""
        if name in self._storage and self._storage[name].shape == array.shape:
            self._storage[name][...] = array
        else:
            self._storage[name] = _copy(self.kernels, array)

    def source(self, kernels: bool = False) -> str:
        """The emitted Python function of the last run, and the loops of its fused kernels.

        With ``kernels`` also the text that was compiled. Raises RunError if nothing was emitted.
        """
        executable = self._executable()
        parts = [executable.source]
        for name, native in executable.native.items():
            loops = "\n".join(f"    {line}" for line in str(native.nest).splitlines())
            parts.append(f"{name}:\n{loops}\n")
            parts += [native.source] if kernels else []
        return "\n".join(parts)

    def program(self) -> Program:
        """The lowered program of the last run: registers and instructions; printable."""
        return self._executable().program

    def memory_plan(self) -> MemoryPlan:
        """Where the buffers of the last run lie, and what any plan would need; printable."""
        self._executable()
        assert self._last is not None
        return self._last.graph.fact(PLAN)

    def _executable(self) -> Executable:
        if self._last is None or self._last.executable is None:
            raise RunError("nothing was compiled yet", fix="Call run() on a 'cpu' session first.")
        return self._last.executable

    def trace_values(
        self, fetches: Sequence[Value], fed: Sequence[Value], given: Sequence[Any]
    ) -> list[Step]:
        """The graph before the first and after each pass, for these fetches and feeds."""
        return self.pipeline.trace(self.prepared(fetches, fed, given)[0])

    def prepared(
        self, fetches: Sequence[Value], fed: Sequence[Value], given: Sequence[Any]
    ) -> tuple[Graph, dict[Value, Array]]:
        """The graph of these fetches as the passes get it, and the array of each placeholder."""
        arrays = checked_feeds(fed, given)
        graph, feeds = self._prepare(tuple(fetches), tuple(fed), arrays)
        return graph, dict(zip(feeds, arrays))

    def compiled_call(
        self, fetches: Sequence[Value], fed: Sequence[Value], given: Sequence[Any]
    ) -> tuple[Executable, list[Any]] | None:
        """The emitted function of these fetches, and its arguments; None if it is interpreted."""
        arrays = checked_feeds(fed, given)
        compiled = self._compiled(tuple(fetches), tuple(fed), arrays)
        if compiled.executable is None:
            return None
        key = (self.seed, self.run_count)
        feeds = [self.kernels.from_feed(arrays[i]) for i, _ in compiled.feeds]
        return compiled.executable, [key, *feeds]

    def clone(self) -> Session:
        """Another session in the same state: whatever runs there leaves this one as it is."""
        other = Session(self.config)
        other.pipeline = self.pipeline  # with the passes of the options in it
        other.resume(self.checkpoint())
        return other

    def checkpoint(self) -> Checkpoint:
        """All that later runs depend on: contents of the variables, seed and run count."""
        with self._lock:
            contents = {name: self._storage[name] for name in sorted(self._ready)}
            return capture(self.kernels, contents, self.seed, self.run_count)

    def resume(self, saved: Checkpoint, *, whole: bool = True) -> None:
        """Set variables; if ``whole``, the seed and the run count too, and no others are left."""
        with self._lock:
            if whole:
                self.seed, self.run_count = saved.seed, saved.run_count
                self._ready.clear()
            for name, content in saved.arrays.items():
                array = self.kernels.from_numpy(content, saved.dtypes[name])
                held = self._storage.get(name)
                if held is not None and (held.shape, held.dtype) != (array.shape, array.dtype):
                    self._storage[name], self._last = array, None
                    self._cache.clear()  # of programs that write to the old storage
                self._store(name, array)
                self._ready.add(name)

    def variable(self, name: str) -> Array:
        """A copy of the content of a variable; raises RunError if it has none."""
        if name not in self._ready:
            known = ", ".join(sorted(self._ready)) or "none"
            raise RunError(f"variable '{name}' is not initialised", got=f"initialised: {known}")
        return np.array(self.kernels.to_numpy(self._storage[name]))


def _only_fills(graph: Graph) -> bool:
    """True if all that happens is that variables get constants, or random numbers."""
    plain = all(node.op.mutates or not node.inputs for node in graph.nodes)
    return plain and all(value.node.op is ops.group for value in graph.outputs)


def _interpreted(key: _Key, graph: Graph, feeds: tuple[Value, ...]) -> _Compiled:
    """The entry for a graph that is walked instead of compiled."""
    writes = tuple(n.inputs[0].node.name or "" for n in graph.nodes if n.op.mutates)
    return _Compiled(*key, graph, _used(graph, feeds), (), tuple(dict.fromkeys(writes)), None)


def _used(graph: Graph, feeds: tuple[Value, ...]) -> tuple[tuple[int, Value], ...]:
    """The feeds that the graph reads, with their positions."""
    present = set(graph.nodes)
    return tuple((i, value) for i, value in enumerate(feeds) if value.node in present)


def _copy(kernels: KernelTable, array: Any) -> Any:
    """A copy of a backend array that nobody else holds."""
    return kernels[ops.identity].run(array)
