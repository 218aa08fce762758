"""Ways out that were found in earlier graders; each stays shut."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autograder.sandbox import Callback, Sandbox, StudentError, StudentFault, Worker
from autograder.sandbox.errors import EXCEPTION_NAMES
from tinyflow import ops
from tinyflow.ir import Graph

Load = Callable[..., Worker]
ROOT = Path(importlib.import_module("autograder").__file__ or "").parent.parent


def answer(load: Load, source: str, *args: object) -> Any:
    """What ``f`` of a one-cell notebook returns."""
    return load(source).call("f", *args, timeout=20)


def refusal(load: Load, source: str, *args: object) -> str:
    """Name of the exception with which ``f`` ends."""
    with pytest.raises(StudentError) as caught:
        load(source).call("f", *args, timeout=20)
    return caught.value.name


def test_a_fork_of_a_process_with_thread_pools_does_not_hang(load: Load) -> None:
    source = (
        "import torch, numpy\n"
        "def f():\n"
        "    a = torch.ones(300, 300); torch.set_num_threads(2)\n"
        "    b = numpy.ones((300, 300))\n"
        "    return [float((a @ a).sum()), float((b @ b).sum())]"
    )
    assert answer(load, source) == [27_000_000.0, 27_000_000.0]


def test_a_granted_file_cannot_be_emptied_by_a_read_only_open(load: Load) -> None:
    source = (
        "import os, tinyflow\n"
        "def f(flags):\n"
        "    try: os.open(tinyflow.__file__, flags)\n"
        "    except OSError as error: return error.errno"
    )
    assert answer(load, source, os.O_RDONLY | os.O_TRUNC) == 1
    assert answer(load, source, 3 | os.O_TRUNC) == 1


def test_arguments_and_environment_of_the_grader_are_not_there(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        "import ctypes, os, sys\n"
        "def f():\n"
        "    environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), 'environ')\n"
        "    raw, i = [], 0\n"
        "    while environ[i]: raw.append(environ[i].decode()); i += 1\n"
        "    return [sys.argv, sys.orig_argv, sorted(os.environ), sorted(raw)]"
    )
    arguments, original, names, raw = answer(load, source)
    assert arguments == original == [""]
    held = [line.partition("=")[0] for line in raw]
    sizes = {"COLUMNS", "LINES"}  # set by the readline library itself, which Python 3.13 loads
    assert names == [name for name in held if name in names or name not in sizes]
    assert set(names) == {"HOME", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"} | {
        "PATH",
        "USER",
    }


def test_tracebacks_quote_the_cells_source(load: Load) -> None:
    source = (
        "import traceback\n"
        "def f():\n"
        "    try: g()\n"
        "    except NameError: return traceback.format_exc()"
    )
    assert "try: g()" in str(answer(load, source))


def test_a_worker_finds_its_modules_where_its_user_cannot_look(load: Load) -> None:
    """The interpreter may live under root's home: all was imported before the user changed."""
    names = sorted(sys.stdlib_module_names - {"antigravity", "this", "idlelib", "test"})
    wanted = [n for n in names if n.isalpha() and _imports(n)]
    source = (
        "import importlib\n"
        "def f(names):\n"
        "    importlib.invalidate_caches()\n"
        "    missing = []\n"
        "    for name in names:\n"
        "        try: importlib.import_module(name)\n"
        "        except ImportError: missing.append(name)\n"
        "    return missing"
    )
    not_needed = {"tkinter", "turtle", "turtledemo", "ensurepip", "venv", "readline", "rlcompleter"}
    assert set(answer(load, source, wanted)) <= not_needed | {"idlelib", "pydoc_data"}
    assert answer(load, source, ["xml.etree.ElementTree", "unittest.mock", "email.mime.text"]) == []


def _imports(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def test_state_does_not_carry_from_worker_to_worker(load: Load) -> None:
    source = (
        "import builtins, numpy, os, random, sys, tinyflow.ops\n"
        "def f():\n"
        "    places = [builtins, numpy, os, random, sys, tinyflow.ops]\n"
        "    seen = [hasattr(place, 'mark') for place in places]\n"
        "    for place in places: place.mark = 1\n"
        "    return any(seen)"
    )
    assert answer(load, source) is False
    assert answer(load, source) is False


@pytest.mark.parametrize(
    "name",
    [
        *("sympy", "networkx", "pytest", "nbgrader", "IPython.core.getipython", "jax"),
        *("autograder", "autograder.suites", "torch._inductor", "mpmath", "llvmlite"),
    ],
)
def test_ready_made_answers_cannot_be_imported(load: Load, name: str) -> None:
    source = f"def f():\n    import {name}\n    return type({name.partition('.')[0]}).__name__"
    try:
        assert answer(load, source) in ("Stub", "module"), name
        assert name in ("IPython.core.getipython",)  # a stand-in that does nothing
    except StudentError as error:
        assert error.name in ("ModuleNotFoundError", "ImportError")


def test_nothing_of_site_packages_but_numpy_and_torch_is_readable(load: Load) -> None:
    source = (
        "import os\n"
        "def f(paths):\n"
        "    found = []\n"
        "    for path in paths:\n"
        "        try: os.close(os.open(path, os.O_RDONLY)); found.append(path)\n"
        "        except OSError: pass\n"
        "    return found"
    )
    folders = [Path(p) for p in sys.path if "-packages" in p]
    paths = [str(p) for folder in folders for p in folder.iterdir()]
    checkout = [str(p) for p in ROOT.glob("*/*.py")] + [str(p) for p in ROOT.glob("*")]
    assert len(paths) > 50 and len(checkout) > 10
    allowed = {"numpy", "numpy.libs", "torch", "torch.libs"}
    found = {Path(p).name for p in answer(load, source, paths + checkout)}
    assert found <= allowed


def test_the_solved_engine_is_not_what_the_worker_imports(load: Load, engine: Path) -> None:
    source = "import tinyflow, sys\ndef f(): return [tinyflow.__file__, sys.path]"
    file, path = answer(load, source)
    assert Path(file).is_relative_to(engine)
    assert str(ROOT) not in path and not any("-packages" in entry for entry in path)


def test_a_graph_is_data_for_the_judge_and_runs_in_the_runner(sandbox: Sandbox, load: Load) -> None:
    source = (
        "from tinyflow import ops\n"
        "import numpy\n"
        "def f(x): return ops.mul(x, numpy.array([3.0], 'float32'))"
    )
    x = ops.placeholder(dtype="float32", shape=(1,), name="x")
    y = load(source).call("f", x)
    runner = sandbox.runner()
    assert runner.run(Graph((y,)), {x: [2.0]})[0].tolist() == [6.0]
    assert "__main__" not in str(runner.report) and runner.output == ""
    runner.close()


def test_a_runner_does_not_load_notebooks(sandbox: Sandbox, notebook: Callable[..., bytes]) -> None:
    runner = sandbox.runner()
    with pytest.raises(StudentFault):
        runner.load(notebook("pass"), None)
    runner.close()


@pytest.mark.parametrize(
    "cls",
    [
        "type(repr(x), (Exception,), {})",
        "type(repr(x), (ValueError,), {})",
        "type('KeyError' + repr(x), (KeyError,), {})",
        "type('E', (Exception,), {'__module__': repr(x)})",
        "type('E', (Exception,), {'__qualname__': repr(x)})",
    ],
)
def test_hidden_inputs_do_not_leave_in_the_name_of_an_exception(load: Load, cls: str) -> None:
    with pytest.raises(StudentError) as caught:
        load(f"def f(x): raise {cls}(x)").call("f", 314159)
    assert caught.value.name in EXCEPTION_NAMES
    assert "314159" not in str(caught.value) and "314159" in caught.value.detail


def test_an_exception_that_fights_back_is_still_told(load: Load) -> None:
    source = (
        "class Meta(type):\n"
        "    def __getattribute__(cls, name): raise SystemExit\n"
        "class Bad(Exception, metaclass=Meta):\n"
        "    def __str__(self): raise SystemExit\n"
        "    __repr__ = __str__\n"
        "    @property\n"
        "    def __traceback__(self): raise SystemExit\n"
        "    __cause__ = __context__ = __class__ = __traceback__\n"
        "def f(): raise Bad\n"
        "def g(): return 1"
    )
    worker = load(source)
    with pytest.raises(StudentFault):
        worker.call("f")
    assert worker.call("g") == 1


def test_a_line_outside_the_notebook_is_not_told(load: Load) -> None:
    source = (
        "def f():\n"
        "    code = compile('\\n' * 50 + 'raise ValueError', 'hidden input 42', 'exec')\n"
        "    exec(code)"
    )
    with pytest.raises(StudentError) as caught:
        load(source).call("f")
    assert caught.value.line == "cell 1, line 3"


def test_no_secret_of_the_judge_was_ever_in_the_zygote(load: Load) -> None:
    """fork copies memory: what the judge knows must not be in the worker's."""
    secret = "s3cr3t-" + "of-the-judge"
    os.environ["KIT_SECRET"] = secret
    try:
        source = (
            "import gc, sys\n"
            "def f(part, other):\n"
            "    found = [o for o in gc.get_objects() if isinstance(o, dict)]\n"
            "    texts = [v for d in found for v in d.values() if isinstance(v, str)]\n"
            "    return [t for t in texts if part in t and other in t]"
        )
        assert answer(load, source, "s3cr3t", "judge") == []
    finally:
        del os.environ["KIT_SECRET"]


def test_text_that_breaks_printers_does_not_cross(load: Load) -> None:
    with pytest.raises(StudentFault) as caught:
        load("def f(): return chr(0xD800)").call("f")
    assert caught.value.state == "malformed"
    with pytest.raises(StudentError) as raised:
        load("def f(): raise ValueError(chr(0xD800))").call("f")
    json.dumps(raised.value.detail).encode()
    raised.value.detail.encode("utf-8")


@pytest.mark.parametrize(
    "source",
    [
        "import socket\ndef f(): socket.create_connection(('127.0.0.1', 22), 1)",
        "import os\ndef f(): os.fork()",
        "import os\ndef f():\n    if os.system('true'): raise PermissionError",
        "import subprocess\ndef f(): subprocess.run(['/bin/true'])",
        "import multiprocessing\ndef f(): multiprocessing.Process(target=f).start()",
        "import os\ndef f(): os.kill(os.getppid(), 9)",
        "import os\ndef f(): os.kill(-1, 9)",
        "import os\ndef f(): os.kill(0, 9)",
        "import os\ndef f(): os.setuid(0)",
        "import os\ndef f(): os.listdir('/')",
        "import os\ndef f(): os.mkdir('/tmp/x')",
        "import os\ndef f(): os.chmod('/tmp', 0)",
        "import fcntl, os\ndef f(): fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())",
        "def f(): open('/tmp/x', 'w')",
        "def f(): open('/proc/self/environ')",
        "def f(): open('/etc/passwd')",
    ],
    ids=lambda source: source.partition("f(): ")[2],
)
def test_no_network_no_processes_no_signals_no_files(load: Load, source: str) -> None:
    assert refusal(load, source) == "PermissionError"


def test_descriptors_of_the_grader_are_closed(load: Load) -> None:
    source = (
        "import os\n"
        "def f():\n"
        "    found = []\n"
        "    for n in range(1000):\n"
        "        try: os.fstat(n); found.append(n)\n"
        "        except OSError: pass\n"
        "    return found"
    )
    assert answer(load, source) == [0, 1, 2, 3]


def test_descriptors_sent_by_a_worker_are_not_taken(load: Load) -> None:
    source = (
        "import array, socket\n"
        "def f():\n"
        "    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, 3)\n"
        "    link.sendmsg([b'x' * 28], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,\n"
        "                  array.array('i', [0, 1]))])"
    )
    before = len(os.listdir("/proc/self/fd"))
    worker = load(source)
    with pytest.raises(StudentFault):
        worker.call("f")
    assert len(os.listdir("/proc/self/fd")) <= before


def test_always_equal_objects_cross_as_plain_data(load: Load) -> None:
    source = (
        "class Yes(float):\n"
        "    def __eq__(self, other): return True\n"
        "    __hash__ = float.__hash__\n"
        "def f(): return Yes(1.0)"
    )
    assert answer(load, source) != 2.0


def test_a_callback_cannot_be_called_by_number_before_it_is_given(load: Load) -> None:
    source = (
        "import gc\n"
        "def f(g):\n"
        "    links = [getattr(cell.cell_contents, 'link', None) for cell in g.__closure__]\n"
        "    return next(filter(None, links)).ask(7, (), {})"
    )
    with pytest.raises(StudentFault) as caught:
        load(source).call("f", Callback(lambda: 1))
    assert caught.value.state == "malformed"
