"""``tf.train.Saver``: variables to a file and back. Layer: frontend."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tinyflow.errors import DTypeError, RunError, ShapeError
from tinyflow.frontend.tf.scope import current_scope
from tinyflow.frontend.tf.tensor import Variable
from tinyflow.ir import Node
from tinyflow.runtime.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from tinyflow.runtime.session import Session
from tinyflow.types import show_shape, unify_shape

__all__ = ["Saver", "check_fits"]


class Saver:
    """Saves and restores ``var_list``, or all variables that the graph has when it is called.

    With all variables the random counter goes along: training goes on as if nothing had happened.
    With some, only their contents change. Files are ``.npz`` without pickled objects. Of those that
    one saver wrote, the last ``max_to_keep`` stay (None or 0: all); older ones are deleted.
    """

    def __init__(
        self, var_list: Sequence[Variable] | None = None, max_to_keep: int | None = 5
    ) -> None:
        self._max_to_keep, self.last_checkpoints = max_to_keep, list[str]()
        self._nodes = None if var_list is None else [v.value.node for v in var_list]

    def save(self, sess: Session, save_path: str, global_step: int | Variable | None = None) -> str:
        """Write one file and return its path: ``save_path``, with ``-<global_step>`` if given.

        ``last_checkpoints`` then lists the files of this saver, the oldest first.

        Raises RunError if a variable is not initialised or the place cannot be written.
        """
        if isinstance(global_step, Variable):
            global_step = int(sess.variable(global_step.name))
        path = save_path if global_step is None else f"{save_path}-{int(global_step)}"
        saved = sess.checkpoint()
        for name in self._variables():
            if name not in saved.arrays:
                sess.variable(name)  # says that it is not initialised
        write_checkpoint(path, saved.only(list(self._variables())))
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
        sess.resume(chosen, whole=whole)

    def _variables(self) -> dict[str, Node]:
        if self._nodes is None:
            return current_scope().variables()
        return {node.name or "": node for node in self._nodes}


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
