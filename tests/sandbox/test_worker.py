"""Calls into a locked worker: what an honest submission needs, and how errors are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from autograder.sandbox import (
    Callback,
    CallbackTable,
    Handle,
    Malformed,
    NoRule,
    NotImplementedByStudent,
    Own,
    Sandbox,
    SandboxError,
    StudentError,
    TimedOut,
    Worker,
)
from tinyflow import ops
from tinyflow.errors import GradientError
from tinyflow.ir import Graph, text
from tinyflow.passes.gradient import accumulate, gradient

Load = Callable[..., Worker]


def test_functions_take_and_return_data(load: Load) -> None:
    worker = load("def f(x, scale=1):\n    return {'y': x * scale, 'n': (len(x), None)}")
    answer = worker.call("f", np.arange(3.0), scale=2)
    np.testing.assert_array_equal(answer["y"], [0, 2, 4])
    assert answer["n"] == (3, None)


def test_inputs_are_copies(load: Load) -> None:
    worker = load("def f(x):\n    x[:] = 9\n    return x")
    given = np.zeros(2)
    assert worker.call("f", given).tolist() == [9, 9] and given.tolist() == [0, 0]


def test_cells_share_names_and_the_last_definition_wins(load: Load, sandbox: Sandbox) -> None:
    worker = load("%matplotlib inline\nk = 2", "def f(): return 1", "def f(): return k")
    assert worker.call("f") == 2


def test_loading_reports_failures_and_goes_on(
    sandbox: Sandbox, notebook: Callable[..., bytes]
) -> None:
    worker = sandbox.worker()
    bad = "class Mine(KeyError):\n    pass\nraise Mine('text')"
    report = worker.load(notebook("x = (", bad, "def f(): return 1"), None)
    assert [(f.cell, f.line, f.error) for f in report.failures] == [
        (1, 1, "SyntaxError"),
        (2, 3, "Exception"),  # a name that a student chose does not cross
    ]
    assert report.failures[1].message == "'text'" and report.defined == ("Mine", "f")
    assert worker.call("f") == 1
    worker.close()


def test_set_up_cells_come_from_the_trusted_skeleton(
    sandbox: Sandbox, notebook: Callable[..., bytes]
) -> None:
    skeleton = [{"index": 1, "id": "setup-1", "source": "import math", "kind": "setup"}]
    worker = sandbox.worker()
    worker.load(notebook("def f(): return math.floor(2.5)"), skeleton)
    assert worker.call("f") == 2
    worker.close()


@pytest.mark.parametrize("data", [b"", b"\x80", b"[1]", b'{"cells": 1}', b"[" * 100_000])
def test_what_is_no_notebook_is_the_students_error(sandbox: Sandbox, data: bytes) -> None:
    worker = sandbox.worker()
    with pytest.raises(StudentError) as caught:
        worker.load(data, None)
    assert caught.value.state == "error"
    worker.close()


def test_errors_name_the_line_in_the_notebook(load: Load) -> None:
    worker = load("pass", "def f(x):\n    y = x + 1\n    return y / 0")
    with pytest.raises(StudentError) as caught:
        worker.call("f", 1)
    error = caught.value
    assert (error.name, error.line) == ("ZeroDivisionError", "cell 2, line 3")
    assert str(error) == "ZeroDivisionError at cell 2, line 3"
    assert "return y / 0" in error.detail  # the traceback quotes the source, for the instructor
    assert worker.alive


def test_engine_errors_are_named_by_their_family(load: Load) -> None:
    worker = load("import tinyflow.ops as ops\ndef f(): return ops.add(1.0)")
    with pytest.raises(StudentError) as caught:
        worker.call("f")
    assert caught.value.name == "TinyflowError"


def test_stubs_and_missing_functions_are_not_implemented(load: Load) -> None:
    worker = load("def f(): raise NotImplementedError")
    for name in ("f", "g"):
        with pytest.raises(NotImplementedByStudent) as caught:
            worker.call(name)
        assert caught.value.state == "not_implemented"
    assert worker.alive


@pytest.mark.parametrize("value", ["print", "object()", "10 ** 30", "(n for n in [1])", "[print]"])
def test_answers_that_are_not_data_are_malformed(load: Load, value: str) -> None:
    worker = load(f"def f(): return {value}\ndef g(): return 1")
    with pytest.raises(Malformed):
        worker.call("f")
    assert worker.call("g") == 1


def test_graphs_cross_and_come_back_as_the_judges_own_nodes(load: Load) -> None:
    worker = load(
        "from tinyflow import ops\n"
        "def mul_adjoint(node, dy):\n"
        "    a, b = node.inputs\n"
        "    return ops.mul(dy, b), ops.mul(dy, a)"
    )
    x, y = (ops.placeholder(dtype="float32", shape=(2,), name=n) for n in "xy")
    z = ops.mul(x, y)
    dx, dy = worker.call("mul_adjoint", z.node, z)
    assert dx.node.inputs[1].node is y.node and worker.made(dx.node) and not worker.made(z.node)
    assert text(Graph((dy,))).endswith("%3 = mul(%2, %0)\nreturn %3\n")


def test_a_students_gradient_runs_on_the_judges_callbacks(load: Load) -> None:
    worker = load("from tinyflow.passes.gradient import gradient")
    x = ops.placeholder(dtype="float32", shape=(2,), name="x")
    y = ops.mul(ops.exp(x), x)
    rules = {name: Callback(_rule(name)) for name in ("mul", "exp")}
    table = CallbackTable({**rules, "argmax": NoRule("it counts")})
    adder = Callback(accumulate)
    got = worker.call("gradient", Graph((y,)), [x], adjoints=table, accumulate=adder)
    assert text(got) == text(gradient(Graph((y,)), [x]))
    assert [callback.calls for callback in (*rules.values(), adder)] == [1, 1, 3]


def _rule(name: str) -> Callable[..., object]:
    from tinyflow.adjoints import ADJOINTS

    return ADJOINTS[ops.OPS[name]]


def test_a_students_function_can_be_a_part_of_another_call(load: Load) -> None:
    worker = load("def twice(f, x): return f(f(x))\ndef inc(x): return x + 1")
    assert worker.call("twice", Own("inc"), 1) == 3


def test_tables_answer_by_op_and_say_what_they_lack(load: Load) -> None:
    worker = load(
        "from tinyflow import ops\n"
        "from tinyflow.adjoints import NoGradient\n"
        "def f(table):\n"
        "    return [ops.mul in table, ops.add in table, table.get(ops.add), len(table),\n"
        "            [op.name for op in table], isinstance(table[ops.argmax], NoGradient)]"
    )
    table = CallbackTable({"mul": Callback(abs), "argmax": NoRule("it counts")})
    assert worker.call("f", table) == [True, False, None, 2, ["mul", "argmax"], True]


def test_callbacks_are_counted_by_the_judge_and_end_with_their_budget(load: Load) -> None:
    worker = load("def f(g, n):\n    for i in range(n): g(i)\n    return 0")
    counted = Callback(lambda i: i, budget=10)
    assert worker.call("f", counted, 4) == 0 and counted.calls == 4
    with pytest.raises(TimedOut, match="more than 10 times"):
        worker.call("f", counted, 100)
    assert not worker.alive


def test_an_engine_error_in_a_callback_is_raised_in_the_students_code(load: Load) -> None:
    def refuse(x: object) -> object:
        raise GradientError("no rule", got=x)

    worker = load(
        "from tinyflow.errors import TinyflowError\n"
        "def f(g):\n"
        "    try: g(1)\n"
        "    except TinyflowError as error: return str(error)"
    )
    assert worker.call("f", Callback(refuse)) == "no rule; got 1"


def test_what_a_judges_assertion_says_is_raised_in_the_judge(load: Load) -> None:
    def check(x: int) -> None:
        raise AssertionError("the suite's own verdict")

    worker = load("def f(g):\n    try: g(1)\n    except BaseException: pass")
    with pytest.raises(AssertionError, match="own verdict"):
        worker.call("f", Callback(check))
    assert not worker.alive


@pytest.mark.parametrize("argument", ["None", "'text'", "[]", "1, 2, 3", "node=1"])
def test_wrong_arguments_for_a_callback_are_the_students_error(load: Load, argument: str) -> None:
    worker = load(f"def f(g): return g({argument})")
    with pytest.raises(StudentError) as caught:
        worker.call("f", Callback(lambda node: node.inputs[0]))
    assert caught.value.name == "TinyflowError" and worker.alive


def test_callbacks_do_not_outlive_the_call(load: Load) -> None:
    worker = load("kept = []\ndef f(g): kept.append(g)\ndef h(): return kept[0](1)")
    counted = Callback(lambda x: x)
    worker.call("f", counted)
    assert worker.call("h") == 1  # the worker is being called: the judge serves and counts it
    assert counted.calls == 1


def test_callbacks_work_from_threads(load: Load) -> None:
    worker = load(
        "import concurrent.futures\n"
        "def f(g):\n"
        "    with concurrent.futures.ThreadPoolExecutor(4) as pool:\n"
        "        return sum(pool.map(g, range(20)))"
    )
    assert worker.call("f", Callback(lambda x: x * 2)) == 380


def test_objects_stay_inside_under_a_handle(load: Load) -> None:
    worker = load(
        "class Counter:\n"
        "    def __init__(self): self.n = 0\n"
        "    def up(self, by): self.n += by; return self.n\n"
        "def read(counter): return counter.n"
    )
    handle = worker.call("Counter", keep=True)
    assert isinstance(handle, Handle)
    up = worker.call("builtins:getattr", handle, "up", keep=True)
    assert worker.call(up, 2) == 2 and worker.call(up, 3) == 5
    assert worker.call("read", handle) == 5


def test_a_runner_executes_graphs(sandbox: Sandbox) -> None:
    runner = sandbox.runner()
    x = ops.placeholder(dtype="float32", shape=(2,), name="x")
    w = ops.variable(dtype="float32", shape=(2,), name="w")
    y = ops.assign(w, ops.add(w, x))
    state = {"w": np.ones(2, "float32")}
    (array,) = runner.run(Graph((y,)), {x: np.array([1, 2], "float32")}, state)
    assert array.tolist() == [2, 3] and state["w"].tolist() == [2, 3]
    with pytest.raises(StudentError) as caught:
        runner.run(Graph((y,)), {})
    assert caught.value.name == "TinyflowError" and "not fed" in caught.value.detail
    runner.close()


def test_output_is_kept_for_the_instructor(load: Load) -> None:
    worker = load("print('loaded')\nimport sys\ndef f(): print('called', file=sys.stderr)")
    worker.call("f")
    assert worker.output == "loaded\ncalled\n"


def test_a_fresh_worker_remembers_nothing(sandbox: Sandbox, load: Load) -> None:
    cells = "import numpy\ndef f():\n    numpy.n = getattr(numpy, 'n', 0) + 1\n    return numpy.n"
    first, second = load(cells), load(cells)
    assert [first.call("f"), first.call("f"), second.call("f")] == [1, 2, 1]


def test_an_engine_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="expected a folder that holds the package"):
        Sandbox(tmp_path)


def test_an_engine_that_does_not_import_is_told(tmp_path: Path) -> None:
    (tmp_path / "tinyflow").mkdir()
    (tmp_path / "tinyflow" / "__init__.py").write_text("raise ValueError('broken engine')")
    with pytest.raises(SandboxError, match="broken engine"):
        Sandbox(tmp_path)


def test_a_dead_worker_repeats_why_it_died(load: Load) -> None:
    worker = load("def f():\n    while True: pass")
    for _ in range(2):
        with pytest.raises(TimedOut):
            worker.call("f", timeout=0.2)


def test_workers_are_not_told_the_judges_lines(load: Load) -> None:
    worker = load("def f(node): return json.dumps([node.source, node.where()])", "import json")
    assert "test_worker" not in json.loads(worker.call("f", ops.zeros(shape=(2,)).node))[1]
