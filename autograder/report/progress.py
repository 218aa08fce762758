"""A progress bar with one line per phase. Layer: report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

__all__ = ["progress"]


@contextmanager
def progress(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Show phases as they come; yields ``step(phase, done, total)``."""
    columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as bars:
        rows: dict[str, TaskID] = {}

        def step(phase: str, done: int, total: int) -> None:
            if phase not in rows:
                rows[phase] = bars.add_task(phase, total=None)
            bars.update(rows[phase], completed=done, total=total)

        yield step
