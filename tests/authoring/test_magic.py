"""Cells become plain Python the way IPython makes them, minus everything that would run."""

import ast
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from tinyflow.homework import transform

CELLS = {
    "plain": "x = 1\ny = x % 2\n",
    "modulo on the next line": "x = (7\n     % 4)\n",
    "modulo after a backslash": "x = 7 \\\n% 4\n",
    "line magic": "%matplotlib inline\nx = 1\n",
    "indented magic": "if True:\n    %load_ext autoreload\n    x = 1\n",
    "only a magic in a block": "def f():\n    !ls\n\nx = f()\n",
    "shell": "!pip install torch\nx = 1\n",
    "shell with a quote": "!echo \"it's\nx = 1\n",
    "continued shell": "!pip install \\\n   torch \\\n   numpy\nx = 1\n",
    "shell at the end, continued": "x = 1\n!ls \\\n",
    "double shell": "!!ls\nx = 1",
    "shell assigned": "files = !ls -l\nx = 1",
    "shell assigned to an item": "d = {}\nd['a'] = !ls\n",
    "magic assigned": "v = %env HOME\nx = 1",
    "help": "?print\nx = 1",
    "help at the end": "print?\nlen??\nx = 1",
    "magic in a string": "s = '''\n%matplotlib inline\n!ls\n'''\nx = s\n",
    "magic in brackets": "s = [\n    '''\n!ls''',\n    5\n    % 3,\n]\n",
    "comment with a quote": "x = 1  # don't [\n%matplotlib inline\n",
    "comment with a question": "x = 1  # why?\n",
    "format strings": "a = f'{1}'\nb = '%s' % a\nc = \"a = %d\" % 3\n",
    "comparison": "x = 1\ny = x == 1 != 2\n",
    "default argument": "def f(a=1, b='%'):\n    return a\n",
    "prompts": ">>> x = 1\n>>> if x:\n...     y = 2\n",
    "indented cell": "    x = 1\n    y = 2\n",
    "windows line ends": "x = 1\r\n%matplotlib inline\r\ny = 2\r\n",
    "decorator": "@property\ndef f(self): pass\n",
    "empty": "",
    "blank": "\n\n",
    "html": "%%html\n<b>no</b> python [ here\n",
    "bash": "%%bash\nls 'unclosed\n",
    "cell magic after blank lines": "\n\n%%writefile a.py\nx = (\n",
    "unfinished string": "x = '''\n%time\n",
}


def harmless(tree: ast.Module) -> str:
    """Dump a tree in which every call of the shell has become ``pass`` or its stand-in."""

    def from_shell(node: ast.AST | None) -> bool:
        return isinstance(node, ast.Call) and "get_ipython" in ast.dump(node.func)

    class Strip(ast.NodeTransformer):
        def visit_Expr(self, node: ast.Expr) -> ast.stmt | None:
            return ast.Pass() if from_shell(node.value) else node

        def visit_Assign(self, node: ast.Assign) -> ast.Assign:
            if from_shell(node.value):
                captured = "getoutput" in ast.dump(node.value)
                node.value = ast.List([], ast.Load()) if captured else ast.Constant(None)
            return node

    return ast.dump(Strip().visit(tree))


def ipython(source: str) -> str | None:
    try:
        tree = ast.parse(TransformerManager().transform_cell(source))
    except SyntaxError:
        return None
    if "run_cell_magic" in ast.dump(tree):
        return ast.dump(ast.parse(""))
    return harmless(tree)


def ours(source: str) -> str | None:
    try:
        return harmless(ast.parse(transform(source)))
    except SyntaxError:
        return None


@pytest.mark.parametrize("source", CELLS.values(), ids=CELLS.keys())
def test_a_cell_means_what_ipython_makes_of_it(source):
    assert ours(source) == ipython(source)


LINES = st.sampled_from(
    [
        "x = 1",
        "%magic a",
        "!ls '",
        "y = !ls",
        "if x:",
        "    %m",
        "    z = (",
        ")",
        "'''",
        "a?",
        "s = '%d' % 3",
        "# it's",
        "% 4",
        "",
        "v = [1,",
        "]",
        "w = %env A",
        "b == 1",
    ]
)


@given(st.lists(LINES, max_size=6).map("\n".join))
def test_whatever_ipython_can_read_means_the_same_here(source):
    expected = ipython(source)
    if expected is not None and "%%" not in source:
        assert ours(source) == expected


@pytest.mark.parametrize("source", CELLS.values(), ids=CELLS.keys())
def test_a_line_keeps_its_number(source):
    if ours(source) is None or source.lstrip().startswith("%%"):
        return
    marked = textwrap.dedent(source) + "\nlast_line = 1"
    tree = ast.parse(transform(marked))
    assert tree.body[-1].lineno == len(marked.replace("\r\n", "\n").split("\n"))


def test_a_timed_statement_still_runs_and_a_timed_cell_too():
    space = {}
    exec(transform("%time y = 3\nz = %time y + 1\n"), space)
    exec(transform("\n%%time\nw = z + 1\n%timeit boom()\n"), space)
    assert (space["y"], space["z"], space["w"]) == (3, 4, 5)
