"""What a worker finds imported, and what it may read: decided in the zygote. Layer: sandbox.

The zygote imports the whole standard library, numpy, torch and the stripped engine. Workers are
forked with these modules, so they need no file of them: the interpreter may live where the
worker's user cannot look. Whatever else came along is forgotten before the first fork: a package
of site-packages that solves the task is an answer key.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import sysconfig
import types
import warnings
from collections.abc import Sequence

from autograder.sandbox.landlock import READ, READ_DIR

__all__ = ["forget_others", "grants", "preload_engine", "preload_library"]

_NEVER = frozenset(  # modules, or parts of packages
    {"__main__", "_tkinter", "antigravity", "ensurepip", "idlelib", "lib2to3", "pydoc_data"}
    | {
        "readline",
        "rlcompleter",
        "test",
        "tests",
        "this",
        "tkinter",
        "turtle",
        "turtledemo",
        "venv",
    }
)
_KEPT = frozenset({"numpy", "torch", "torchgen", "typing_extensions", "tinyflow"})


def preload_library(site_dirs: Sequence[str]) -> None:
    """Import the standard library, numpy and torch, at one thread.

    ``site_dirs`` are on the path only until ``forget_others``. Raises ImportError if numpy or torch
    is missing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in sorted(sys.stdlib_module_names - _NEVER):
            _import_all(name)
        sys.path += [path for path in site_dirs if path not in sys.path]
        import numpy
        import torch

        torch.set_num_threads(1)
        torch.set_num_interop_threads(1)
        _stand_in_for_dynamo(torch)
        (torch.ones(8, 8) @ torch.ones(8, 8)).numpy()
        numpy.linalg.svd(numpy.ones((4, 3)))


def _stand_in_for_dynamo(torch: types.ModuleType) -> None:
    """torch.optim imports torch's compiler, and with it sympy, only to switch compiling off."""
    dynamo = types.ModuleType("torch._dynamo")
    vars(dynamo).update(
        disable=lambda function=None, *args, **kwargs: function or (lambda inner: inner),
        graph_break=lambda *args, **kwargs: None,
        is_compiling=lambda: False,
    )
    sys.modules["torch._dynamo"] = dynamo
    vars(torch)["_dynamo"] = dynamo


def preload_engine(engine: str) -> None:
    """Import every module of the engine at ``engine`` (a directory that holds ``tinyflow``).

    Modules that need a package which is not there (drawing, a compiler) are passed over. Raises
    ImportError if ``tinyflow`` is found anywhere else: that could be the solved one.
    """
    sys.path.insert(0, engine)
    package = importlib.import_module("tinyflow")
    if not str(package.__file__).startswith(os.path.join(engine, "")):
        raise ImportError(f"tinyflow was found at {package.__file__}; expected below {engine}")
    _import_all("tinyflow")


def forget_others(engine: str) -> list[str]:
    """Drop the path entries and modules that workers must not find; returns the packages' names.

    The grader's own is dropped too: what is running keeps its references.
    """
    kept_paths = {*_library_dirs(), engine}
    sys.path[:] = [path for path in sys.path if path in kept_paths]
    sys.path_importer_cache.clear()
    keep = _KEPT | sys.stdlib_module_names | {"__main__", "__mp_main__"}
    dropped = [name for name in sys.modules if name.partition(".")[0] not in keep]
    for name in dropped:
        del sys.modules[name]
    importlib.invalidate_caches()
    return sorted({name.partition(".")[0] for name in dropped} - {"autograder"})


def grants(folders: Sequence[str]) -> list[tuple[str, int]]:
    """(path, rights) that a worker may read: standard library, numpy, torch, ``folders``.

    Never a site-packages directory: the standard library is granted entry by entry, because such a
    directory may lie inside it.
    """
    found = []
    for directory in _library_dirs():
        if not os.path.isdir(directory):
            continue
        found.append((directory, READ_DIR))
        for entry in sorted(os.listdir(directory)):
            if entry not in ("site-packages", "dist-packages", "test", "idlelib", "ensurepip"):
                found.append((os.path.join(directory, entry), READ))
    for name in ("numpy", "torch"):
        file = sys.modules[name].__file__
        directory = os.path.dirname(os.path.realpath(str(file)))
        found += [(directory, READ), (f"{directory}.libs", READ)]
    return [*found, *((folder, READ) for folder in folders)]


def _library_dirs() -> list[str]:
    paths = sysconfig.get_paths()
    standard = {os.path.realpath(paths["stdlib"]), os.path.realpath(paths["platstdlib"])}
    return sorted(standard | {os.path.join(path, "lib-dynload") for path in standard})


def _import_all(name: str) -> None:
    """Import a module and all below it, passing over what is not meant for this machine."""
    try:
        module = importlib.import_module(name)
    except Exception:  # absent on this platform, or in need of a package that is not installed
        sys.modules.pop(name, None)
        return
    for child in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if child.name not in _NEVER:
            _import_all(f"{name}.{child.name}")
