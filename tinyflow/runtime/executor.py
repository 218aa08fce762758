"""Emit one Python function per program and run it. Layer: runtime.

Everything that can be decided once is decided once: buffers, variables and views are bound as
globals of the function, and what is left per step is a flat sequence of kernel calls. The source is
meant to be read: ``print(session.source())``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tinyflow.backends.native import NativeKernel
from tinyflow.backends.table import Kernel, KernelTable, Strides
from tinyflow.errors import RunError, TinyflowError
from tinyflow.ops.fused import by_element
from tinyflow.passes.layout import channels_last
from tinyflow.passes.storage import Kind
from tinyflow.program import Instruction, Program
from tinyflow.runtime.failure import failure

__all__ = ["Executable", "emit"]

Array = Any
_PLACE = re.compile(r"\{(\d+)(t?)\}|\{(out)\}|\{@(\w+)\}")


class Executable:
    """A compiled program: call it with the feeds, get the fetches as new numpy arrays.

    ``source`` is the text of the function; ``steps`` the instruction behind each of its lines;
    ``native`` the generated kernels that it calls, by name. ``run`` is the function, ``launch`` the
    same as the backend runs it best.
    """

    def __init__(
        self,
        program: Program,
        source: str,
        names: dict[str, Any],
        steps: dict[int, int],
        native: Mapping[str, NativeKernel],
        kernels: KernelTable,
    ) -> None:
        self.program, self.source, self.steps, self.native = program, source, steps, native
        exec(compile(source, "<tinyflow program>", "exec"), names)
        self.run: Callable[..., list[Any]] = names["run"]
        self.launch, self.now_ns = kernels.launched(self.run, program), kernels.now_ns

    def explain(self, error: BaseException) -> TinyflowError:
        """Turn an exception of a run into one that names the node and what was written before."""
        at = self._instruction(error)
        if at is None:
            if isinstance(error, TinyflowError):
                return error
            return RunError(f"the run failed: {error}")
        fix, step = self._written(at), self.program.instructions[at]
        if isinstance(error, TinyflowError):
            what, got, expected = error.what, error.got, error.expected
            fix = f"{error.fix} {fix}" if error.fix else fix
            return type(error)(what, node=step.node, got=got, expected=expected, fix=fix)
        return failure(error, step.node, self.program.registers[step.outputs[0]].size_bytes, fix)

    def interrupted(self, stop: KeyboardInterrupt) -> None:
        """Note on an interrupt what was written before it."""
        at = self._instruction(stop)
        if at is not None:
            name = self.program.instructions[at].writes
            half = f" '{name}' may be half written." if name else ""
            stop.add_note(self._written(at) + half)

    def _written(self, at: int) -> str:
        written = [s.writes for s in self.program.instructions[:at] if s.writes]
        return f"Already written: {', '.join(written)}." if written else "No variable was changed."

    def _instruction(self, error: BaseException) -> int | None:
        trace, found = error.__traceback__, None
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == "<tinyflow program>":
                found = self.steps.get(trace.tb_lineno)
            trace = trace.tb_next
        return found


def emit(program: Program, kernels: KernelTable, variables: Mapping[str, Array]) -> Executable:
    """Bind buffers, variables and kernels and write the function.

    ``variables`` holds one array per variable of the program; the function reads and writes these
    very arrays, so they must stay the same objects as long as the executable is used.
    """
    return _Emitter(program, kernels, variables).executable()


class _Emitter:
    def __init__(
        self, program: Program, kernels: KernelTable, variables: Mapping[str, Array]
    ) -> None:
        self.program, self.kernels = program, kernels
        self.names: dict[str, Any] = dict(kernels.namespace)
        self.static: dict[int, Array] = {}  # registers that are the same array in every run
        self.name: dict[int, str] = {}
        self.lines: list[str] = []
        self.steps: dict[int, int] = {}
        self.native: dict[str, NativeKernel] = {}  # generated kernels by the name they are called
        self.last_use = _last_uses(program)
        self.arena = _arena(program, kernels)
        for index, register in enumerate(program.registers):
            if register.kind is Kind.FEED and register.base is None:
                self.name[index] = f"x{index}"
            elif register.content is not None:
                self._bind(index, f"c{index}", kernels.from_numpy(register.content, register.dtype))
            elif register.kind is Kind.VARIABLE and register.base is None:
                self._bind(index, f"v{index}", variables[register.node.name or ""])

    def executable(self) -> Executable:
        for at, step in enumerate(self.program.instructions):
            self._step(at, step)
            self._free(at)
        feeds = ", ".join(self.name[index] for index in self.program.feeds)
        outputs = ", ".join(self._fetch(index) for index in self.program.outputs)
        head = [f"def run(key{', ' if feeds else ''}{feeds}):"]
        body = [f"    {line}" for line in self.lines]
        source = "\n".join([*head, *body, f"    return [{outputs}]"]) + "\n"
        return Executable(self.program, source, self.names, self.steps, self.native, self.kernels)

    def _fetch(self, index: int | None) -> str:
        """Expression for a new numpy array with the content of a register; None for a group."""
        if index is None:
            return "None"
        view = self.kernels.host_view(self.static[index]) if index in self.static else None
        if view is None:
            self.names["to_numpy"] = self.kernels.to_numpy
            return f"to_numpy({self.name[index]})"
        self.names[f"h{index}"] = view
        return f"h{index}.copy()"

    def _bind(self, index: int, name: str, array: Array) -> None:
        self.static[index], self.name[index], self.names[name] = array, name, array

    def _step(self, at: int, step: Instruction) -> None:
        kernel = self.kernels[step.op]
        if step.op.aliases and not step.op.mutates:
            self._view(at, step, kernel)
            return
        if self.program.registers[step.outputs[0]].kind is Kind.CONSTANT:
            self._precompute(step, kernel)
            return
        if kernel.native:
            inputs = [self.program.registers[index] for index in step.inputs]
            kinds = [r.shape for r in inputs], [r.dtype for r in inputs]
            native = kernel.native(step.attrs, *kinds)
            if native is not None and self._native(at, step, native):
                return
        if len(step.outputs) == 1:
            self._single(at, step, kernel)
        else:
            self._several(at, step, kernel)

    def _precompute(self, step: Instruction, kernel: Kernel) -> None:
        try:
            result = kernel.run(*(self.static[index] for index in step.inputs), **step.attrs)
        except (ValueError, TypeError, RuntimeError, MemoryError) as error:
            register = self.program.registers[step.outputs[0]]
            raise failure(error, step.node, register.size_bytes) from error
        results = result if len(step.outputs) > 1 else (result,)
        for index, array in zip(step.outputs, results):
            self._bind(index, f"c{index}", array)

    def _view(self, at: int, step: Instruction, kernel: Kernel) -> None:
        index = step.outputs[0]
        sources = [self.static.get(i) for i in step.inputs]
        if step.op.can_fail and sources[0] is not None:  # it looks at contents, and returns input 0
            self._line(at, self._call(step, kernel, None))
            self._bind(index, self.name[step.inputs[0]], sources[0])
            return
        if all(source is not None for source in sources):
            view = kernel.run(*sources, **step.attrs)
            if self.kernels.shares_storage(view, sources[0]):
                self._bind(index, f"s{index}", view)
                return
        self.name[index] = f"t{index}"
        self._line(at, f"t{index} = {self._call(step, kernel, None)}")

    def _home(self, index: int) -> None:
        """Bind an output to its storage: that of a variable, or a place in the arena."""
        register = self.program.registers[index]
        if register.base is not None and index not in self.static:
            self._bind(index, f"v{register.base}", self.static[register.base])
        if index not in self.static:
            offset = register.offset_bytes or 0
            place = self.kernels.place(
                self.arena, offset, register.shape, register.dtype, register.strides
            )
            self._bind(index, f"s{index}", place)

    def _native(self, at: int, step: Instruction, native: NativeKernel) -> bool:
        """Run machine code on addresses; False if an array may not lie as it takes for granted."""
        strides, registers = self._strides(step, native), self.program.registers
        if native.of_images and any(registers[i].strides != x for i, x in strides.items()):
            return False  # nothing is copied for it
        found: list[int | None] = []
        for index in (*step.inputs, *step.outputs):
            if index in step.outputs:  # it has no home unless all inputs fit
                self._home(index)
            found.append(self._address(index, strides[index]))
            if index in self.static and not found[-1]:
                return False
        name = f"{step.op.name}_{step.outputs[0]}"
        launch = native.bind(*(address or 0 for address in found))
        self.names[name], self.native[name] = launch.run, native
        self.names[f"{name}_at"] = launch.table  # also keeps it alive
        for slot, index in enumerate(step.inputs, launch.first):
            if index not in self.static:
                self._lay(at, index, strides[index])
                source = self.kernels.address_source(self.name[index])
                self._line(at, f"{name}_at[{slot}] = {source}")
        self._line(at, f"{name}()  # {self._reads_and_writes(step)}")
        return True

    def _lay(self, at: int, index: int, strides: Strides) -> None:
        """See to it that an array which the backend allocated lies as machine code wants it."""
        register = self.program.registers[index]
        if register.kind is not Kind.FEED or register.base is not None or strides is not None:
            name = self.name[index]
            self.names["laid_out"] = self.kernels.laid_out
            self._line(at, f"{name} = laid_out({name}, {strides})")

    def _strides(self, step: Instruction, native: NativeKernel) -> dict[int, Strides]:
        """How each array must lie: row-major (None), or all as they do anyway.

        That is so if each element is treated alike, and all arrays of more than one lie alike.
        Images and filters are NHWC.
        """
        registers = self.program.registers
        used = (*step.inputs, *step.outputs)
        if native.of_images:
            shapes = {i: registers[i].shape for i in used}
            return {i: channels_last(x) if len(x) == 4 else None for i, x in shapes.items()}
        if not any(registers[i].strides for i in used):
            return dict.fromkeys(used)
        large = [i for i in used if registers[i].size_bytes > registers[i].dtype.itemsize]
        lie = {registers[i].strides for i in large}
        common = lie.pop() if by_element(step.node) and len(lie) == 1 else None
        return dict.fromkeys(used) | dict.fromkeys(large, common)

    def _address(self, index: int, strides: Strides) -> int | None:
        at = self.static.get(index)
        return None if at is None else self.kernels.address(at, strides)

    def _reads_and_writes(self, step: Instruction) -> str:
        names = [" ".join(self.name[i] for i in some) for some in (step.inputs, step.outputs)]
        return " -> ".join(names)

    def _single(self, at: int, step: Instruction, kernel: Kernel) -> None:
        index = step.outputs[0]
        if kernel.writes_out or self.program.registers[index].base is not None:
            self._home(index)
        if step.op.mutates:
            target = self.name[step.inputs[0]]
            self._line(at, self.kernels.copy_source(target, self.name[step.inputs[1]]))
        elif index in self.static and kernel.writes_out:
            self._line(at, self._call(step, kernel, self.name[index]))
        elif index in self.static:
            self._line(
                at, self.kernels.copy_source(self.name[index], self._call(step, kernel, None))
            )
        else:
            self.name[index] = f"t{index}"
            self._line(at, f"t{index} = {self._call(step, kernel, None)}")

    def _several(self, at: int, step: Instruction, kernel: Kernel) -> None:
        if kernel.writes_out:
            for index in step.outputs:
                self._home(index)
            targets = ", ".join(self.name[index] for index in step.outputs)
            self._line(at, self._call(step, kernel, f"({targets})"))
            return
        for index in step.outputs:
            self.name[index] = f"t{index}"
        targets = ", ".join(self.name[index] for index in step.outputs)
        self._line(at, f"{targets} = {self._call(step, kernel, None)}")

    def _line(self, at: int, line: str) -> None:
        self.lines.append(line)
        self.steps[len(self.lines) + 1] = at  # line 1 is the def

    def _free(self, at: int) -> None:
        """Drop arrays that the backend allocated, at their last use."""
        dead = [self.name[index] for index in self.last_use.get(at, ()) if self._is_local(index)]
        if dead:
            self._line(at, " = ".join(dead) + " = None")

    def _is_local(self, index: int) -> bool:
        return self.name.get(index, "").startswith("t")

    def _call(self, step: Instruction, kernel: Kernel, out: str | None) -> str:
        """The call as an expression: from the kernel's template, else by its function."""
        shapes = [self.program.registers[index].shape for index in step.inputs]
        template = kernel.template(step.attrs, shapes) if kernel.template else None
        if template and ("{out}" in template) == (out is not None):
            return _PLACE.sub(lambda match: self._fill(match, step, out), template)
        function = f"k_{step.op.name}"
        self.names[function] = kernel.run
        arguments = [self.name[index] for index in step.inputs]
        arguments += [f"{key}={self._attr(step, key)}" for key in step.attrs]
        arguments += ["key=key"] if step.op.random else []
        arguments += [f"out={out}"] if out else []
        return f"{function}({', '.join(arguments)})"

    def _fill(self, match: re.Match[str], step: Instruction, out: str | None) -> str:
        if match[3]:
            return out or ""
        if match[4]:
            return self._attr(step, match[4])
        index = step.inputs[int(match[1])]
        return self._transposed(index) if match[2] else self.name[index]

    def _transposed(self, index: int) -> str:
        name = f"{self.name[index]}T"
        if index not in self.static:
            return self.kernels.transpose_source(self.name[index])
        self.names[name] = self.kernels.transpose(self.static[index])
        return name

    def _attr(self, step: Instruction, key: str) -> str:
        """Attributes are bound as constants, never formatted into the source, unless plain."""
        value = step.attrs[key]
        if value is None or isinstance(value, bool | int):
            return repr(value)
        name = f"a{step.outputs[0]}_{key}"
        self.names[name] = value
        return name


def _arena(program: Program, kernels: KernelTable) -> Array:
    """The block of memory for all buffers; raises RunError naming the largest if there is none."""
    try:
        return kernels.arena(program.arena_bytes)
    except (ValueError, TypeError, RuntimeError, MemoryError) as error:
        buffers = [r for r in program.registers if r.offset_bytes is not None]
        largest = max(buffers, key=lambda register: register.size_bytes)
        raise failure(error, largest.node, program.arena_bytes) from error


def _last_uses(program: Program) -> dict[int, list[int]]:
    """For each instruction the buffers that nobody reads after it, views included."""
    root = list(range(len(program.registers)))
    for index, register in enumerate(program.registers):
        if register.base is not None:
            root[index] = root[register.base]
    last: dict[int, int] = {}
    for at, step in enumerate(program.instructions):
        for index in (*step.inputs, *step.outputs):
            last[root[index]] = at
    kept = {root[index] for index in program.outputs if index is not None}
    dead: dict[int, list[int]] = {}
    for index in range(len(root)):
        if root[index] in last and root[index] not in kept:
            dead.setdefault(last[root[index]], []).append(index)
    return dead
