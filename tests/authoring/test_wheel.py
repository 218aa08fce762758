"""The engine of a release: answers gone, everything else as it was, the same bytes every time."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from autograder.authoring.body import BodyError
from autograder.authoring.manifest import ManifestError, load_homework, withheld_functions
from autograder.authoring.wheel import build_engine, build_wheel, strip_engine

from .conftest import REPO


def test_this_and_later_homeworks_are_withheld_and_earlier_ones_are_not(course):
    second = load_homework(course, "hw2_second")
    assert withheld_functions(course, second) == ("tinyflow.maths:double", "tinyflow.later:*")
    first = load_homework(course, "hw1_first")
    assert "tinyflow.maths:half" in withheld_functions(course, first)


def test_the_engine_has_stubs_for_withheld_bodies_and_all_the_rest(course, tmp_path):
    root = build_engine(load_homework(course, "hw2_second"), course, tmp_path / "engine")
    names = sorted(p.relative_to(root / "tinyflow").as_posix() for p in root.rglob("*.*"))
    assert names == ["__init__.py", "data/table.npz", "later.py", "maths.py"]
    space = {}
    exec((root / "tinyflow/maths.py").read_text(), space)
    assert space["half"](4) == 2 and "Example: double(4)" in space["double"].__doc__
    with pytest.raises(NotImplementedError, match="not in the engine of hw2_second"):
        space["double"](4)


def test_a_wheel_has_the_same_bytes_every_time_and_installs_offline(course, tmp_path):
    homework = load_homework(course, "hw2_second")
    wheel = build_wheel(homework, course, tmp_path / "a")
    assert wheel.name == "tinyflow-0.1.0+hw2-py3-none-any.whl"
    assert wheel.read_bytes() == build_wheel(homework, course, tmp_path / "b").read_bytes()
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", tmp_path / "site", wheel], check=True)
    code = "import tinyflow.maths as m; print(m.__file__, m.half(4))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "site", capture_output=True, text=True
    )
    assert done.stdout.strip() == f"{tmp_path / 'site/tinyflow/maths.py'} 2.0", done.stderr


def test_the_wheel_declares_what_the_engine_needs(course, tmp_path):
    wheel = build_wheel(load_homework(course, "hw2_second"), course, tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read("tinyflow-0.1.0+hw2.dist-info/METADATA").decode()
        record = archive.read("tinyflow-0.1.0+hw2.dist-info/RECORD").decode()
        commands = archive.read("tinyflow-0.1.0+hw2.dist-info/entry_points.txt").decode()
    assert "Requires-Dist: torch==2.13.0" in metadata and "Version: 0.1.0+hw2" in metadata
    assert len(record.splitlines()) == 9
    assert commands == "[console_scripts]\ntinyflow = tinyflow.cli:main\n"


def test_a_link_in_the_engine_is_refused(course):
    (course / "tinyflow/other.py").symlink_to(course / "tinyflow/maths.py")
    with pytest.raises(BodyError, match=r"other\.py: a link"):
        strip_engine(load_homework(course, "hw2_second"), course)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("maths:double", "maths:triple", "no function 'triple'"),
        ("later:*", "never:*", "no such module"),
    ],
)
def test_a_manifest_that_names_what_is_not_there_is_refused(course, edit, old, new, words):
    edit("course/manifest.toml", old, new)
    with pytest.raises(BodyError, match=words):
        strip_engine(load_homework(course, "hw2_second"), course)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("order = 3\n", "", r"\[planned.hw3_third\] lacks 'order'"),
        ("planned.hw3_third", "planned.hw2_second", "hw2_second is both planned and written"),
        ("order = 2\n", "order = 2\ncloses = 5\n", "closes = 5; expected a date"),
        ("order = 2\n", "order = 2\ncloses = 2026-01-01T00:00:00\n", "and an offset"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(course, edit, old, new, words):
    edit("course/manifest.toml", old, new)
    with pytest.raises(ManifestError, match=words):
        withheld_functions(course, load_homework(course, "hw2_second"))


GIVEN = {"__init__", "contract", "gradient", "pin", "standard"}  # gradient: withheld by task


def test_every_pass_that_comes_after_is_withheld():
    functions = withheld_functions(REPO, load_homework(REPO, "hw2_autodiff"))
    withheld = {function.partition(":")[0] for function in functions}
    stages = {f"tinyflow.passes.{p.stem}" for p in (REPO / "tinyflow/passes").glob("*.py")}
    stages |= {"tinyflow.program.lower", "tinyflow.runtime.executor"}
    left = stages - withheld - {f"tinyflow.passes.{name}" for name in GIVEN}
    assert not left, f"list under [planned] in course/manifest.toml, or under GIVEN: {left}"


IMPORT_ALL = """
import importlib, pkgutil, tinyflow
names = [m.name for m in pkgutil.walk_packages(tinyflow.__path__, "tinyflow.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(tinyflow.__file__, len(names))
"""


def test_every_module_of_the_stripped_engine_imports(tmp_path):
    build_engine(load_homework(REPO, "hw2_autodiff"), REPO, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    file, count = done.stdout.split()
    assert Path(file).is_relative_to(tmp_path) and int(count) > 40
