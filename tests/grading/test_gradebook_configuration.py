"""A course, release or machine that is not set up right: no mark, and no student code runs."""

import shutil
from pathlib import Path

import nbformat
import pytest
from roads import BIN, FULL, HELD
from small_course import HOMEWORK, submission

from autograder.grading.bridge import fill
from autograder.grading.course import CourseError
from autograder.grading.gradebook import ensure_assignment, load_config

STOCK = ["nbgrader.preprocessors.Execute", "nbgrader.preprocessors.SaveAutoGrades"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("c.Autograde.exporter_class = 'nbconvert.exporters.NotebookExporter'", "exporter_class"),
        (f"c.Autograde.autograde_preprocessors = {STOCK}", "nothing that executes"),
        ("c.TrustedGrade.enabled = False", "expected TrustedGrade"),
        ("c.TrustedComments.enabled = False", "expected TrustedGrade"),
        ("c.GradingExporter.judge = 'no.such:Judge'", "judge does not start"),
    ],
)
def test_a_wrong_configuration_gives_no_mark_and_runs_no_code(roads, students, line, said):
    marker = roads.course.work / "executed"
    code = nbformat.v4.new_code_cell(f"open({str(marker)!r}, 'w')")
    students.submit("ann", submission(extra=[code]))
    roads.button()
    assert roads.scores() == {"ann": FULL}
    students.submit("ann", submission(mul="FAIL", extra=[code]))
    roads.configure(line)
    result = roads.button()
    assert not result["success"]
    assert said in result["error"] + result.get("log", "")
    assert not marker.exists()
    assert roads.scores() == {"ann": HELD}


def test_a_class_that_cannot_be_imported_stops_nbgrader(roads, students):
    students.submit("ann", submission())
    roads.configure("c.Autograde.autograde_preprocessors = ['autograder.no_such.Thing']")
    result = roads.shell("autograde", HOMEWORK)
    assert result.returncode == 1
    assert roads.scores()["ann"] == HELD


def test_failing_to_judge_holds_nothing_back_silently(roads, students):
    students.submit("ann", submission())
    (roads.course.root / "broken.txt").touch()
    result = roads.button()
    assert not result["success"] and "isolation is weak" in result["error"]
    assert not roads.course.graded(HOMEWORK, "ann").exists()


def test_points_at_odds_with_the_manifest_are_refused(roads, students):
    students.submit("ann", submission())
    manifest = roads.course.root / "course" / "manifest.toml"
    manifest.write_text(manifest.read_text().replace("values = 2", "values = 4"))
    result = roads.button()
    assert (
        not result["success"]
        and "gives 5 points, the manifest 7" in result["error"] + result["log"]
    )
    assert roads.scores() == {"ann": HELD}


def test_cells_cannot_change_under_submissions(roads, students):
    students.submit("ann", submission())
    roads.kit()
    path = roads.course.skeleton(HOMEWORK)
    released = nbformat.read(path, as_version=4)
    del released.cells[-1]
    path.write_text(nbformat.writes(released))
    with pytest.raises(CourseError, match="Cannot add or remove cells"):
        ensure_assignment(roads.course, HOMEWORK, roads.url)


def test_a_missing_or_broken_config_is_named(roads, course, homework):
    path = course.work / "nbgrader_config.py"
    path.write_text("c = get_config(\n")
    with pytest.raises(CourseError, match=r"nbgrader_config\.py: cannot be loaded: SyntaxError"):
        fill(course, homework, {})
    path.unlink()
    with pytest.raises(CourseError, match=r"nbgrader_config\.py: no such file"):
        fill(course, homework, {})


def test_a_missing_release_is_named(roads, course, homework):
    course.skeleton(HOMEWORK).unlink()
    with pytest.raises(CourseError, match=r"no released notebook; run: kit build"):
        fill(course, homework, {})


def test_alembic_is_found_without_the_environment_on_the_path(roads, students, monkeypatch):
    students.submit("ann", submission())
    (roads.course.work / "gradebook.db").unlink()
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    roads.kit()
    assert roads.scores() == {"ann": FULL}


def test_the_configuration_puts_alembic_on_the_path_for_nbgrader_db(roads, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    load_config(roads.course)
    assert Path(shutil.which("alembic")).parent == BIN


def test_a_postgresql_url_without_driver_is_refused(roads, course, homework):
    roads.configure("c.CourseDirectory.db_url = 'postgresql://localhost/grades'")
    with pytest.raises(CourseError, match=r"write postgresql\+psycopg://"):
        fill(course, homework, {})
