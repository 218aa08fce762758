"""The house rules that no reader should have to trust: layers, cycles, budgets, docstrings."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = (
    "errors", "types", "ir", "ops", "adjoints", "passes", "program", "codegen", "backends",
    "runtime", "frontend",
)  # fmt: skip
TOP = ("viz", "homework", "cli", "datasets", "__init__", "__main__")


def modules() -> list[Path]:
    return sorted((ROOT / "tinyflow").rglob("*.py"))


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Engine modules that a file imports, inside functions too; typing-only imports excepted."""
    tree = ast.parse(path.read_text())
    guarded = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names = {dotted(p) for p in modules()}
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in guarded:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in inner if name in names} or {node.module}
    return {name for name in found if name.startswith("tinyflow.") and name in names}


def layer(name: str) -> str:
    return name.split(".")[1] if "." in name else "__init__"


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_a_module_imports_only_from_layers_to_its_left(path: Path) -> None:
    mine = layer(dotted(path))
    if mine in TOP:
        return
    assert mine in LAYERS, f"{path} is in no layer"
    for name in imports(path):
        other = layer(name)
        assert other in LAYERS, f"{dotted(path)} imports {name} from the top"
        assert LAYERS.index(other) <= LAYERS.index(mine), f"{dotted(path)} imports {name}"


def test_no_import_cycles_within_the_engine() -> None:
    graph = {dotted(path): imports(path) for path in modules() if layer(dotted(path)) in LAYERS}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name in done:
            return
        for other in sorted(graph.get(name, ())):
            if other != name and not name.startswith(f"{other}."):  # a package holds its parts
                visit(other, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def parts(*names: str) -> tuple[str, ...]:
    return tuple(f"tinyflow/{name}" for name in names)


MACHINERY = parts("errors.py", "types.py", "ir", "passes", "program", "codegen", "runtime")
LIBRARY = parts("ops", "adjoints", "backends")
FACES = parts("frontend", "viz", "homework", "datasets", "cli.py", "__init__.py", "__main__.py")


def code_lines(source: str) -> int:
    """Lines that hold code: no blanks, comments or docstrings (nor ``doc=`` of ops)."""
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            if isinstance(node.value.value, str):
                docstrings |= set(range(node.lineno, (node.end_lineno or 0) + 1))
        if isinstance(node, ast.keyword) and node.arg == "doc":
            docstrings |= set(range(node.value.lineno, (node.value.end_lineno or 0) + 1))
    skip = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in skip and token.type != tokenize.ENDMARKER:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def total(*folders: str, without: str = "") -> int:
    skip = {"suites", "mutants", without}
    roots = [ROOT / folder for folder in folders]
    found = [p for root in roots for p in ([root] if root.is_file() else root.rglob("*.py"))]
    files = [path for path in found if not set(path.parts) & skip]
    return sum(code_lines(path.read_text()) for path in files)


@pytest.mark.parametrize(
    ("folders", "without", "budget"),
    [
        (parts("ir", "passes"), "", 1999),
        (MACHINERY, "", 6065),
        (LIBRARY, "", 5240),
        (FACES, "", 5235),
        (("autograder",), "demo", 6000),
        (("autograder/demo",), "", 500),
    ],
)
def test_line_budget(folders: tuple[str, ...], without: str, budget: int) -> None:
    assert total(*folders, without=without) <= budget


def test_every_part_of_the_engine_has_a_budget() -> None:
    found = {path.name for path in (ROOT / "tinyflow").iterdir() if path.name != "__pycache__"}
    budgeted = {name.removeprefix("tinyflow/") for name in (*MACHINERY, *LIBRARY, *FACES)}
    assert found - {"data", "py.typed"} == budgeted


def functions() -> list[tuple[str, ast.FunctionDef, str]]:
    found = []
    for folder in ("tinyflow", "autograder"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if {"suites", "mutants"} & set(path.parts):
                continue
            source = path.read_text()
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.FunctionDef):
                    found.append((f"{path.relative_to(ROOT)}:{node.name}", node, source))
    return found


def test_no_function_is_longer_than_forty_code_lines() -> None:
    long = []
    for name, node, source in functions():
        lines = source.splitlines()[node.lineno - 1 : node.end_lineno]
        indent = len(lines[0]) - len(lines[0].lstrip())
        count = code_lines("\n".join(line[indent:] for line in lines))
        if count > 40:
            long.append(f"{name} has {count}")
    assert not long, long


def test_every_public_function_and_class_has_a_docstring() -> None:
    missing = []
    for folder in ("tinyflow", "autograder"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if {"suites", "mutants"} & set(path.parts):
                continue
            tree = ast.parse(path.read_text())
            if not ast.get_docstring(tree):
                missing.append(str(path.relative_to(ROOT)))
            for node in tree.body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith(
                    "_"
                ):
                    if not ast.get_docstring(node):
                        missing.append(f"{path.relative_to(ROOT)}:{node.name}")
    assert not missing, missing
