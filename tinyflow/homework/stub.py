"""Stand-ins for plotting, display and Colab modules where none can run. Layer: homework.

A notebook that plots or mounts a Colab drive is still a good notebook. In a grader those modules
are absent, so imports of them yield objects that accept every call and do nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, MutableSequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType

__all__ = ["STUBBED", "Stub", "install_stubs", "remove_stubs"]

_PLOTS = {"altair", "bokeh", "graphviz", "matplotlib", "mpl_toolkits", "plotly", "seaborn"}
_SCREEN = {"IPython", "google", "ipywidgets", "tqdm"}  # google: google.colab
STUBBED = frozenset(_PLOTS | _SCREEN)
_UNPACKS_TO = {"plot": 1, "hist": 3}  # (line,) = plt.plot(x); n, bins, patches = plt.hist(x)


class Stub(ModuleType):
    """An object, and a module, that does nothing: attributes, calls and items are stubs too."""

    __path__: MutableSequence[str] = []  # noqa: RUF012  # makes it a package; never filled

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return Stub(f"{self.__name__}.{name}")

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Return a stub; a decorated function and what tqdm counts are handed back unchanged."""
        if args and (type(args[0]) is FunctionType or self.__name__.startswith("tqdm")):
            return args[0]
        return Stub(self.__name__)

    def __iter__(self) -> Iterator[object]:
        count = _UNPACKS_TO.get(self.__name__.rpartition(".")[2], 2)
        return iter([Stub(f"{self.__name__}.item") for _ in range(count)])

    def __getitem__(self, key: object) -> object:
        return Stub(f"{self.__name__}.item")

    def __setitem__(self, key: object, value: object) -> None:
        """Accept and forget, as in ``rcParams["figure.dpi"] = 120``."""

    def __enter__(self) -> object:
        return self

    def __exit__(self, *_: object) -> None:
        """Let exceptions of the block pass."""

    def __repr__(self) -> str:
        return f"<stand-in for {self.__name__}>"


class _StubFinder(MetaPathFinder, Loader):
    """Serve a stub for every module whose first name is in STUBBED and is not loaded already."""

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> ModuleSpec | None:
        """Return a spec for names that are stubbed, None for all others."""
        root = fullname.partition(".")[0]
        if root not in STUBBED or type(sys.modules.get(root, self)) not in {Stub, _StubFinder}:
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the stub that becomes the module."""
        return Stub(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: a stub has no body."""


_FINDER = _StubFinder()


def install_stubs() -> None:
    """Stub every import of a STUBBED module from now on; modules already imported stay as they are.

    Calling it twice is harmless. It lasts until ``remove_stubs``, because student functions may
    import when they are called.
    """
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def remove_stubs() -> None:
    """Undo ``install_stubs``: forget the stubs that were imported and find real modules again."""
    if _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)
    for name in [name for name, module in sys.modules.items() if type(module) is Stub]:
        del sys.modules[name]
