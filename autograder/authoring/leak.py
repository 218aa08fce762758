"""Refuse a release in which an answer or a hidden test can be found. Layer: authoring.

The scan knows nothing of how the release was made. It reads every file as text, as JSON, as
bytecode and as a zip of more files, and looks for what must not leave: bodies that were removed
from the engine, hidden tests, their hints and names, and paths of this machine.
"""

from __future__ import annotations

import ast
import io
import json
import re
import stat
import textwrap
import tokenize
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

from autograder.authoring.body import EVERY, module_path
from autograder.authoring.manifest import Homework, withheld_functions
from autograder.authoring.wheel import strip_engine

__all__ = ["LeakError", "Secret", "collect_secrets", "scan"]

MIN_LINE, MIN_TEXT, MIN_CODE_BYTES = 32, 16, 24  # shorter ones are no secrets but coincidences
MAX_DEPTH = 4  # zips within zips
_LINK = "a link, which may lead anywhere; put a file"
_COMPILED = re.compile(r"\.(pyc|pyo|so|pyd)$|__pycache__|\.ipynb_checkpoints")


class LeakError(ValueError):
    """The release holds what must not leave; the message lists the places."""


@dataclass(frozen=True, slots=True)
class Secret:
    """Something that must not be found: squeezed text, a whole word, or bytecode."""

    what: str
    text: str = ""
    word: str = ""
    code: bytes = b""

    def is_in(self, squeezed: str, words: frozenset[str], data: bytes) -> bool:
        """Whether a file with this content gives the secret away."""
        return bool(
            (self.text and self.text in squeezed)
            or (self.word and self.word in words)
            or (self.code and self.code in data)
        )


def collect_secrets(homework: Homework, root: Path) -> tuple[Secret, ...]:
    """Everything that a release of ``homework`` must not contain, from the course at ``root``."""
    engine = strip_engine(homework, root)
    sources = [data.decode() for name, data in engine.files.items() if name.endswith(".py")]
    for path in sorted((root / "course" / "public" / homework.id).glob("*.py")):
        sources.append(path.read_text(encoding="utf-8"))
    public = squeeze("\n".join(map(_code_text, sources)))
    secrets = [Secret(f"a path of this machine ({root})", text=squeeze(str(root.resolve())))]
    for function, body in engine.removed:
        secrets += _text_secrets(f"the body of {function}", body, public)
    for function in withheld_functions(root, homework):
        secrets += _code_secrets(root, function)
    for path in sorted((root / "autograder" / "suites" / homework.id).rglob("*.py")):
        secrets += _suite_secrets(path, public)
    return tuple(dict.fromkeys(secrets))


def scan(folder: Path, secrets: tuple[Secret, ...]) -> Iterator[str]:
    """Look through every file below ``folder``; yields findings "place: what" in order of place.

    A place is a path below ``folder``, and of an entry of a zip ``a.whl!entry``.
    """
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder).as_posix()
        if path.is_symlink():
            yield f"{place}: {_LINK}"
        elif path.is_file():
            yield from _scan_bytes(place, path.read_bytes(), secrets, MAX_DEPTH)


def squeeze(text: str) -> str:
    """Lower-case text without white space, quotes and backslashes: layout does not matter."""
    return re.sub(r"[\s\\\"']+", "", text).lower()


def _scan_bytes(place: str, data: bytes, secrets: tuple[Secret, ...], depth: int) -> Iterator[str]:
    """Findings in one file; ``depth`` zips may still be opened."""
    if _COMPILED.search(place):
        yield f"{place}: compiled or cached code; a release holds sources only"
    text = "\n".join([place, data.decode("utf-8", "replace"), *_strings(data)])
    squeezed, words = squeeze(text), frozenset(re.findall(r"\w+", text))
    for secret in secrets:
        if secret.is_in(squeezed, words, data):
            yield f"{place}: {secret.what}"
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return
    if depth == 0:
        yield f"{place}: zips nested more than {MAX_DEPTH} deep"
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for entry in archive.infolist():
            inner = f"{place}!{entry.filename}"
            if stat.S_ISLNK(entry.external_attr >> 16):
                yield f"{inner}: {_LINK}"
            yield from _scan_bytes(inner, archive.read(entry), secrets, depth - 1)


def _strings(data: bytes) -> Iterator[str]:
    """All strings and keys of a JSON file, unescaped: sources, outputs and metadata alike."""
    try:
        stack = [json.loads(data)]
    except (ValueError, RecursionError):
        return
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack += [*reversed(item.values()), *item.keys()]
        elif isinstance(item, list):
            stack += reversed(item)
        elif isinstance(item, str):
            yield item


def _text_secrets(what: str, body: str, public: str) -> Iterator[Secret]:
    """The whole body, and each long line of it that is not public code elsewhere too."""
    lines = [squeeze(line) for line in _code_text(textwrap.dedent(body)).splitlines()]
    whole = "".join(lines)
    if len(whole) >= MIN_LINE or (len(whole) >= MIN_TEXT and whole not in public):
        yield Secret(what, text=whole)
    for line in lines:
        if len(line) >= MIN_LINE and line not in public:
            yield Secret(what, text=line)


def _code_secrets(root: Path, function: str) -> Iterator[Secret]:
    """The bytecode of a withheld function, as the running interpreter compiles it."""
    module, _, name = function.partition(":")
    path = module_path(root, module)
    stack = [compile(path.read_text(encoding="utf-8"), module, "exec", dont_inherit=True)]
    while stack:
        code = stack.pop()
        stack += [item for item in code.co_consts if isinstance(item, CodeType)]
        chosen = name in (code.co_name, EVERY) and code.co_name.isidentifier()
        if chosen and len(code.co_code) >= MIN_CODE_BYTES:
            yield Secret(f"bytecode of {module}:{code.co_name}", code=code.co_code)


def _suite_secrets(path: Path, public: str) -> Iterator[Secret]:
    """Name of a file of hidden tests, and names, hints and bodies of the tests in it."""
    source = path.read_text(encoding="utf-8")
    if path.stem.startswith("test_"):
        yield Secret(f"the name of the hidden suite {path.name}", word=path.stem)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            if node.name.startswith("test_"):
                yield Secret(f"the name of the hidden test {node.name}", word=node.name)
            body = "\n".join(map(ast.unparse, node.body))
            yield from _text_secrets(f"{node.name} of {path.name}", body, public)
        if isinstance(node, ast.keyword) and node.arg == "hint":
            for part in ast.walk(node.value):
                if isinstance(part, ast.Constant) and len(squeeze(str(part.value))) >= MIN_TEXT:
                    yield Secret(f"a hint of {path.name}", text=squeeze(str(part.value)))


def _code_text(source: str) -> str:
    """Source without comments and docstrings: what may be repeated because it is public code."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            for row in range(body[0].lineno - 1, body[0].end_lineno or 0):
                lines[row] = ""
    return "\n".join(lines)
