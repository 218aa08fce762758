"""Compile a loop nest and call it: llvmlite, else a C compiler, else not at all. Layer: backends.

A kernel is known by the text of its source: each text is compiled once per process.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from tinyflow.codegen.llvm import llvm_source
from tinyflow.codegen.nest import Nest

try:
    import llvmlite.binding as llvm
except ImportError:  # the extra [fuse] is not installed
    llvm = None

__all__ = ["LADDER", "NativeKernel", "compile_nest"]

Function = Callable[..., None]


@dataclass(frozen=True, slots=True)
class NativeKernel:
    """Machine code of one nest for arrays of fixed sizes.

    ``call(*addresses)`` runs it on the addresses of inputs and outputs, in order: ints. The arrays
    must be contiguous, live and of the right dtypes, which nobody checks. An output may lie where
    an input of the same shape lies. ``source`` is the generated text, in ``language``.
    """

    language: str
    source: str
    nest: Nest
    call: Function


def compile_nest(nest: Nest, rows: int, columns: int) -> NativeKernel | None:
    """The kernel by the first rung of the ladder that is there; None if there is none."""
    for rung in LADDER:
        kernel = rung(nest, rows, columns)
        if kernel is not None:
            return kernel
    return None


def llvm_kernel(nest: Nest, rows: int, columns: int) -> NativeKernel | None:
    """The kernel compiled by llvmlite; None if it is not installed."""
    if llvm is None:
        return None
    source = llvm_source(nest)
    function = _load_object(source, len(nest.inputs) + len(nest.outputs))
    return NativeKernel("LLVM", source, nest, partial(function, rows, columns))


@cache
def _load_object(source: str, arrays: int) -> Function:
    """Load machine code into this process, for good."""
    target = _machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)
    engine.add_object_file(llvm.ObjectFileRef.from_data(_compile(source)))
    engine.finalize_object()
    function: Function = _prototype(arrays)(engine.get_function_address("kernel"))
    function.engine = engine  # type: ignore[attr-defined]  # it owns the code
    return function


def _prototype(arrays: int) -> Any:
    sizes = (ctypes.c_int64, ctypes.c_int64)
    return ctypes.CFUNCTYPE(None, *sizes, *(ctypes.c_void_p for _ in range(arrays)))


@cache
def _machine() -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=3)


def _compile(source: str) -> bytes:
    """Machine code for this processor, as an object file."""
    module, machine = llvm.parse_assembly(source), _machine()
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    code: bytes = machine.emit_object(module)
    return code


LADDER = (llvm_kernel,)
