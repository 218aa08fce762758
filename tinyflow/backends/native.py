"""Compile a loop nest and call it: llvmlite, else a C compiler, else not at all. Layer: backends.

A kernel is known by its source, which names no size: each is compiled once, for all shapes.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from tinyflow.backends.kernel_cache import digest, find, keep
from tinyflow.codegen.c import C_FLAGS, c_source
from tinyflow.codegen.llvm import llvm_source
from tinyflow.codegen.nest import Nest
from tinyflow.codegen.norm import BatchNorm, norm_sizes, norm_source
from tinyflow.codegen.pool import MaxPool, pool_sizes, pool_source
from tinyflow.codegen.product import Product, Tile, product_sizes, product_source
from tinyflow.codegen.winograd import Winograd, winograd_sizes, winograd_source

try:
    import llvmlite.binding as llvm
except ImportError:  # the extra [fuse] is not installed
    llvm = None

__all__ = [
    "LADDER", "Launch", "NativeKernel", "c_kernel", "compile_nest", "llvm_kernel", "norm_kernel",
    "pool_kernel", "product_kernel", "winograd_kernel",
]  # fmt: skip

Function = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Launch:
    """A kernel bound to addresses: ``run()`` costs a sixth of a microsecond.

    ``table`` holds, from entry ``first`` on, the addresses of inputs and outputs, in order; they
    may be changed between runs. It must stay alive as long as ``run``, and so must the arrays.
    """

    run: Function
    table: Any
    first: int


@dataclass(frozen=True, slots=True)
class NativeKernel:
    """Machine code of one nest, product or op on images, with the ``sizes`` that it is told.

    It takes the addresses of inputs and outputs, in order: ints. The arrays must be contiguous
    (images and filters NHWC, if ``of_images``), live and of the right dtypes, which nobody checks.
    An output may lie where an input of the same shape lies, but for images. ``source`` is the
    generated text, in ``language``; ``str(nest)`` the same for readers.
    """

    language: str
    source: str
    nest: Nest | Product | Winograd | MaxPool | BatchNorm
    sizes: tuple[int, ...]
    function: Function

    @property
    def of_images(self) -> bool:
        """True if all arrays with four axes must lie NHWC."""
        return isinstance(self.nest, Winograd | MaxPool | BatchNorm)

    def bind(self, *addresses: int) -> Launch:
        """The kernel on these addresses, ready to run many times."""
        table = (ctypes.c_int64 * (len(self.sizes) + len(addresses)))(*self.sizes, *addresses)
        return Launch(partial(self.function, ctypes.addressof(table)), table, len(self.sizes))

    def call(self, *addresses: int) -> None:
        """Run once on these addresses."""
        launch = self.bind(*addresses)
        launch.run()


def compile_nest(nest: Nest, rows: int, columns: int) -> NativeKernel | None:
    """The kernel by the first rung of the ladder that is there; None if there is none."""
    return next((made for rung in LADDER if (made := rung(nest, rows, columns))), None)


def llvm_kernel(nest: Nest, rows: int, columns: int) -> NativeKernel | None:
    """The kernel compiled by llvmlite; None if it is not installed."""
    if llvm is None:
        return None
    source = llvm_source(nest)
    return NativeKernel("LLVM", source, nest, (rows, columns), _load_object(source))


def c_kernel(nest: Nest, rows: int, columns: int) -> NativeKernel | None:
    """The kernel compiled by the C compiler of this machine; None if there is none."""
    source = c_source(nest)
    function = _load_library(source)
    return function and NativeKernel("C", source, nest, (rows, columns), function)


def product_kernel(product: Product) -> NativeKernel | None:
    """The kernel of a matrix product compiled by llvmlite; None if it is not installed."""
    if llvm is None:
        return None
    source, sizes = product_source(product, _tile()), product_sizes(product, _tile())
    return NativeKernel("LLVM", source, product, sizes, _load_object(source, optimise=False))


def winograd_kernel(kind: Winograd) -> NativeKernel | None:
    """The kernel of a convolution; None without llvmlite, or if channels leave part of a vector."""
    if llvm is None or kind.channels % _tile().lanes or kind.filters % _tile().lanes:
        return None
    source, sizes = winograd_source(kind, _tile().lanes), winograd_sizes(kind)
    return NativeKernel("LLVM", source, kind, sizes, _load_object(source, optimise=False))


def pool_kernel(pool: MaxPool) -> NativeKernel | None:
    """The kernel of a max pool; None without llvmlite."""
    if llvm is None:
        return None
    source = pool_source(pool, _tile().lanes)
    return NativeKernel("LLVM", source, pool, pool_sizes(pool), _load_object(source, False))


def norm_kernel(norm: BatchNorm) -> NativeKernel | None:
    """The kernel of a batch normalisation; None without llvmlite."""
    if llvm is None:
        return None
    source = norm_source(norm, _tile().lanes)
    return NativeKernel("LLVM", source, norm, norm_sizes(norm), _load_object(source, False))


@cache
def _tile() -> Tile:
    """The tile of this processor: as many sums as leave a few vector registers free."""
    has = llvm.get_host_cpu_features()
    if has.get("avx512f"):
        return Tile(lanes=16, rows=14, vectors=2)  # 32 registers
    if has.get("avx2"):
        return Tile(lanes=8, rows=6, vectors=2)  # 16 registers
    return Tile(lanes=4, rows=6, vectors=2)


_PROTOTYPE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


# --- llvmlite ----------------------------------------------------------------------------------


@cache
def _load_object(source: str, optimise: bool = True) -> Function:
    """Load machine code into this process, for good."""
    cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    name = digest(source, "llvm", str(llvm.llvm_version_info), cpu, features)
    code = find(name)
    if code is None:
        code = _compile_object(source, optimise)
        keep(name, code)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    function: Function = _PROTOTYPE(engine.get_function_address("launch"))
    function.engine = engine  # type: ignore[attr-defined]  # it owns the code
    return function


def _machine() -> llvm.TargetMachine:
    """This processor; an engine takes its machine over, so each needs one of its own."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=3)


def _compile_object(source: str, optimise: bool) -> bytes:
    """Machine code for this processor, as an object file; code of vectors needs no optimiser."""
    machine = _machine()
    module = llvm.parse_assembly(source)
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    if optimise:
        options = llvm.create_pipeline_tuning_options(speed_level=3)
        options.loop_vectorization = True
        builder = llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
    code: bytes = machine.emit_object(module)
    return code


# --- C -----------------------------------------------------------------------------------------


@cache
def _load_library(source: str) -> Function | None:
    """Load a shared library into this process; None without a compiler that can make one."""
    compiler = _compiler()
    if compiler is None:
        return None
    path, identity = compiler
    name = digest(source, path, identity, *C_FLAGS)
    with tempfile.TemporaryDirectory() as folder:  # private; a library loads from a file only
        library = Path(folder, "kernel.so")
        code = find(name)
        if code is not None:
            library.write_bytes(code)
        elif _compile_library(path, source, library):
            keep(name, library.read_bytes())
        else:
            return None
        try:
            launch: Function = _PROTOTYPE(("launch", ctypes.CDLL(str(library))))
        except OSError:  # nothing can be loaded from there: mounted "noexec", perhaps
            return None
    return launch


@cache
def _compiler() -> tuple[str, str] | None:
    """Path of the C compiler, and what it says of itself and of this processor."""
    path = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if path is None:
        return None
    ask = [path, "-march=native", "-dM", "-E", "-x", "c", "/dev/null"]
    answer = subprocess.run(ask, capture_output=True, text=True, check=False)
    return None if answer.returncode else (path, answer.stdout)


def _compile_library(compiler: str, source: str, library: Path) -> bool:
    command = [compiler, *C_FLAGS, "-x", "c", "-", "-o", str(library), "-lm"]
    done = subprocess.run(command, input=source, text=True, capture_output=True, check=False)
    return done.returncode == 0


LADDER = (llvm_kernel, c_kernel)
