"""The frame of every page we write: one file, no script, no outside resource. Layer: report.

Everything that comes from a student passes ``text``, which escapes it and makes control characters
visible; the content-security policy is the second lock, not the first.
"""

from __future__ import annotations

import html
from functools import cache
from pathlib import Path

from autograder.grading.rebuild import clean
from autograder.outcome import State

__all__ = ["EXPLAINED", "badge", "page", "points", "text", "words"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'"

EXPLAINED = {
    State.PASSED: "right",
    State.FAILED: "gave a wrong result",
    State.ERROR: "raised an exception",
    State.TIMEOUT: "took too long and was stopped",
    State.OUT_OF_MEMORY: "used too much memory and was stopped",
    State.CRASHED: "ended its process",
    State.MALFORMED: "did not return a valid answer",
    State.NOT_IMPLEMENTED: "is not implemented yet",
    State.GRADER_ERROR: "could not be judged; your instructor will look at it",
}


def text(value: str, limit: int = 2_000) -> str:
    """Escape ``value`` for HTML, control characters made visible, at most ``limit`` characters."""
    return html.escape(clean(value, limit))


def words(name: str) -> str:
    """A bucket or task name as words: "second_derivatives" -> "second derivatives"."""
    return text(name.replace("_", " ").replace("-", " "))


def points(value: float | None) -> str:
    """Points without trailing zeros; "held" where a human must decide."""
    return "held" if value is None else f"{round(value, 4):g}"


def badge(state: State) -> str:
    """A coloured label of a state."""
    return f'<span class="badge {state}">{words(state)}</span>'


@cache
def _style() -> str:
    return Path(__file__).with_name("style.css").read_text(encoding="utf-8")


def page(title: str, body: str, *, wide: bool = False) -> str:
    """A complete document around ``body``, which must be escaped already."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{text(title)}</title><style>{_style()}</style></head>"
        f'<body><main class="{"wide" if wide else "page"}">{body}</main></body></html>\n'
    )
