"""Ways in which a right notebook looks odd: each must keep full marks. Layer: demonstration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["UNTIDY", "Untidy", "code_cell", "source_of", "text_cell"]

Notebook = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Untidy:
    """One habit: what the notebook looks like, and the edit that makes a solved one so."""

    title: str
    edit: Callable[[Notebook], None]


def code_cell(source: str, name: str) -> Notebook:
    """A code cell as a student adds it: no marks, no outputs."""
    return {
        "cell_type": "code",
        "id": name,
        "metadata": {},
        "execution_count": None,
        "outputs": [],
        "source": source,
    }


def text_cell(source: str, name: str) -> Notebook:
    """A markdown cell as a student adds it."""
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": source}


def source_of(cell: Notebook) -> str:
    """The source of a cell as one text."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def _place(notebook: Notebook, name: str) -> int:
    return next(i for i, cell in enumerate(notebook["cells"]) if cell["id"] == name)


def _before(task: str, *sources: str) -> Callable[[Notebook], None]:
    def edit(notebook: Notebook) -> None:
        at = _place(notebook, f"solution-{task}")
        notebook["cells"][at:at] = [code_cell(s, f"mine-{n}") for n, s in enumerate(sources)]

    return edit


def _helper_cell(notebook: Notebook) -> None:
    helper = "def scaled(dy, other, like):\n    return ops.sum_like(ops.mul(other, dy), like)"
    _before("mul_adjoint", helper)(notebook)
    cell = notebook["cells"][_place(notebook, "solution-mul_adjoint")]
    cell["source"] = (
        "def mul_adjoint(node, dy):\n    x, y = node.inputs\n"
        "    return scaled(dy, y, x), scaled(dy, x, y)\n"
    )


def _first_try_left_in(notebook: Notebook) -> None:
    old = "def relu_adjoint(node, dy):\n    return dy,  # first try, wrong"
    _before("relu_adjoint", old, "print(relu_adjoint)")(notebook)


def _outputs_left_in(notebook: Notebook) -> None:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            warning = {"output_type": "stream", "name": "stderr", "text": "UserWarning: slow\n"}
            cell["outputs"], cell["execution_count"] = [warning] * 3, 7


def _locked_cells_deleted(notebook: Notebook) -> None:
    gone = ("score-", "check-", "setup", "demo")
    notebook["cells"] = [c for c in notebook["cells"] if not c["id"].startswith(gone)]


def _windows_lines(notebook: Notebook) -> None:
    for cell in notebook["cells"]:
        cell["source"] = source_of(cell).replace("\n", "\r\n")


def _old_format(notebook: Notebook) -> None:
    notebook["nbformat_minor"] = 4
    for cell in notebook["cells"]:
        del cell["id"]
        cell["source"] = source_of(cell).splitlines(keepends=True)


def _in_reverse(notebook: Notebook) -> None:
    """Solutions from last to first: nothing at the top of one may need another."""
    places = [i for i, c in enumerate(notebook["cells"]) if c["id"].startswith("solution-")]
    cells = [notebook["cells"][i] for i in reversed(places)]
    for place, cell in zip(places, cells):
        notebook["cells"][place] = cell


_MAGICS = (
    "%matplotlib inline\n%load_ext autoreload\n%autoreload 2",
    "!pip install -q torch\n!nvidia-smi",
    "%%time\ntotal = sum(range(1000))\ntotal",
)
_PLOTS = (
    "import matplotlib.pyplot as plt\nimport seaborn as sns",
    "fig, ax = plt.subplots(figsize=(4, 3))\nax.plot([1, 2, 3], [3, 1, 2])\nplt.show()",
)
_TRAINING = (
    "rng = np.random.default_rng(0)\nx = rng.normal(size=(200, 5))\nw = np.zeros(5)",
    "for step in range(300):\n    w -= 0.01 * x.T @ (x @ w - x.sum(1)) / 200\nprint(w)",
    "losses = train('mine', step, my_loss, accuracy, images, labels, steps=10_000)",
)
_COLAB = (
    "from google.colab import drive\ndrive.mount('/content/drive')",
    "import IPython.display as show\nshow.display(show.HTML('<b>hello</b>'))",
)
_SCRATCH = (
    "1 / 0",
    "my_favourite_op(",
    "import pandas_profiling",
    "print('debug ' * 2000)",
)
_CHECKS = (
    "def numeric(f, x, h=1e-6):\n    return (f(x + h) - f(x - h)) / (2 * h)\nnumeric(np.tanh, 0.3)",
    "assert abs(numeric(np.tanh, 0.0) - 1) < 1e-6",
)

UNTIDY = (
    Untidy("tidy: the solved notebook as it is", lambda notebook: None),
    Untidy("a helper in a cell of its own", _helper_cell),
    Untidy("magics and shell commands", _before("mul_adjoint", *_MAGICS)),
    Untidy("plots everywhere", _before("gradient", *_PLOTS)),
    Untidy("training cells, one of them broken", _before("gradient", *_TRAINING)),
    Untidy("written in Colab", _before("mul_adjoint", *_COLAB)),
    Untidy("scratch cells that fail", _before("tanh_adjoint", *_SCRATCH)),
    Untidy("own numerical checks", _before("tanh_adjoint", *_CHECKS)),
    Untidy("a wrong first try above the right one", _first_try_left_in),
    Untidy("outputs and warnings left in", _outputs_left_in),
    Untidy("locked cells deleted", _locked_cells_deleted),
    Untidy("Windows line endings", _windows_lines),
    Untidy("an older notebook format without cell ids", _old_format),
    Untidy("solutions in reverse order", _in_reverse),
)
