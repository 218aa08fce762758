"""Save what later runs depend on, and read it back bit for bit. Layer: runtime.

A checkpoint is one ``.npz`` file without pickled objects: reading it runs no code. It is written
beside its place and moved there when it is complete, so a crash leaves the old file.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyflow import ops
from tinyflow.backends.table import KernelTable
from tinyflow.errors import GraphError, RunError
from tinyflow.types import DType, as_dtype

__all__ = ["Checkpoint", "capture", "read_checkpoint", "write_checkpoint"]

Array = np.ndarray[Any, Any]
_FORMAT = "tinyflow checkpoint 1"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Contents and dtypes of variables by name (bfloat16 held as float32, which loses nothing),
    and the random counter: the seed of the session and the number of its runs."""

    arrays: Mapping[str, Array]
    dtypes: Mapping[str, DType]
    seed: int
    run_count: int

    def only(self, names: list[str]) -> Checkpoint:
        """Some of the variables; raises RunError naming those that are missing."""
        missing = [name for name in names if name not in self.arrays]
        if missing:
            raise RunError(
                f"variable '{missing[0]}' is not in the checkpoint",
                got=f"variables: {', '.join(self.arrays) or 'none'}",
                fix="Give the variables to restore: tf.train.Saver(var_list).",
            )
        arrays = {name: self.arrays[name] for name in names}
        dtypes = {name: self.dtypes[name] for name in names}
        return Checkpoint(arrays, dtypes, self.seed, self.run_count)


def capture(
    kernels: KernelTable, contents: Mapping[str, Any], seed: int, run_count: int
) -> Checkpoint:
    """A checkpoint with copies of arrays of a backend, by variable name."""
    dtypes = {name: kernels.dtype_of(array) for name, array in contents.items()}
    arrays = {}
    for name, array in contents.items():
        if dtypes[name] is DType.bfloat16:
            array = kernels[ops.cast].run(array, dtype=DType.float32)
        arrays[name] = np.array(kernels.to_numpy(array))
    return Checkpoint(arrays, dtypes, seed, run_count)


def write_checkpoint(path: str | os.PathLike[str], saved: Checkpoint) -> None:
    """Write a file, all or nothing; raises RunError if the place cannot be written."""
    names = list(saved.arrays)
    dtypes = [str(saved.dtypes[name]) for name in names]
    head: dict[str, Any] = {"format": _FORMAT, "names": names, "dtypes": dtypes}
    head |= {"seed": saved.seed, "run_count": saved.run_count}
    text = np.frombuffer(json.dumps(head).encode(), np.uint8)
    arrays: dict[str, Any] = {f"v{at}": saved.arrays[name] for at, name in enumerate(names)}
    partial = Path(f"{os.fspath(path)}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            np.savez(file, head=text, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise RunError(f"cannot write checkpoint '{path}'", got=error.strerror) from error
    finally:
        partial.unlink(missing_ok=True)


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a file written by ``write_checkpoint``; raises RunError if there is none, GraphError if
    it is something else or damaged. Pickled objects are refused, never loaded."""
    try:
        with np.load(path, allow_pickle=False) as file:
            head = json.loads(file["head"].tobytes())
            if head["format"] != _FORMAT:
                raise ValueError(f"format {head['format']!r}")
            arrays = {name: file[f"v{at}"] for at, name in enumerate(head["names"])}
        dtypes = {name: as_dtype(d) for name, d in zip(head["names"], head["dtypes"], strict=True)}
        return Checkpoint(arrays, dtypes, int(head["seed"]), int(head["run_count"]))
    except FileNotFoundError:
        raise RunError("there is no such checkpoint", got=f"'{path}'") from None
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        what = f"'{path}' is not a complete checkpoint"
        got = "another kind of file, or a part of one"
        raise GraphError(what, got=got, expected=_FORMAT) from error
