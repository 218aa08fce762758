"""What every group of measurements hands back: rows with limits, for the tables and for JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console

__all__ = ["Row", "as_json", "console", "machine", "number", "over", "verdict"]


@dataclass(frozen=True, slots=True)
class Row:
    """One measured number: smaller is better unless ``at_least``.

    ``value`` is None where nothing could be measured; ``limit`` None where nothing is promised.
    ``more`` holds what else was measured beside it.
    """

    group: str
    name: str
    value: float | None
    limit: float | None = None
    aim: float | None = None
    at_least: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def misses(self) -> bool:
        """True if there is a limit and the value is missing or beyond it."""
        if self.limit is None:
            return False
        if self.value is None:
            return True
        return self.value < self.limit if self.at_least else self.value > self.limit

    @property
    def reaches_aim(self) -> bool:
        """True if there is an aim and the value is as good."""
        if self.aim is None or self.value is None:
            return False
        return self.value >= self.aim if self.at_least else self.value <= self.aim


def verdict(row: Row, digits: int = 2) -> str:
    """The value for a table, coloured: red beyond the limit, green where the aim is reached."""
    text = number(row.value, digits)
    if row.misses:
        return f"[bold red]{text} over[/]"
    return f"[green]{text}[/]" if row.reaches_aim else text


def number(value: float | None, digits: int = 2) -> str:
    """``digits`` decimals for what is small, fewer for what is large; "-" for None."""
    if value is None:
        return "-"
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else digits}f}"


def over(rows: Iterable[Row]) -> list[str]:
    """A line for each row that misses its limit."""
    return [
        f"{row.group}: {row.name}: {number(row.value, 3)}, limit {number(row.limit)}"
        for row in rows
        if row.misses
    ]


def console() -> Console:
    """Where tables go: wide enough for them if it is no terminal."""
    made = Console()
    return made if made.is_terminal else Console(width=160)


def machine() -> dict[str, Any]:
    """What the numbers were measured on; ``load`` is the mean of waiting jobs over a minute."""
    import torch

    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load": os.getloadavg()[0],
    }


def as_json(rows: Iterable[Row]) -> dict[str, Any]:
    """The content of the JSON file: the machine, and all rows."""
    return {"machine": machine(), "rows": [asdict(row) | {"misses": row.misses} for row in rows]}
