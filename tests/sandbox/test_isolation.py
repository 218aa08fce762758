"""Isolation is measured: what the probe finds with and without each protection, root or not."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import autograder
from autograder.sandbox import Sandbox, SandboxError, Worker
from autograder.sandbox.doctor import Finding, doctor, findings
from autograder.sandbox.fallback import Protections, isolation_grade, require_isolation
from autograder.sandbox.lockdown import become_user

from .ordinary_user import become

Load = Callable[..., Worker]
HONEST = """
import threading, asyncio, numpy, torch
def f():
    x = torch.ones(3, requires_grad=True)
    (x * x).sum().backward()
    u, s, v = torch.linalg.svd(torch.eye(4))
    done = []
    thread = threading.Thread(target=done.append, args=(1,)); thread.start(); thread.join()
    async def wait(): await asyncio.sleep(0); return 1
    layer = torch.nn.Conv2d(1, 2, 3)
    step = torch.optim.Adam(layer.parameters()); layer(torch.ones(1, 1, 5, 5)).sum().backward()
    step.step()
    return [x.grad.tolist(), float(s.sum()), float(numpy.linalg.det(numpy.eye(3))), done,
            asyncio.run(wait())]
"""
EXPECTED = [[2.0, 2.0, 2.0], 4.0, 1.0, [1], 1]


def test_everything_forbidden_is_refused_and_the_report_says_so(sandbox: Sandbox) -> None:
    report = sandbox.isolation
    assert set(report["tried"].values()) <= {
        f"refused ({why})" for why in ("EACCES", "EPERM", "ENOENT", "ENOSYS", "not importable")
    }
    assert report["grade"] == ("full" if os.getuid() == 0 else "kernel")
    assert report["uid"] != 0 and report["landlock_abi"] > 0 and report["seccomp"]
    assert json.loads(json.dumps(report)) == report


def test_the_probe_tries_the_real_paths(engine: Path, tmp_path: Path) -> None:
    submission = tmp_path / "submitted" / "bob"
    submission.mkdir(parents=True)
    (submission / "hw.ipynb").write_text("secret")
    for folder in (tmp_path, submission.parent, submission):
        folder.chmod(0o755)
    with Sandbox(engine, private={"another submission": submission.parent}) as sandbox:
        tried = sandbox.isolation["tried"]
    assert tried["read another submission"].startswith("refused")
    for place in ("tinyflow", "autograder/suites"):
        assert tried[f"read {place} of the checkout"].startswith("refused")


def test_honest_numpy_torch_and_threads_work_inside(load: Load) -> None:
    assert load(HONEST).call("f", timeout=30) == EXPECTED


def test_without_landlock_nothing_opens_and_honest_code_still_works(
    engine: Path, notebook: Callable[..., bytes]
) -> None:
    with Sandbox(engine, protections=Protections(landlock=False)) as sandbox:
        assert sandbox.isolation["grade"] == "kernel" and not sandbox.isolation["opens_files"]
        worker = sandbox.worker()
        worker.load(notebook(HONEST, "def g(path): return open(path).read()"), None)
        assert worker.call("f", timeout=30) == EXPECTED
        with pytest.raises(Exception, match="PermissionError"):
            worker.call("g", "/etc/hostname")


def test_limits_alone_are_weak_and_refused_unless_asked_for(
    engine: Path, notebook: Callable[..., bytes]
) -> None:
    none = Protections(landlock=False, seccomp=False)
    with Sandbox(engine, require="weak", protections=none) as sandbox:
        with pytest.raises(SandboxError, match=r"isolation is 'weak' here.*allowed to: "):
            require_isolation(sandbox.isolation, "kernel")
        assert sandbox.isolation["tried"]["start a process"] == "allowed"
        worker = sandbox.worker()
        worker.load(notebook("def f(): return 1"), None)
        assert worker.call("f") == 1


REPORT: dict[str, Any] = {
    "uid": 61_200,
    "judge_uid": 0,
    "landlock_abi": 5,
    "seccomp": True,
    "tried": {"open a socket": "refused (EACCES)"},
}


@pytest.mark.parametrize(
    ("change", "grade"),
    [
        ({}, "full"),
        ({"uid": 1000, "judge_uid": 1000}, "kernel"),
        ({"landlock_abi": 0}, "kernel"),
        ({"tried": {"open a socket": "allowed"}}, "weak"),
        ({"tried": {}}, "weak"),
    ],
    ids=str,
)
def test_grades_follow_from_what_was_seen(change: dict[str, Any], grade: str) -> None:
    report = {**REPORT, **change}
    assert isolation_grade(report) == grade
    report["grade"] = grade
    require_isolation(report, "weak")
    if grade != "full":
        with pytest.raises(SandboxError, match=grade):
            require_isolation(report, "full")


def test_an_unknown_requirement_is_refused() -> None:
    with pytest.raises(SandboxError, match="'total'; expected one of weak, kernel, full"):
        require_isolation({"grade": "full"}, "total")


def test_another_system_is_sent_to_docker(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxError, match="needs Linux; this is darwin.*Docker"):
        Sandbox(engine)


def test_the_doctor_shows_every_protection() -> None:
    console = Console(width=150, record=True, file=io.StringIO())
    console.print(doctor())
    shown = console.export_text()
    for word in ("Landlock", "seccomp", "a user of its own", "open a socket", "isolation: "):
        assert word in shown


@pytest.mark.parametrize(
    ("report", "missing", "advice"),
    [
        ({**REPORT, "landlock_abi": 0}, "Landlock (files)", "Linux 5.13"),
        ({**REPORT, "seccomp": False}, "seccomp (system calls)", "CONFIG_SECCOMP_FILTER"),
        ({**REPORT, "uid": os.getuid()}, "a user of its own", "run the grader as root"),
        ({"failure": "no torch", "tried": {}}, "a locked worker starts", "make demo"),
        ({**REPORT, "tried": {"import sympy": "allowed"}}, "cannot import sympy", "uninstall"),
        ({**REPORT, "tried": {"read x": "allowed"}}, "cannot read x", "move that file"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_the_doctor_says_what_to_do(report: dict[str, Any], missing: str, advice: str) -> None:
    rows: dict[str, Finding] = {row.protection: row for row in findings(report)}
    assert not rows[missing].holds and advice in rows[missing].advice


ORDINARY = """
import json, os, sys
from pathlib import Path
from autograder.sandbox import Sandbox
code = "import os, resource as r\\ndef f(): return [os.getuid(), r.getrlimit(r.RLIMIT_NPROC)[0]]"
cell = {"cell_type": "code", "metadata": {}, "source": code}
with Sandbox(Path(sys.argv[1])) as sandbox:
    worker = sandbox.worker()
    worker.load(json.dumps({"cells": [cell], "nbformat": 4}).encode(), None)
    uid, processes = worker.call("f")
    assert processes != 256, "this limit counts all that the user runs, not only the worker"
    runner = sandbox.runner()
    from tinyflow import ops
    from tinyflow.ir import Graph
    total = runner.run(Graph((ops.reduce_sum(ops.ones(shape=(3,))),)), {})[0]
print(json.dumps([sandbox.isolation["grade"], os.getuid(), uid, float(total)]))
"""


def test_an_ordinary_user_gets_kernel_isolation(engine: Path) -> None:
    """As root, become somebody else first; Python may be installed where only root can look."""
    uid = 54_321 if os.getuid() == 0 else os.getuid()
    root = Path(autograder.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", ORDINARY, str(engine)],
        env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "PYTHONPATH": str(root)},
        preexec_fn=(lambda: become(uid)) if os.getuid() == 0 else None,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["kernel", uid, uid, 3.0]


def test_a_user_that_cannot_be_changed_is_told_with_advice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(groups: list[int]) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setgroups", refuse)
    with pytest.raises(OSError, match="cannot become user 61200.*as an ordinary user"):
        become_user(61_200)
