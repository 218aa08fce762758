"""What a submission may use up, and that nothing is left running."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from autograder.sandbox import (
    Budget,
    Callback,
    Crashed,
    Limits,
    Malformed,
    OutOfMemory,
    Sandbox,
    SandboxError,
    StudentError,
    TimedOut,
    Worker,
    client,
)
from tinyflow import ops
from tinyflow.ir import Graph, Value

Load = Callable[..., Worker]


def processes(uid: int) -> list[str]:
    """Live processes of a user."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid == uid:
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found


def test_an_endless_loop_is_ended_at_the_deadline(load: Load) -> None:
    worker = load("def f():\n    while True: pass")
    with pytest.raises(TimedOut) as caught:
        worker.call("f", timeout=0.3)
    assert caught.value.state == "timeout" and not worker.alive


def test_an_endless_loop_at_load_time_is_ended(
    sandbox: Sandbox, notebook: Callable[..., bytes]
) -> None:
    worker = sandbox.worker(Limits(load_s=0.5))
    with pytest.raises(TimedOut):
        worker.load(notebook("while True: pass"), None)


def test_signals_cannot_stop_the_deadline(load: Load) -> None:
    worker = load(
        "import signal\n"
        "for n in range(1, 32):\n"
        "    try: signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\n"
        "def f():\n"
        "    while True:\n"
        "        try: signal.pause()\n"
        "        except BaseException: pass"
    )
    with pytest.raises(TimedOut):
        worker.call("f", timeout=0.3)


def test_processor_time_ends_a_worker_that_ignores_the_signal(load: Load) -> None:
    worker = load(
        "import signal\n"
        "signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"
        "def f():\n"
        "    while True: pass",
        limits=Limits(cpu_s=1),
    )
    with pytest.raises(TimedOut, match="processor time"):
        worker.call("f", timeout=60)


def test_the_zygote_ends_a_worker_that_the_judge_forgot(load: Load) -> None:
    worker = load("pass", limits=Limits(life_s=0.5))
    time.sleep(1.5)
    with pytest.raises(TimedOut, match="lived longer"):
        worker.call("f")


def test_a_budget_is_shared_by_all_calls() -> None:
    budget = Budget(0.05)
    assert 0 < budget.left_s <= 0.05
    time.sleep(0.06)
    assert budget.left_s == 0


def test_memory_is_capped_and_the_worker_survives(load: Load) -> None:
    worker = load("def f(n): return len(bytearray(n))", limits=Limits(memory_bytes=256 << 20))
    with pytest.raises(OutOfMemory) as caught:
        worker.call("f", 1 << 30)
    assert caught.value.state == "out_of_memory"
    assert worker.call("f", 1 << 20) == 1 << 20


def test_memory_of_numpy_and_torch_is_capped_too(load: Load) -> None:
    worker = load(
        "import numpy, torch\n"
        "def f(): return numpy.ones(1 << 29).sum()\n"
        "def g(): return torch.ones(1 << 29).sum()",
        limits=Limits(memory_bytes=1 << 30),
    )
    for name in "fg":
        with pytest.raises(OutOfMemory):
            worker.call(name)


def test_caught_memory_errors_cannot_outlast_the_deadline(load: Load) -> None:
    """40 of them took 25 s: the deadline of the call, and the budget, end it."""
    worker = load(
        "def f():\n"
        "    while True:\n"
        "        try:\n"
        "            hold = []\n"
        "            while True: hold.append(bytearray(1 << 20))\n"
        "        except MemoryError: pass",
        limits=Limits(memory_bytes=128 << 20),
    )
    with pytest.raises(TimedOut):
        worker.call("f", timeout=1.0)


def test_no_memory_is_left_even_for_the_message(load: Load) -> None:
    worker = load(
        "hold = []\n"
        "def f():\n"
        "    for size in (1 << 20, 1 << 10, 1):\n"
        "        try:\n"
        "            while True: hold.append(bytearray(size))\n"
        "        except MemoryError: pass\n"
        "    raise MemoryError",
        limits=Limits(memory_bytes=64 << 20),
    )
    with pytest.raises((OutOfMemory, Crashed)):
        worker.call("f")


def test_threads_are_bounded(load: Load) -> None:
    worker = load(
        "import threading\n"
        "def f():\n"
        "    done = threading.Event()\n"
        "    try:\n"
        "        for n in range(100_000): threading.Thread(target=done.wait, daemon=True).start()\n"
        "    finally: done.set()"
    )
    with pytest.raises(StudentError) as caught:
        worker.call("f", timeout=30)
    assert caught.value.name == "RuntimeError"


def test_output_is_cut_and_a_flood_ends_the_worker(load: Load) -> None:
    worker = load("def f(n):\n    for _ in range(n): print('x' * 1023)")
    worker.call("f", 200)
    assert len(worker.output) == 64 << 10
    with pytest.raises(Crashed, match="printed more than 32 MiB"):
        worker.call("f", 40_000, timeout=60)


def test_files_cannot_grow_even_where_they_could_be_written(load: Load) -> None:
    worker = load(
        "def f():\n    with open('/dev/null', 'w') as sink: return sink.write('x' * 9999)"
    )
    assert worker.call("f") == 9999


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("os._exit(0)", r"exit code 0"),
        ("os._exit(7)", r"exit code 7"),
        ("os.kill(os.getpid(), 9)", r"SIGKILL"),
        ("os.abort()", r"SIGABRT"),
        ("ctypes.string_at(0)", r"SIGSEGV"),
        ("os.close(3)", r"ended"),
    ],
)
def test_every_kind_of_crash_is_a_crash(load: Load, body: str, why: str) -> None:
    worker = load(f"import ctypes, os\ndef f(): {body}")
    with pytest.raises(Crashed, match=why) as caught:
        worker.call("f", timeout=10)
    assert caught.value.state == "crashed"


@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "GeneratorExit"])
def test_exits_of_python_are_the_functions_error(load: Load, name: str) -> None:
    worker = load(f"def f(): raise {name}(0)\ndef g(): return 1")
    with pytest.raises(StudentError, match=name):
        worker.call("f")
    assert worker.call("g") == 1


def test_endless_recursion_is_an_error_and_the_worker_survives(load: Load) -> None:
    worker = load("def f(n=0): return f(n + 1)\ndef g(): return 1")
    with pytest.raises(StudentError, match="RecursionError"):
        worker.call("f")
    assert worker.call("g") == 1


@pytest.mark.parametrize(
    "body",
    [
        "os.write(3, b'x' * 100); time.sleep(5)",
        "os.write(3, b'TFK1' + b'\\xff' * 24); time.sleep(5)",
        "os.write(3, struct.pack('<4sIQQB3x', b'TFK1', 5, 0, 1, 4) + b'false'); time.sleep(5)",
    ],
    ids=["noise", "huge lengths", "a guessed nonce"],
)
def test_forged_frames_are_malformed(load: Load, body: str) -> None:
    worker = load(f"import os, struct, time\ndef f(): {body}")
    with pytest.raises(Malformed) as caught:
        worker.call("f", timeout=3)
    assert caught.value.state == "malformed"


def test_bytes_that_nobody_asked_for_end_the_worker(load: Load) -> None:
    worker = load(
        "import os, threading\n"
        "def f(): threading.Timer(0.2, os.write, (3, b'TFK1')).start()\n"
        "def g(): return 1"
    )
    worker.call("f")
    time.sleep(0.6)
    with pytest.raises(Malformed, match="nobody had asked"):
        worker.call("g")


def test_a_reply_much_larger_than_its_input_is_malformed(load: Load) -> None:
    worker = load("import numpy\ndef f(n): return list(range(n))\ndef g(n): return numpy.zeros(n)")
    assert len(worker.call("f", 1000)) == 1000
    with pytest.raises(Malformed, match="at most"):
        worker.call("f", 1_000_000)
    worker = load("import numpy\ndef g(n): return numpy.zeros(n)")
    with pytest.raises(Malformed, match="at most"):
        worker.call("g", 8 << 20)


def test_an_exponential_graph_is_refused_not_read(load: Load) -> None:
    worker = load(
        "from tinyflow import ops\ndef f(x):\n    return [ops.neg(x) for _ in range(20_000)]"
    )
    with pytest.raises(Malformed):
        worker.call("f", ops.zeros(shape=(2,)), timeout=60)


def test_a_graph_of_a_huge_size_costs_the_runner_only(sandbox: Sandbox) -> None:
    runner = sandbox.runner()
    huge = ops.ones(shape=(1 << 20, 1 << 18))
    with pytest.raises(OutOfMemory):
        runner.run(Graph((ops.reduce_sum(huge),)), {})
    assert runner.run(Graph((ops.ones(shape=(2,)),)), {})[0].tolist() == [1, 1]
    runner.close()


def test_nothing_is_left_running(engine: Path, notebook: Callable[..., bytes]) -> None:
    sandbox = Sandbox(engine)
    uid = int(sandbox.isolation["uid"])
    before = len(processes(uid))
    worker = sandbox.worker()
    source = "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()"
    worker.load(notebook(source), None)
    pid = sandbox.zygote_pid
    sandbox.close()
    assert not os.path.exists(f"/proc/{pid}")
    if uid != os.getuid():
        deadline = time.monotonic() + 10
        while len(processes(uid)) > before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert processes(uid) == []


def test_closing_reports_what_was_used(load: Load) -> None:
    worker = load("import numpy\ndef f(): return float(numpy.ones(1 << 22).sum())")
    worker.call("f")
    worker.close()
    assert worker.usage["cpu_s"] > 0 and worker.usage["peak_bytes"] > 32 << 20


def test_a_dead_zygote_is_replaced(engine: Path, notebook: Callable[..., bytes]) -> None:
    with Sandbox(engine) as sandbox:
        first = sandbox.worker()
        os.kill(sandbox.zygote_pid, 9)
        with pytest.raises(SandboxError, match="zygote ended"):  # not the student's doing
            first.load(notebook("while True: pass"), None)
        worker = sandbox.worker()
        worker.load(notebook("def f(): return 1"), None)
        assert worker.call("f") == 1


def test_a_worker_survives_the_thread_that_made_the_sandbox(
    engine: Path, notebook: Callable[..., bytes]
) -> None:
    """PDEATHSIG fires when the spawning thread ends: only the zygote's children may use it."""
    made: list[Sandbox] = []
    thread = threading.Thread(target=lambda: made.append(Sandbox(engine)))
    thread.start()
    thread.join()
    with made[0] as sandbox:
        worker = sandbox.worker()
        worker.load(notebook("def f(): return 1"), None)
        assert worker.call("f") == 1


def test_large_arrays_cross_both_ways(load: Load) -> None:
    worker = load("def f(x): return x + 1")
    array = np.zeros((1000, 1000))
    assert worker.call("f", array).sum() == 1e6


def test_given_functions_cannot_be_made_to_build_without_end(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_NODES", 5_000)

    def many(x: Value) -> object:
        return [ops.neg(x) for _ in range(1_000)]

    worker = load("def f(g, x):\n    while True: g(x)")
    with pytest.raises(Malformed, match="more than 5000 nodes"):
        worker.call("f", Callback(many), ops.zeros(shape=(2,)), timeout=60)


def test_ctrl_c_at_the_terminal_does_not_reach_the_zygote(sandbox: Sandbox) -> None:
    assert os.getsid(sandbox.zygote_pid) != os.getsid(0)
