"""A leak planted anywhere in a release is found, and a clean release has none."""

import importlib.util
import io
import json
import marshal
import zipfile

import pytest

from autograder.authoring.body import find
from autograder.authoring.build import build
from autograder.authoring.leak import collect_secrets, scan
from autograder.authoring.manifest import load_homework
from autograder.authoring.release import released_files
from autograder.authoring.wheel import pack

HW = "hw2_second"
NOTEBOOK, WHEEL = f"{HW}.ipynb", "tinyflow-0.1.0+hw2-py3-none-any.whl"


@pytest.fixture
def released(course, tmp_path):
    """Folder of a clean release."""
    build(course, HW)
    for name, content in released_files(course, load_homework(course, HW)).items():
        path = tmp_path / "release" / name.partition("/")[2]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "release"


def leaks(course, folder):
    return [str(leak) for leak in scan(folder, collect_secrets(load_homework(course, HW), course))]


def body(course):
    return find(course, "tinyflow.maths:double").body


def change_notebook(folder, change):
    path = folder / NOTEBOOK
    notebook = json.loads(path.read_text())
    change(notebook)
    path.write_text(json.dumps(notebook))


def test_a_clean_release_has_no_leak(course, released):
    assert leaks(course, released) == []


def test_a_body_in_bytecode_is_found(course, released):
    source = (course / "tinyflow/maths.py").read_text()
    code = compile(source, "maths.py", "exec", dont_inherit=True)
    header = importlib.util.MAGIC_NUMBER + bytes(12)
    (released / "maths.cpython-311.pyc").write_bytes(header + marshal.dumps(code))
    (released / "innocent.bin").write_bytes(marshal.dumps(code))
    found = leaks(course, released)
    assert "innocent.bin: bytecode of tinyflow.maths:double" in found
    assert "maths.cpython-311.pyc: bytecode of tinyflow.maths:double" in found
    assert any("maths.cpython-311.pyc: compiled or cached code" in leak for leak in found)


def test_a_body_in_an_output_of_the_notebook_is_found(course, released):
    def change(notebook):
        text = [line + "\n" for line in body(course).splitlines()]
        output = {"output_type": "stream", "name": "stdout", "text": text}
        notebook["cells"][-1]["outputs"] = [output]

    change_notebook(released, change)
    assert f"{NOTEBOOK}: the body of tinyflow.maths:double" in leaks(course, released)


def test_a_body_in_metadata_is_found(course, released):
    change_notebook(released, lambda nb: nb["metadata"].update(key={"deep": [body(course)]}))
    assert leaks(course, released) == [f"{NOTEBOOK}: the body of tinyflow.maths:double"] * len(
        leaks(course, released)
    )
    assert leaks(course, released)


def test_one_line_of_a_body_in_the_text_is_found(course, released):
    line = "Try `raise ValueError( 'too large to be doubled in this house' )`."
    change_notebook(released, lambda nb: nb["cells"][0].update(source=[line]))
    assert leaks(course, released) == [f"{NOTEBOOK}: the body of tinyflow.maths:double"]


def test_a_body_in_a_docstring_of_the_engine_is_found(course, edit, tmp_path):
    edit("tinyflow/maths.py", '"""Numbers."""', f'"""Numbers.\n\n{body(course)}\n"""')
    build(course, HW)
    files = released_files(course, load_homework(course, HW))
    (tmp_path / "release.zip").write_bytes(pack(files))
    (tmp_path / "only").mkdir()
    (tmp_path / "release.zip").rename(tmp_path / "only/release.zip")
    place = f"release.zip!{HW}/{WHEEL}!tinyflow/maths.py"
    assert f"{place}: the body of tinyflow.maths:double" in leaks(course, tmp_path / "only")


def test_a_body_that_a_kept_copy_of_the_function_holds_is_found(course, edit, released):
    copy = find(course, "tinyflow.maths:double").source.replace("def double", "def backup")
    (course / "tinyflow/backup.py").write_text(copy)
    files = released_files(course, load_homework(course, HW))
    (released / WHEEL).write_bytes(files[f"{HW}/{WHEEL}"])
    found = leaks(course, released)
    assert f"{WHEEL}!tinyflow/backup.py: the body of tinyflow.maths:double" in found


def test_a_stray_file_with_an_answer_is_found_however_it_is_laid_out(course, released):
    squeezed = "".join(line.strip() + ";" for line in body(course).splitlines()[-2:])
    (released / "my notes.txt").write_text(squeezed)
    text = " \\\n".join(body(course).split())
    (released / "wrapped.txt").write_text(text)
    assert {leak.partition(":")[0] for leak in leaks(course, released)} >= {"wrapped.txt"}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("see test_secret_suite.py", "the name of the hidden suite"),
        ("def test_negative_numbers_are_hidden(): pass", "the name of the hidden test"),
        ("Have you thought about\nnumbers below zero?", "a hint of test_secret_suite.py"),
        ("value_nobody_knows = -rng.integers(3, 9)", "test_negative_numbers_are_hidden of"),
        ("self.secret_of_the_third = x * 3 + 0 * 12345", "the body of tinyflow.later:__init__"),
    ],
)
def test_hidden_tests_hints_names_and_later_bodies_are_found(course, released, text, what):
    (released / "README.md").write_text(text)
    (leak,) = leaks(course, released)
    assert leak.startswith(f"README.md: {what}")


def test_a_path_of_this_machine_is_found(course, released):
    (released / "log.txt").write_text(f"File {course}/tinyflow/maths.py")
    assert "log.txt: a path of this machine" in leaks(course, released)[0]


def test_a_link_is_found_in_a_folder_and_in_a_zip(course, released):
    (released / "answers").symlink_to(course)
    entry = zipfile.ZipInfo("inner link")
    entry.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    (released / "more.zip").write_bytes(buffer.getvalue())
    found = leaks(course, released)
    assert [leak.partition(",")[0] for leak in found] == [
        "answers: a link",
        "more.zip!inner link: a link",
    ]


def test_zips_are_opened_and_endless_nesting_is_refused(course, released):
    content = pack({"a.txt": body(course).encode()})
    (released / "two.zip").write_bytes(pack({"inner.zip": content}))
    for _ in range(6):
        content = pack({"inner.zip": content})
    (released / "deep.zip").write_bytes(content)
    found = leaks(course, released)
    assert "two.zip!inner.zip!a.txt: the body of tinyflow.maths:double" in found
    assert any("zips nested more than 4 deep" in leak for leak in found)
