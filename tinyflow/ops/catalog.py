"""The catalog: every op under its name. Layer: ops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType

from tinyflow.errors import GraphError
from tinyflow.ir.op import Op

__all__ = ["Catalog", "catalog"]


class Catalog(Mapping[str, Op]):
    """Ops by name; a package outside adds its own with ``OPS.add(op)``."""

    def __init__(self) -> None:
        self._rows: dict[str, Op] = {}

    def add(self, op: Op) -> Op:
        """Add one op and return it; raises GraphError if the name is taken."""
        if self._rows.setdefault(op.name, op) is not op:
            raise GraphError(
                f"there is an op '{op.name}' already",
                expected="a new name",
                fix="Put the name of your package in front.",
            )
        return op

    def __getitem__(self, name: str) -> Op:
        """The op; raises KeyError (readers of graphs turn it into a GraphError with its place)."""
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def catalog(*modules: ModuleType) -> Catalog:
    """The catalog of all ops that ``modules`` export, in their order."""
    rows = Catalog()
    for module in modules:
        for name in module.__all__:
            if isinstance(op := getattr(module, name), Op):
                rows.add(op)
    return rows
