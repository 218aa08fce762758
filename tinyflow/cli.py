"""`tinyflow`: look at ops and graphs from the command line. Layer: cli.

tinyflow inspect ops              every op with its inputs and first sentence
tinyflow inspect op exp           the row of exp, its rules, adjoint and kernels, where each is
tinyflow viz model.json -o g.svg  draw a graph saved as JSON; --memory, --launches: what it becomes
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

from tinyflow.adjoints import ADJOINTS, NoGradient
from tinyflow.backends.numpy_ import NUMPY
from tinyflow.backends.table import WITHOUT_KERNEL
from tinyflow.backends.torch_ import TORCH
from tinyflow.errors import GraphError, TinyflowError
from tinyflow.ir import Op
from tinyflow.ops import OPS
from tinyflow.viz.command import add_arguments

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, or 1 after an error message."""
    options = _parser().parse_args(arguments)
    try:
        for package in getattr(options, "packages", ()):
            importlib.import_module(package)
        for line in options.run(options):
            print(line)
    except (TinyflowError, OSError, UnicodeDecodeError, ImportError) as error:
        print(f"tinyflow: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "tinyflow", description="Look at the ops and graphs of the TinyFlow engine."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    look = commands.add_parser("inspect", help="show ops, with file and line of all their parts")
    what = look.add_subparsers(required=True, metavar="WHAT")
    several = what.add_parser("ops", help="list every op")
    one = what.add_parser("op", help="one op: row, rules, adjoint, kernels")
    one.add_argument("name", help="name of the op, for example exp")
    for command, run in ((several, _list_ops), (one, _show_op)):
        extra = "import a package first that adds ops (may be given several times)"
        command.add_argument("--import", dest="packages", action="append", default=[], help=extra)
        command.set_defaults(run=run)
    add_arguments(commands.add_parser("viz", help="draw a graph, its memory plan or its launches"))
    return parser


def _list_ops(options: argparse.Namespace) -> Iterator[str]:
    for op in OPS.values():
        call = f"{op.name}({', '.join([*op.inputs, *(f'{key}=' for key in op.attributes)])})"
        yield f"{call:<58} {_first_sentence(op.doc)}"


def _show_op(options: argparse.Namespace) -> Iterator[str]:
    if options.name not in OPS:
        fix = "'tinyflow inspect ops' lists them; --import a package that adds its own."
        raise GraphError("no such op", got=options.name, expected=f"one of {len(OPS)} ops", fix=fix)
    op = OPS[options.name]
    place, source = _definition(op)
    yield from (f"{op.name}  {place}", "", *(f"    {line}" for line in source.splitlines()), "")
    yield from (_row("shape rule", *_rule(op.shape)), _row("dtype rule", *_rule(op.dtype)))
    rule = ADJOINTS.get(op, NoGradient("no entry"))
    if isinstance(rule, NoGradient):
        yield _row("adjoint", f"none: {rule.reason}", _table_row(op, "tinyflow.adjoints")[0])
    else:
        yield _row("adjoint", *_rule(rule))
        yield _row("", _first_sentence(rule.__doc__ or ""), "")
    for table, module in ((NUMPY, "tinyflow.backends.numpy_"), (TORCH, "tinyflow.backends.torch_")):
        place, source = _table_row(op, module)
        name = source if op in table else f"none: {WITHOUT_KERNEL.get(op, 'no entry')}"
        yield _row(f"{table.name} kernel", name, place if op in table else "")


def _row(label: str, name: str, place: str) -> str:
    return f"  {label:<13} {name:<44}  {place}".rstrip()


def _rule(rule: object) -> tuple[str, str]:
    """(name, file:line) of a function, of an object with a name, or of the class of one without."""
    place, source = _definition(rule)
    if not place:
        return _rule(type(rule)) if not isinstance(rule, type) else (rule.__name__, "")
    return getattr(rule, "__name__", "") or source.partition(" = ")[0], place


def _first_sentence(doc: str) -> str:
    return " ".join(doc.split("\n\n")[0].split()).partition(". ")[0].rstrip(".")


def _definition(item: object) -> tuple[str, str]:
    """(file:line, source text) of a function, or of the assignment that made an object."""
    if inspect.isfunction(item):
        return _place(item.__code__.co_filename, item.__code__.co_firstlineno), ""
    if inspect.isclass(item):
        return _place(inspect.getsourcefile(item) or "?", inspect.getsourcelines(item)[1]), ""
    for module in list(sys.modules.values()):
        names = [name for name, value in vars(module).items() if value is item]
        for statement in _tree(module).body if names else ():
            target = statement.targets[0] if isinstance(statement, ast.Assign) else None
            if isinstance(target, ast.Name) and target.id in names:
                source = ast.get_source_segment(inspect.getsource(module), statement) or ""
                return _place(module.__file__ or "?", statement.lineno), source
    return "", ""


def _table_row(op: Op, package: str) -> tuple[str, str]:
    """(file:line, source text) of the entry for ``op`` in a table of a module of ``package``."""
    for name in sorted(name for name in sys.modules if name.startswith(package)):
        module = sys.modules[name]
        for table in ast.walk(_tree(module)):
            for key, value in zip(table.keys, table.values) if isinstance(table, ast.Dict) else ():
                if key and ast.unparse(key).rpartition(".")[2] in (op.name, op.name.upper()):
                    return _place(module.__file__ or "?", key.lineno), ast.unparse(value)
    return "", "added elsewhere"


@cache
def _tree(module: ModuleType) -> ast.Module:
    try:
        return ast.parse(inspect.getsource(module))
    except (OSError, TypeError):  # built in, or typed at a prompt
        return ast.Module([], [])


def _place(file: str, line: int) -> str:
    path = Path(file)
    home = Path(__file__).parent.parent
    return f"{path.relative_to(home) if path.is_relative_to(home) else path}:{line}"
