"""The words of a session: its device, options and kernels, and what cannot run there.

Layer: runtime.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinyflow.backends.cuda import gpu_table
from tinyflow.backends.generated import generated_table
from tinyflow.backends.numpy_ import NUMPY
from tinyflow.backends.table import KernelTable
from tinyflow.backends.torch_ import TORCH
from tinyflow.errors import DTypeError, RunError, TinyflowError
from tinyflow.ir import Graph, Value
from tinyflow.passes import DTYPES, OPTIONS
from tinyflow.types import Device, DType

__all__ = ["check_bfloat16", "check_devices", "kernels_of", "read_config"]

_SAME = {("cpu", "cpu"), ("cpu", "numpy")}  # kinds of (node, session)


def read_config(config: str) -> tuple[Device, frozenset[str]]:
    """The device and the options that the words name, "cpu" without a device.

    Raises RunError for a word that names neither and for a second device.
    """
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


def kernels_of(device: Device, options: frozenset[str]) -> KernelTable:
    """The table of kernels for such a session; raises RunError if the machine lacks the device."""
    if device.kind == "gpu":
        return gpu_table(device, replays="fusion" in options)
    if device.kind == "numpy":
        return NUMPY
    return generated_table() if "fusion" in options else TORCH


def check_devices(graph: Graph, mine: Device) -> None:
    """Raise RunError for a node placed where a session on ``mine`` does not run.

    All devices of a kind "cpu" are this processor; a GPU is one of its own.
    """
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


def check_bfloat16(graph: Graph, fetches: Sequence[Value], kernels: KernelTable) -> None:
    """Raise DTypeError for a bfloat16 that the kernels would compute or the caller would get.

    numpy has none: neither its kernels nor the arrays of a fetch can hold one.
    """
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
