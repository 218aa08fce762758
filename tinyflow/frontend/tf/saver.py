"""``tf.train.Saver``: variables to a file and back. Layer: frontend."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from tinyflow.errors import DTypeError, GraphError, RunError, ShapeError
from tinyflow.frontend.tf.scope import current_scope
from tinyflow.frontend.tf.tensor import Variable
from tinyflow.ir import Node
from tinyflow.runtime.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from tinyflow.runtime.session import Session
from tinyflow.types import show_shape, unify_shape

__all__ = ["Saver", "check_fits"]

VarList = Iterable[Variable] | Mapping[str, Variable]  # the names are those in the file


class Saver:
    """Saves and restores ``var_list``, or all variables that the graph has when it is called.

    With all variables the random counter goes along: training goes on as if nothing had happened.
    With some, only their contents change. Files are ``.npz`` without pickled objects. Of those that
    one saver wrote, the last ``max_to_keep`` stay (None or 0: all); older ones are deleted.
    A dict says under which name the file has each variable: ``{"w": variable}``.

    Raises GraphError for anything else, and for a variable under two names.
    """

    def __init__(self, var_list: VarList | None = None, max_to_keep: int | None = 5) -> None:
        self._max_to_keep, self.last_checkpoints = max_to_keep, list[str]()
        self._nodes = None if var_list is None else _by_name(var_list)

    def save(self, sess: Session, save_path: str, global_step: int | Variable | None = None) -> str:
        """Write one file and return its path: ``save_path``, with ``-<global_step>`` if given.

        ``last_checkpoints`` then lists the files of this saver, the oldest first.

        Raises RunError if a variable is not initialised or the place cannot be written.
        """
        if isinstance(global_step, Variable):
            global_step = int(sess.variable(global_step.name))
        path = save_path if global_step is None else f"{save_path}-{int(global_step)}"
        saved = sess.checkpoint()
        in_file = {node.name or "": name for name, node in self._variables().items()}
        for name in in_file:
            if name not in saved.arrays:
                sess.variable(name)  # says that it is not initialised
        write_checkpoint(path, _renamed(saved, in_file))
        written = [*(other for other in self.last_checkpoints if other != path), path]
        for old in written[: -self._max_to_keep] if self._max_to_keep else ():
            Path(old).unlink(missing_ok=True)
        self.last_checkpoints = written[-(self._max_to_keep or 0) :]
        return path

    def restore(self, sess: Session, save_path: str | os.PathLike[str]) -> None:
        """Set the variables to what the file holds; they need not be initialised before.

        Raises RunError for a missing file or variable, ShapeError or DTypeError for a variable
        that does not fit, GraphError for a file that is no checkpoint; nothing is changed then.
        """
        saved = read_checkpoint(save_path)
        whole, variables = self._nodes is None, self._variables()
        chosen = saved.only(list(variables))
        check_fits(saved if whole else chosen, variables)
        in_graph = {name: node.name or "" for name, node in variables.items()}
        sess.resume(_renamed(chosen, in_graph), whole=whole)

    def _variables(self) -> dict[str, Node]:
        return current_scope().variables() if self._nodes is None else self._nodes


def _by_name(var_list: VarList) -> dict[str, Node]:
    """Variables by their names in the file."""
    if not isinstance(var_list, Mapping):
        several = var_list if isinstance(var_list, Iterable) else [var_list]
        var_list = {getattr(variable, "name", ""): variable for variable in several}
    variables = [v for v in var_list.values() if isinstance(v, Variable)]
    if len({v.value.node for v in variables}) < len(var_list):
        expected = "variables, or a dict of names in the file to variables, each once"
        raise GraphError("cannot save this", got=repr(var_list)[:80], expected=expected)
    return {name: v.value.node for name, v in var_list.items()}


def _renamed(saved: Checkpoint, names: Mapping[str, str]) -> Checkpoint:
    """The variables of a checkpoint that ``names`` has, under the names that it gives them."""
    arrays = {new: saved.arrays[old] for old, new in names.items()}
    return replace(saved, arrays=arrays, dtypes={names[old]: saved.dtypes[old] for old in names})


def check_fits(saved: Checkpoint, variables: Mapping[str, Node]) -> None:
    """Raise RunError, ShapeError or DTypeError if a saved variable is not one of these."""
    for name, array in saved.arrays.items():
        node = variables.get(name)
        if node is None:
            what = f"the graph has no variable '{name}' as the checkpoint has"
            fix = "Build the graph that was saved, or choose: tf.train.Saver(var_list)."
            raise RunError(what, got=f"variables: {', '.join(variables) or 'none'}", fix=fix)
        _check_one(node, array.shape, saved.dtypes[name])


def _check_one(node: Node, shape: tuple[int, ...], dtype: object) -> None:
    declared = node.attrs["shape"]
    try:
        unify_shape(declared, shape)
    except ShapeError:
        got, expected = show_shape(shape), show_shape(declared)
        what = "the saved content has the wrong shape"
        raise ShapeError(what, node=node, got=got, expected=expected) from None
    if dtype is not node.attrs["dtype"]:
        what = "the saved content has the wrong dtype"
        raise DTypeError(what, node=node, got=dtype, expected=node.attrs["dtype"])
