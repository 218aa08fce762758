"""A session: variable contents, and a cache of programs. Layer: runtime."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyflow import ops
from tinyflow.backends.cuda import gpu_table
from tinyflow.backends.numpy_ import NUMPY
from tinyflow.backends.products import generated_table
from tinyflow.backends.table import KernelTable
from tinyflow.backends.torch_ import TORCH
from tinyflow.errors import DTypeError, FeedError, RunError, ShapeError, TinyflowError
from tinyflow.ir import Graph, Node, Value, rewrite
from tinyflow.passes import (
    DTYPES,
    KNOWN_DTYPES,
    KNOWN_SHAPES,
    OPTIONS,
    PLAN,
    SHAPES,
    STANDARD,
    MemoryPlan,
    Pipeline,
    with_options,
)
from tinyflow.passes.contract import Step
from tinyflow.program import Program, Register, lower
from tinyflow.runtime.checkpoint import Checkpoint, capture
from tinyflow.runtime.collector import no_collector
from tinyflow.runtime.executor import Executable, emit
from tinyflow.runtime.failure import failure
from tinyflow.runtime.interpreter import interpret
from tinyflow.types import Device, DType, is_static, show_shape, unify_shape

__all__ = ["Session"]

Array = np.ndarray[Any, Any]
_Kinds = tuple[tuple[tuple[int, ...], np.dtype[Any]], ...]
_Key = tuple[tuple[Value, ...], tuple[Value, ...], _Kinds]  # fetches, fed values, kinds of feeds
_SAME = {("cpu", "cpu"), ("cpu", "numpy")}  # kinds of (node, session)
_PROGRAMS = 32  # least recently used programs are dropped
_DTYPES: dict[np.dtype[Any], DType] = {d.numpy: d for d in DType if d is not DType.bfloat16}


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
        self.device, self.options = _read_config(config)
        self.pipeline, self.seed = with_options(pipeline, self.options), seed
        if self.device.kind == "gpu" and "layout" in self.pipeline.names():
            self.pipeline = self.pipeline.without("layout")  # which is for processors
        self.kernels = _kernels(self.device, self.options)
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
                given = _checked_feeds(fed, given)
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
        try:
            graph = self.pipeline(graph)
        except NotImplementedError:  # a homework's engine, in which a pass is still to be written
            return _interpreted(key, graph, feeds)
        except ShapeError:
            _check_fed(graph, feeds)  # which explains a shape that nobody knows
            raise
        _check_fed(graph, feeds)
        _check_bfloat16(graph, key[0], self.kernels)
        shapes, dtypes = graph.fact(SHAPES), graph.fact(DTYPES)
        static = all(
            is_static(shapes[v]) and dtypes[v]
            for n in graph.nodes
            for v in n.outputs
            if n.op.name != "group"
        )
        if not static or "interpret" in self.options or self.kernels is NUMPY:
            return _interpreted(key, graph, feeds)
        used = _used(graph, feeds)
        program = lower(graph, [value for _, value in used])
        self._make_room(program)
        executable = emit(program, self.kernels, self._storage)
        return _Compiled(*key, graph, used, program.reads, program.writes, executable)

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
        graph, feeds = _cut(Graph(fetches), feeds, arrays)
        _check_devices(graph, self.device)
        shapes = {value: tuple(array.shape) for value, array in zip(feeds, arrays)}
        dtypes = {value: _DTYPES[array.dtype] for value, array in zip(feeds, arrays)}
        for node in graph.nodes:
            if node.op.name == "variable" and node.name in self._ready:
                array = self._storage[node.name]
                shapes[Value(node)] = tuple(array.shape)
                dtypes[Value(node)] = self.kernels.dtype_of(array)
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
        fed = {value: kernels.from_numpy(a, _DTYPES[a.dtype]) for value, a in used}
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
        arrays = _checked_feeds(fed, given)
        graph, feeds = self._prepare(tuple(fetches), tuple(fed), arrays)
        return graph, dict(zip(feeds, arrays))

    def compiled_call(
        self, fetches: Sequence[Value], fed: Sequence[Value], given: Sequence[Any]
    ) -> tuple[Executable, list[Any]] | None:
        """The emitted function of these fetches, and its arguments; None if it is interpreted."""
        arrays = _checked_feeds(fed, given)
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


def _interpreted(key: _Key, graph: Graph, feeds: tuple[Value, ...]) -> _Compiled:
    """The entry for a graph that is walked instead of compiled."""
    writes = tuple(n.inputs[0].node.name or "" for n in graph.nodes if n.op.mutates)
    return _Compiled(*key, graph, _used(graph, feeds), (), tuple(dict.fromkeys(writes)), None)


def _check_fed(graph: Graph, feeds: Sequence[Value]) -> None:
    unfed = [n for n in graph.nodes if n.op.name == "placeholder" and Value(n) not in feeds]
    if unfed:
        raise FeedError("placeholder is not fed", node=unfed[0], fix="Give it in feed_dict.")


def _used(graph: Graph, feeds: tuple[Value, ...]) -> tuple[tuple[int, Value], ...]:
    """The feeds that the graph reads, with their positions."""
    present = set(graph.nodes)
    return tuple((i, value) for i, value in enumerate(feeds) if value.node in present)


def _copy(kernels: KernelTable, array: Any) -> Any:
    """A copy of a backend array that nobody else holds."""
    return kernels[ops.identity].run(array)


def _read_config(config: str) -> tuple[Device, frozenset[str]]:
    if not isinstance(config, str):
        got = type(config).__name__
        raise RunError("a session is configured by words", got=got, expected="such as 'cpu'")
    words = config.split()
    options = {word for word in words if word in OPTIONS or word == "interpret"}
    devices = [_read_device(word) for word in words if word not in options] or [Device("cpu")]
    device = devices[0]
    if len(devices) > 1 or (device.index and device.kind != "gpu"):
        raise RunError("a session has one device", got=repr(config), expected="cpu, numpy or gpu:N")
    return device, frozenset(options)


def _read_device(word: str) -> Device:
    try:
        return Device.parse(word)
    except TinyflowError as error:
        known = ", ".join((*OPTIONS, "interpret"))
        expected = f"{error.expected}; or an option: {known}"
        raise RunError(error.what, got=repr(word), expected=expected) from None


def _kernels(device: Device, options: frozenset[str]) -> KernelTable:
    if device.kind == "gpu":
        return gpu_table(device, replays="fusion" in options)
    if device.kind == "numpy":
        return NUMPY
    return generated_table() if "fusion" in options else TORCH


def _check_devices(graph: Graph, mine: Device) -> None:
    """All devices of a kind "cpu" are this processor; a GPU is one of its own."""
    for node in graph.nodes:
        device = node.device
        if device is not None and device != mine and (device.kind, mine.kind) not in _SAME:
            raise RunError(
                "placed on a device that this session does not run on",
                node=node,
                got=device,
                expected=mine,
                fix=f"Use tf.Session('{device}'), or another tf.device.",
            )


def _checked_feeds(fed: Sequence[Value], given: Sequence[Any]) -> list[Array]:
    """One array per fed value, converted within its kind; raises FeedError."""
    if len(set(fed)) < len(fed):
        twice = next(value for at, value in enumerate(fed) if value in fed[:at])
        raise FeedError("the same value is fed twice", node=twice.node, fix="Feed it once.")
    return [_feed(value, array) for value, array in zip(fed, given)]


def _feed(value: Value, given: Any) -> Array:
    """Check one feed against its placeholder and convert it within its kind."""
    node = value.node
    try:
        array = np.asarray(given)  # of a subclass, too: np.matrix multiplies otherwise
    except (ValueError, TypeError, RuntimeError) as error:
        what = f"not something numpy makes an array of: {error}"
        raise FeedError(what, node=node, got=type(given).__name__) from None
    declared = node.attrs.get("dtype") if node.op.name == "placeholder" else None
    have = _DTYPES.get(array.dtype)
    if have is not declared and declared is not None:
        array = _convert(node, array, declared)
    elif have is None:
        array = _convert(node, array, DType.float32 if array.dtype.kind == "f" else DType.int64)
    shape = node.attrs.get("shape")
    if shape is not None:
        try:
            unify_shape(shape, array.shape)
        except ShapeError:
            raise FeedError(
                "a feed has the wrong shape",
                node=node,
                got=show_shape(array.shape),
                expected=show_shape(shape),
            ) from None
    return array


def _check_bfloat16(graph: Graph, fetches: Sequence[Value], kernels: KernelTable) -> None:
    """numpy has none: neither its kernels nor the arrays that the caller gets can hold one."""
    dtypes = graph.fact(DTYPES)
    for value in (value for node in graph.nodes for value in node.outputs):
        if kernels is NUMPY and dtypes[value] is DType.bfloat16:
            got, expected = "bfloat16 on device 'numpy'", "a session on 'cpu' or 'gpu'"
            fix = "tf.cast it to tf.float32 or tf.float16, or use tf.Session('cpu')."
            what = "numpy does not compute in bfloat16"
            raise DTypeError(what, node=value.node, got=got, expected=expected, fix=fix)
    for fetch, value in zip(fetches, graph.outputs):
        if dtypes[value] is DType.bfloat16:
            expected, fix = "float16, float32 or float64", "Fetch tf.cast(x, tf.float32)."
            what = "numpy has no bfloat16 to fetch"
            raise DTypeError(what, node=fetch.node, got="bfloat16", expected=expected, fix=fix)


def _convert(node: Node, array: Array, want: DType) -> Array:
    if want is DType.bfloat16:
        fix = "Make a float32 placeholder and tf.cast it."
        raise FeedError("numpy has no bfloat16 to feed", node=node, got=array.dtype, fix=fix)
    kinds = {
        "f": want.is_floating,
        "i": want is not DType.bool,
        "u": want is not DType.bool,
        "b": True,
    }
    if not kinds.get(array.dtype.kind, False):
        raise FeedError(
            "a feed has the wrong dtype",
            node=node,
            got=array.dtype,
            expected=want,
            fix=f"Convert it with array.astype('{want}') if that is what you mean.",
        )
    return array.astype(want.numpy)


def _cut(
    graph: Graph, feeds: tuple[Value, ...], arrays: Sequence[Array]
) -> tuple[Graph, tuple[Value, ...]]:
    """Replace fed inner values by placeholders."""
    inner = {
        v: ops.placeholder(dtype=_DTYPES[array.dtype], shape=array.shape, name=v.node.name)
        for v, array in zip(feeds, arrays)
        if v.node.op.name != "placeholder"
    }
    if not inner:
        return graph, feeds

    def rule(node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if not any(value in inner for value in node.outputs):
            return None
        return tuple(inner.get(value, value) for value in node.outputs)

    return rewrite(graph, rule)[0], tuple(inner.get(value, value) for value in feeds)
