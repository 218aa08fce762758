r"""Turn a notebook cell into plain Python, with magics made harmless. Layer: homework.

IPython's own transformer turns ``%magic``, ``!shell`` and ``name?`` into calls of the running
shell. A grader has no shell and must not run one, so here they become ``pass``, and every other
line keeps its number. This is done the same way on every machine, with IPython installed or not;
a test compares the outcome with IPython's, cell by cell.

==========================  =================================================
written                     becomes
==========================  =================================================
``%matplotlib inline``      ``pass``
``%time y = f(x)``          ``y = f(x)``: the statement counts, its time does not
``!pip install it``         ``pass``; ``?`` and ``name?`` likewise
``files = !ls``             ``files = []``
``value = %env HOME``       ``value = None``
``%%time`` ``%%capture``    the cell without its first line
any other ``%%magic``       nothing: its body is not meant for Python
==========================  =================================================
"""

from __future__ import annotations

import re
import textwrap

__all__ = ["transform"]

BODY_IS_PYTHON = frozenset({"capture", "prun", "time"})

_CELL_MAGIC = re.compile(r"%%(\w*)[^\n]*")
_ESCAPE = re.compile(r"[ \t]*(?P<mark>[%!?,;/])(?P<rest>[^\n]*)")
_ASSIGN = re.compile(r"(?P<target>[^=\n#(]+=[ \t]*)(?P<mark>[%!])(?P<rest>[^\n]*)")
_RUN = re.compile(r"%?time[ \t]+(?P<statement>\S.*)")
_PROMPT = re.compile(r"^[ \t]*(?:>>>|\.\.\.)(?: |$)", re.MULTILINE)
# Strings first, so that no bracket, comment sign or magic inside one is taken for code.
_TOKEN = re.compile(
    r'''"""(?:\\.|[^\\])*?(?:"""|\Z)|\'\'\'(?:\\.|[^\\])*?(?:\'\'\'|\Z)'''
    r"""|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?"""
    r"""|(?P<comment>\#[^\n]*)|\\\n|(?P<newline>\n)|(?P<open>[(\[{])|(?P<close>[)\]}])"""
    r"""|[^\S\n]+|\w+|.""",
    re.DOTALL,
)


def transform(source: str) -> str:
    """Return ``source`` as plain Python with the same line numbers.

    Text that is not valid Python stays so: compiling the result raises the SyntaxError.
    """
    source = textwrap.dedent(source.replace("\r\n", "\n").replace("\r", "\n"))
    if re.match(r"\s*>>>", source):
        source = _PROMPT.sub("", source)
    start = len(source) - len(source.lstrip())
    magic = _CELL_MAGIC.match(source, start)
    if magic:
        if magic[1] not in BODY_IS_PYTHON:
            return ""
        source = source[: magic.start()] + source[magic.end() :]
    pieces: list[str] = []
    position = 0
    while position < len(source):
        line, position = _logical_line(source, position)
        pieces.append(line)
    return "".join(pieces)


def _logical_line(source: str, start: int) -> tuple[str, int]:
    """Return the statement that begins at ``start``, made harmless, and where the next begins."""
    escape = _ESCAPE.match(source, start) or _ASSIGN.match(source, start)
    if escape:
        end = escape.end()
        while source[end - 1] == "\\" and end < len(source):  # continued on the next line
            end = source.find("\n", end + 1) if "\n" in source[end + 1 :] else len(source)
        return _harmless(escape, source[start:end]), end
    depth, position, last = 0, start, ""
    while token := _TOKEN.match(source, position):
        position = token.end()
        kind = token.lastgroup
        if kind == "newline" and depth == 0:
            break
        depth += (kind == "open") - (kind == "close" and depth > 0)
        if kind not in {"comment", "newline"} and not token[0].isspace():
            last = token[0]
    if last == "?":  # name? and name??
        return _blank(source[start:position]), position
    return source[start:position], position


def _harmless(escape: re.Match[str], text: str) -> str:
    """Return what stands in for one magic or shell command."""
    lines = "\n" * text.count("\n")
    run = _RUN.match(escape["rest"]) if escape["mark"] == "%" else None
    if escape.re is _ASSIGN:
        value = f"({run['statement']})" if run else "[]" if escape["mark"] == "!" else "None"
        return escape["target"] + value + lines
    indent = text[: escape.start("mark") - escape.start()]
    if run and not lines:
        return indent + run["statement"]
    return indent + "pass" + lines


def _blank(text: str) -> str:
    """Return ``pass`` with the indentation and the line breaks of ``text``."""
    indent = text[: len(text) - len(text.lstrip(" \t"))]
    return indent + "pass" + "\n" * text.count("\n")
