"""Bodies are found and removed by syntax tree; nothing else in a file changes."""

import ast
from pathlib import Path

import pytest

from autograder.authoring.body import BodyError, bound_names, find, free_names, remove

HERE = Path("file.py")


def test_a_function_is_taken_apart_after_its_docstring(course):
    function = find(course, "tinyflow.maths:double")
    assert function.head.endswith('Example: double(4) is 8.\n    """\n')
    assert function.body.startswith("    # the secret is to add")
    assert function.source in (course / "tinyflow/maths.py").read_text()


def test_removing_a_body_keeps_every_other_byte(course):
    source = (course / "tinyflow/maths.py").read_text()
    text, removed = remove(HERE, source, ["double"], "write it")
    body = find(course, "tinyflow.maths:double").body
    assert removed == [("double", body)]
    assert text == source.replace(body, "    raise NotImplementedError('write it')\n")


def test_every_function_and_method_of_a_module_can_be_emptied(course):
    text, removed = remove(HERE, (course / "tinyflow/later.py").read_text(), ["*"], "later")
    assert [name for name, _ in removed] == ["__init__", "quadruple"]
    assert "secret" not in text and '"""Three times x."""' in text
    ast.parse(text)


@pytest.mark.parametrize(
    "source",
    [
        "def f(x,\n      y=(1,\n         2)):  # why\n    # secret\n    return 1\n",
        "def f(x: dict[str, int] = {'a': 1}) -> 'int':\n\n    # secret\n    return 1\n",
        'def f():\n    "doc"\n    return 1  # secret',
        "def f():\n    def g():\n        return secret\n    return g\n",
    ],
)
def test_a_comment_or_inner_function_goes_with_the_body(source):
    text, _ = remove(HERE, source, ["f"], "later")
    assert "secret" not in text
    with pytest.raises(NotImplementedError, match="later"):
        space = {}
        exec(text, space)
        space["f"](*([1] if "x" in text else []))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def f(): return 1\n", "f: its body must start on a line of its own"),
        ('def f(): "doc"; return 1\n', "f: its body must start on a line of its own"),
        ("def g():\n    return 1\n", "no function 'f' at the top level"),
        ("def f(:\n", "file.py, line 1"),
    ],
)
def test_what_cannot_be_removed_is_named(source, words):
    with pytest.raises(BodyError, match=words):
        remove(HERE, source, ["f"], "later")


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("tinyflow.nothing:double", "no such module"),
        ("tinyflow.maths:triple", "no function 'triple'"),
        ("tinyflow.later:quadruple", "expected a plain function with a docstring"),
    ],
)
def test_what_cannot_be_found_is_named(course, function, words):
    with pytest.raises(BodyError, match=words):
        find(course, function)


def test_free_names_are_those_that_a_set_up_cell_must_bind():
    source = "def f(a: A, b=B):\n    c = len(a) + D\n    return [e for e in c if g(e)]\n"
    assert free_names(source) == {"A", "B", "D", "g"}
    assert bound_names("import a.b\nfrom c import d as e\nf = 1\ndef g(h): pass\n") == set("aefg")
