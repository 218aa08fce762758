"""TensorFlow 1's arguments: order, other names, those that change nothing. Layer: frontend.

A function of TinyFlow has the arguments that it needs. ``signatures.txt`` lists those that
TensorFlow documents and what each is here; ``spell`` lets scripts call the functions with them.
"""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Iterable, Mapping
from functools import reduce, wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tinyflow.errors import GraphError
from tinyflow.ir.node import user_line

__all__ = ["spell"]


def spell(module: ModuleType) -> None:
    """Put the functions and methods that the table names in front of those that they stand for."""
    idle: set[str] = set()
    for line in Path(__file__).with_name("signatures.txt").read_text().splitlines():
        paths, _, words = line.partition(" | ")
        if paths == "idle":
            idle = set(words.split())
        elif words:
            for path in paths.split():
                *holders, name = path.split(".")
                holder: Any = reduce(getattr, holders, module)
                setattr(holder, name, _takes(getattr(holder, name), words, idle))


def _takes(f: Any, words: str, idle: set[str]) -> Any:
    """The function, or class, with these arguments.

    It raises GraphError for a value that is not supported, and for arguments that are missing,
    given twice or do not exist.
    """
    if isinstance(f, type):
        made: Any = f
        made.__init__ = _takes(made.__init__, f"self {words}", idle)
        return made
    own_names, fixed, own = {}, {}, signature(f).parameters
    for word in words.split():
        name, _, default = word.partition("=")
        name, _, own_name = name.partition(":")
        own_names[name], fixed[name] = own_name or name, literal_eval(default or "None")
    required = [name for name, way in own.items() if way.default is way.empty]

    @wraps(f)
    def call(*args: Any, **options: Any) -> Any:
        called, given = call.__qualname__.removesuffix(".__init__"), dict[str, tuple[str, Any]]()
        if len(args) > len(own_names):
            raise _wrong(f"too many arguments for {called}", len(args), _listed(own_names))
        for word, value in [*zip(own_names, args), *options.items()]:
            name = own_names.get(word, word)
            if name in own:
                _give(called, given, word, name, value, name in required)
            elif word not in own_names:
                what, known = f"{called} has no argument '{word}'", _listed([*own_names, *own])
                raise _wrong(what, repr(value)[:80], known)
            elif word not in idle and not _left_alone(value, fixed[word]):
                what, expected = f"{called}: {word} is not supported", repr(fixed[word])
                raise _wrong(what, repr(value)[:80], expected)
        if missing := [name for name in required if name not in given]:
            raise _wrong(f"{called} needs more arguments", _listed(given), _listed(missing))
        return f(**{name: value for name, (_, value) in given.items()})

    call.__signature__ = _signature(own, own_names, fixed)  # type: ignore[attr-defined]
    return call


def _signature(
    own: Mapping[str, Parameter], names: Mapping[str, str], fixed: Mapping[str, Any]
) -> Signature:
    """What ``help`` shows: TensorFlow's arguments in its order, then by name what else there is."""
    shown, optional = [], False
    for word, name in names.items():
        default = own[name].default if name in own and word == name else fixed[word]
        required = name in own and own[name].default is Parameter.empty
        optional = optional or not required
        default = Parameter.empty if not optional else None if required else default
        shown.append(Parameter(word, Parameter.POSITIONAL_OR_KEYWORD, default=default))
    more = [way for name, way in own.items() if name not in (*names, *names.values())]
    return Signature([*shown, *[way.replace(kind=Parameter.KEYWORD_ONLY) for way in more]])


def _give(
    called: str, given: dict[str, tuple[str, Any]], word: str, name: str, value: Any, required: bool
) -> None:
    """Note what ``name`` is given as ``word``; None as another word leaves what there is."""
    first, other = given.get(name, (word, None))
    if value is not None and other is not None:
        what = f"{called}: {first} and {word} mean the same"
        raise _wrong(what, f"{other!r}, {value!r}"[:80], "one of them")
    if value is not None or (other is None and (word == name or required)):
        given[name] = word, value


def _left_alone(value: Any, fixed: Any) -> bool:
    """Whether an argument that cannot be changed is None, False, empty or what it always is."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, int | float | str):
        return value is False or bool(value == fixed)
    return value is None or (isinstance(value, list | tuple | dict) and not value)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(word for word in words if word != "self")) or "nothing"


def _wrong(what: str, got: object, expected: str) -> GraphError:
    return GraphError(what, node=user_line(), got=got, expected=expected)
