"""KernelTable: which function computes which op on one backend. Layer: backends."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

import numpy as np

from tinyflow import ops
from tinyflow.backends.native import NativeKernel
from tinyflow.errors import RunError
from tinyflow.ir import Op
from tinyflow.program import Program
from tinyflow.types import DType

__all__ = [
    "WITHOUT_KERNEL", "Array", "Kernel", "KernelTable", "Kernels", "Namespace", "Sizes", "Strides",
    "Template", "wrong_id", "wrong_label",
]  # fmt: skip

Array = Any  # an array of the backend: numpy.ndarray or torch.Tensor
Run = Callable[..., list[Any]]  # an emitted function
Sizes = tuple[int, ...]  # a shape without unknowns
Strides = Sizes | None  # in elements; None: row-major
Shapes = Sequence[Sizes]
Template = Callable[[Mapping[str, Any], Shapes], str | None]
Native = Callable[[Mapping[str, Any], Shapes, Sequence[DType]], NativeKernel | None]

WITHOUT_KERNEL: Mapping[Op, str] = {
    ops.placeholder: "the run hands its array in",
    ops.variable: "the session keeps its array",
    ops.CONSTANT: "the attribute is its array",
    ops.group: "nothing is computed; what it runs stands in its control dependencies",
}


@dataclass(frozen=True, slots=True)
class Kernel:
    """How one backend computes one op.

    ``run(*inputs, out=None, **attrs)`` returns an array, or a tuple of arrays for an op with
    several outputs; a random op also gets ``key=(session seed, run count)``. Inputs have the dtypes
    that ``kernel_dtypes`` demands; they are never written, and the result is new memory unless the
    op ``aliases``. Given ``out``, an array of the result's shape and dtype, ``run`` fills and
    returns it; ``writes_out`` says that it does so without another array of that size.

    ``template(attrs, shapes of the inputs)`` is the same call as a Python expression for emitted
    code: ``{0}`` an input, ``{0t}`` its transposed view, ``{out}`` the output, ``{@alpha}`` an
    attribute; other names are those of the table's ``namespace``. None: call ``run``.

    ``native(attrs, shapes and dtypes of the inputs)`` is machine code for contiguous inputs and
    outputs; None where there is none.
    """

    run: Callable[..., Any]
    writes_out: bool = False
    template: Template | None = None
    native: Native | None = None


Kernels = Mapping[Op, Kernel]
Namespace = Mapping[str, object]  # what templates name


class KernelTable(Mapping[Op, Kernel]):
    """Kernels by op, and how arrays of this backend are made and read.

    ``namespace`` holds the functions that templates and ``*_source`` expressions name.
    """

    def __init__(self, name: str, kernels: Kernels, namespace: Namespace) -> None:
        self.name, self.namespace = name, dict(namespace)
        self._rows: MutableMapping[Op, Kernel] = dict(kernels)

    def add(self, op: Op, kernel: Kernel) -> None:
        """Give ``op`` a kernel; raises RunError if it has one."""
        if self._rows.setdefault(op, kernel) is not kernel:
            raise RunError(f"op '{op.name}' has a kernel for {self.name}", fix="Add another op.")

    def __getitem__(self, op: Op) -> Kernel:
        """The kernel of ``op``; raises RunError naming op and backend if it has none."""
        try:
            return self._rows[op]
        except KeyError:
            reason = WITHOUT_KERNEL.get(op, "it has no entry in the table")
            raise RunError(
                f"op '{op.name}' has no kernel for {self.name}: {reason}",
                fix="Add one: table.add(op, Kernel(run)).",
            ) from None

    def __contains__(self, op: object) -> bool:
        return op in self._rows

    def __iter__(self) -> Iterator[Op]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"<{len(self)} kernels for {self.name}>"

    def open(self) -> None:
        """A session starts: set up what speeds runs up."""

    def launched(self, run: Run, program: Program) -> Run:
        """The emitted function of a program as this backend runs it best: as it is, mostly."""
        return run

    def now_ns(self) -> int:
        """The time on a clock, in nanoseconds, when all that was started is done."""
        return perf_counter_ns()

    @abstractmethod
    def empty(self, shape: Sizes, dtype: DType, strides: Strides = None) -> Array:
        """A new array with arbitrary contents; ``strides`` in elements, None: row-major."""

    @abstractmethod
    def arena(self, size_bytes: int) -> Array:
        """One block of memory for ``place``, aligned to 64 bytes."""

    @abstractmethod
    def place(
        self, arena: Array, offset_bytes: int, shape: Sizes, dtype: DType, strides: Strides = None
    ) -> Array:
        """The array that lies in the arena from this offset on; ``strides`` as for ``empty``."""

    @abstractmethod
    def from_numpy(self, array: np.ndarray[Any, Any], dtype: DType) -> Array:
        """A new array with the contents of a numpy array, as ``dtype``."""

    @abstractmethod
    def from_feed(self, array: np.ndarray[Any, Any]) -> Array:
        """An array of the backend for one run: shares memory where it can, is never written."""

    @abstractmethod
    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        """A new numpy array with the same contents; raises DTypeError for bfloat16."""

    @abstractmethod
    def host_view(self, array: Array) -> np.ndarray[Any, Any] | None:
        """A numpy array over the same memory; None if numpy cannot look there."""

    @abstractmethod
    def dtype_of(self, array: Array) -> DType:
        """The dtype of an array."""

    @abstractmethod
    def shares_storage(self, a: Array, b: Array) -> bool:
        """True if writing one array may change the other."""

    @abstractmethod
    def address(self, array: Array, strides: Strides = None) -> int | None:
        """Where the first element lies, for machine code; None if it has other strides."""

    @abstractmethod
    def laid_out(self, array: Array, strides: Strides) -> Array:
        """The array if it has these strides (None: row-major), else a copy that has."""

    @abstractmethod
    def address_source(self, name: str) -> str:
        """Expression for the address of the contiguous array called ``name``."""

    @abstractmethod
    def transpose(self, array: Array) -> Array:
        """The transposed view of a matrix."""

    @abstractmethod
    def transpose_source(self, name: str) -> str:
        """Expression for the transposed view of the matrix called ``name``."""

    @abstractmethod
    def copy_source(self, target: str, source: str) -> str:
        """Statement that copies the value of the expression ``source`` into an array."""

    @abstractmethod
    def inference(self) -> AbstractContextManager[Any]:
        """Context in which kernels run: no recording of gradients, no warnings about nan."""


def wrong_label(labels: np.ndarray[Any, Any], classes: int) -> RunError | None:
    """The error naming the first of ``labels`` that is no class number; None if all are."""
    return _wrong(labels, classes, "a label is not a class number", "label", "classes")


def wrong_id(ids: np.ndarray[Any, Any], size: int) -> RunError | None:
    """The error naming the first of ``ids`` that is no index of ``size`` elements, or None."""
    return _wrong(ids, size, "an id is out of range", "id", "elements to gather")


def _wrong(
    numbers: np.ndarray[Any, Any], count: int, what: str, noun: str, counted: str
) -> RunError | None:
    numbers = numbers.ravel()
    fits = (numbers >= 0) & (numbers < count) & (numbers == np.floor(numbers))
    if fits.all():
        return None
    at = int(np.argmin(fits))
    return RunError(
        what,
        got=f"{noun} {numbers[at]} at position {at}",
        expected=f"an integer from 0 to {count - 1}" if count else f"no {noun}s: no {counted}",
    )
