"""First script of the zygote process: put the path together and hand over. Layer: sandbox.

Runs as ``python -I -S -B boot.py FD`` with nothing of site-packages on the path. Where things are
comes over the socket FD, not by arguments: those stay readable for the life of the process.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import sys
from typing import Any

__all__ = ["boot"]


def boot() -> None:
    """Receive the settings, make the package ``autograder`` importable alone, run the zygote."""
    control = socket.socket(fileno=int(sys.argv[1]))
    settings: dict[str, Any] = json.loads(control.recv(1 << 20))
    sys.argv[:] = sys.orig_argv[:] = [""]
    sys.path[:] = [settings["engine"], *sys.path, *settings["site_dirs"]]
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    spec = importlib.util.spec_from_file_location(
        "autograder", os.path.join(home, "__init__.py"), submodule_search_locations=[home]
    )
    assert spec is not None and spec.loader is not None  # the file is there: we are beside it
    package = sys.modules["autograder"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    from autograder.sandbox.zygote import zygote

    zygote(control, settings)


if __name__ == "__main__":
    boot()
