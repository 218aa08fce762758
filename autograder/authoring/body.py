"""Find, take and remove the bodies of functions, by syntax tree. Layer: authoring; runs nothing.

The reference body of a task exists once, in the engine. A solved notebook takes it, a release
removes it; signature, docstring and every other byte of the file stay as they are.
"""

from __future__ import annotations

import ast
import builtins
import symtable
import tokenize
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

__all__ = ["BodyError", "Function", "bound_names", "find", "free_names", "module_path", "remove"]

EVERY = "*"  # "module:*" names every function and method of a module


class BodyError(ValueError):
    """A function is missing or cannot be taken apart; the message names the file."""


@dataclass(frozen=True, slots=True)
class Function:
    """One function as text: ``head`` is signature and docstring, ``body`` the rest, dedented."""

    name: str
    head: str
    body: str

    @property
    def source(self) -> str:
        """The whole function."""
        return self.head + self.body


def module_path(root: Path, module: str) -> Path:
    """File of ``module`` below ``root``; raises BodyError if there is none."""
    base = root.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    raise BodyError(f"{base}.py: no such module; is the name in course/manifest.toml right?")


def find(root: Path, function: str) -> Function:
    """Return the function "module:name" of the engine at ``root``.

    Raises BodyError if it is missing, decorated, or has no docstring, which is its specification.
    """
    module, _, name = function.partition(":")
    path = module_path(root, module)
    source = path.read_text(encoding="utf-8")
    node = _functions(path, source, [name])[0]
    if node.decorator_list or ast.get_docstring(node) is None:
        raise BodyError(f"{path}: {name}: expected a plain function with a docstring")
    lines = source.splitlines(keepends=True)
    start, end = _body_lines(path, lines, node)
    return Function(name, "".join(lines[node.lineno - 1 : start]), "".join(lines[start:end]))


def remove(
    path: Path, source: str, names: Collection[str], reason: str
) -> tuple[str, list[tuple[str, str]]]:
    """Return ``source`` with the bodies of ``names`` gone, and what was removed: (name, body).

    ``names`` are top-level functions, or EVERY for all functions and methods. Each body becomes
    ``raise NotImplementedError(reason)``. Raises BodyError naming ``path`` if one is missing.
    """
    lines = source.splitlines(keepends=True)
    removed: list[tuple[str, str]] = []
    for node in reversed(
        _functions(path, source, names)
    ):  # from the end, so that line numbers stay true
        start, end = _body_lines(path, lines, node)
        removed.insert(0, (node.name, "".join(lines[start:end])))
        indent = " " * (node.col_offset + 4)
        lines[start:end] = [f"{indent}raise NotImplementedError({reason!r})\n"]
    return "".join(lines), removed


def bound_names(source: str) -> set[str]:
    """Names that the top level of ``source`` binds; nothing is run."""
    table = symtable.symtable(source, "<source>", "exec")
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}


def free_names(source: str) -> set[str]:
    """Names that ``source`` reads and that are neither its own nor built in."""
    names: set[str] = set()
    tables = [symtable.symtable(source, "<source>", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        symbols = (symbol for symbol in table.get_symbols() if symbol.is_referenced())
        names |= {s.get_name() for s in symbols if s.is_global() or table.get_type() == "module"}
    return {name for name in names - bound_names(source) if not hasattr(builtins, name)}


def _functions(path: Path, source: str, names: Collection[str]) -> list[ast.FunctionDef]:
    """Top-level functions called ``names``; with EVERY all of them and those of classes too."""
    try:
        nodes: list[ast.stmt] = ast.parse(source).body
    except SyntaxError as error:
        raise BodyError(f"{path}, line {error.lineno}: {error.msg}") from error
    every = EVERY in names
    if every:
        nodes = [n for top in nodes for n in (top.body if isinstance(top, ast.ClassDef) else [top])]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    if missing := set(names) - {node.name for node in functions} - {EVERY}:
        raise BodyError(f"{path}: no function {sorted(missing)[0]!r} at the top level of the file")
    return [node for node in functions if every or node.name in names]


def _body_lines(path: Path, lines: list[str], node: ast.FunctionDef) -> tuple[int, int]:
    """Half-open range of the lines (from 0) of a body; comments before its first line count."""
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None:
        start, rest = first.end_lineno or 0, node.body[1:]
    else:
        start, rest = _header_end(lines, node), node.body
    if rest and rest[0].lineno <= start:
        raise BodyError(f"{path}: {node.name}: its body must start on a line of its own")
    return start, node.end_lineno or 0


def _header_end(lines: list[str], node: ast.FunctionDef) -> int:
    """Number of the line on which ``def ...:`` ends."""
    tokens = tokenize.generate_tokens(iter(lines[node.lineno - 1 :]).__next__)
    ends = (token.end[0] for token in tokens if token.type == tokenize.NEWLINE)
    return node.lineno - 1 + next(ends)
