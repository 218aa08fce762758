"""One sandbox for all tests of this folder, and small notebooks to put into it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tinyflow
from autograder.sandbox import Limits, Sandbox, Worker

Load = Callable[..., Worker]


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a copy of the engine, as a release would."""
    folder = tmp_path_factory.mktemp("engine")
    source = Path(tinyflow.__file__).parent
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source, folder / "tinyflow", ignore=ignore)
    return folder


@pytest.fixture(scope="session")
def sandbox(engine: Path) -> Iterator[Sandbox]:
    """A sandbox with everything on."""
    with Sandbox(engine) as made:
        yield made


@pytest.fixture(scope="session")
def notebook() -> Callable[..., bytes]:
    """Make a notebook of code cells."""

    def make(*cells: str) -> bytes:
        listed = [{"cell_type": "code", "metadata": {}, "source": cell} for cell in cells]
        return json.dumps({"cells": listed, "nbformat": 4, "metadata": {}}).encode()

    return make


@pytest.fixture
def load(sandbox: Sandbox, notebook: Callable[..., bytes]) -> Iterator[Load]:
    """A fresh worker with these cells loaded; closed after the test."""
    workers: list[Worker] = []

    def make(*cells: str, limits: Limits | None = None) -> Worker:
        worker = sandbox.worker(limits)
        workers.append(worker)
        worker.load(notebook(*cells), None)
        return worker

    yield make
    for worker in workers:
        worker.close()
