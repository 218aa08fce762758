"""What a graded notebook must not have told: to nobody a secret, to the student no hidden test."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

from autograder.grading.marks import Mark
from autograder.grading.rebuild import read_skeleton, rebuild
from autograder.intake import parse_cells
from autograder.outcome import Outcome
from autograder.report.feedback import Sheet, feedback_page
from tests.hostile.rules import COURSE, SAID
from tests.hostile.world import HOMEWORK, ROOT

SECRETS = ("canary-of", "Hidden tests of", "### BEGIN SOLUTION")
SAFE_TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "section", "div"),
    *("span", "h1", "h2", "b", "i", "ul", "li", "details", "summary", "pre"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


def told_nothing(notebook: bytes, outcome: Outcome, found: Mark) -> None:
    """No secret anywhere; to the student no word of hidden tests, and none that the code chose."""
    said = json.dumps([outcome.output_tail, outcome.notes, [t.detail for t in outcome.tests]])
    assert not [word for word in SECRETS if word in said], outcome.output_tail
    page = page_of(notebook, found)
    assert SAID not in page
    assert_harmless(page)
    for test in outcome.tests:
        assert test.test.partition("::")[2].partition("[")[0] not in page
        first_line = test.detail.partition("\n")[0]
        assert len(first_line) < 20 or first_line not in page
        assert test.line is None or re.fullmatch(r"cell \d+, line \d+", test.line)


def page_of(notebook: bytes, found: Mark) -> str:
    """The feedback page that the student would get."""
    skeleton = read_skeleton(ROOT / "assignments" / HOMEWORK / f"{HOMEWORK}.ipynb")
    shown = rebuild(skeleton, parse_cells(notebook))
    judged = replace(COURSE, tasks=tuple(entry.task for entry in found.tasks))
    return feedback_page(Sheet(judged, found, shown))


def assert_harmless(page: str) -> None:
    """Only our tags, no address, no handler, no character that a terminal would obey."""
    seen: list[tuple[str, str]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.extend((tag, name) for name, _ in [("", ""), *attrs])

    Reader().feed(page)
    assert {tag for tag, _ in seen} <= SAFE_TAGS
    names = {name for _, name in seen}
    assert not [n for n in names if n.startswith("on") or n in ("src", "href", "srcdoc", "action")]
    assert "default-src 'none'" in page.partition("<body>")[0]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page)
