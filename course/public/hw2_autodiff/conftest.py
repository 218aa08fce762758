"""Gives the public tests your notebook, and prints how each task stands."""

from collections import Counter
from pathlib import Path

import pytest

from tinyflow import homework

ELEMENTWISE = ("mul_adjoint", "div_adjoint", "pow_adjoint", "relu_adjoint", "tanh_adjoint")
ARRAYS = ("matmul_adjoint", "reduce_sum_adjoint", "broadcast_to_adjoint", "cross_entropy_adjoint")
TASKS = (*ELEMENTWISE, *ARRAYS, "accumulate", "gradient", "integration")


def pytest_configure(config):
    """Every task is a mark: ``pytest -m gradient`` runs the tests of one."""
    for task in TASKS:
        config.addinivalue_line("markers", f"{task}: public tests of {task}")


@pytest.fixture(scope="session")
def student():
    """Your functions: of the running notebook inside check(), else of the saved one."""
    return homework.student(Path(__file__).parent)


def pytest_terminal_summary(terminalreporter):
    """One line per task: how many of its tests pass."""
    passed, total = Counter(), Counter()
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.getreports(outcome):
            if report.when == "call" or outcome == "error":
                for task in (task for task in TASKS if task in report.keywords):
                    total[task] += 1
                    passed[task] += outcome == "passed"
    terminalreporter.section("your tasks")
    for task in (task for task in TASKS if total[task]):
        state = "ok" if passed[task] == total[task] else "to do"
        terminalreporter.write_line(f"{task:24} {passed[task]} of {total[task]}  {state}")
