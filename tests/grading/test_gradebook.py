"""nbgrader's gradebook through every road, and each thing that goes wrong with it as shipped."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import nbformat
import pytest
from nbgrader.apps.api import NbGraderAPI
from small_course import HOMEWORK, REPOSITORY, submission

from autograder.grading.bridge import fill
from autograder.grading.course import CourseError
from autograder.grading.gradebook import (
    auto_scores,
    course_directory,
    ensure_assignment,
    load_config,
    open_gradebook,
    withdraw,
)
from autograder.grading.run import Options, grade_class

FULL = {"mul_adjoint": 5.0, "gradient": 5.0, "integration": 2.5}
ZERO = {"mul_adjoint": 0.0, "gradient": 0.0, "integration": 0.0}
HELD = {"mul_adjoint": None, "gradient": None, "integration": None}
BIN = Path(sys.executable).parent


class Roads:
    """The three ways to a mark: ``kit grade``, the formgrader's button, ``nbgrader autograde``."""

    def __init__(self, course, homework):
        self.course, self.homework = course, homework

    @property
    def url(self):
        return f"sqlite:///{self.course.work}/gradebook.db"

    def kit(self, **options):
        return grade_class(
            self.course, self.homework, Options(judge="fake_judge:FakeJudge", **options)
        )

    def button(self, student="*"):
        config = load_config(self.course)
        directory = course_directory(self.course, config, HOMEWORK)
        return NbGraderAPI(directory, config=config).autograde(HOMEWORK, student)

    def shell(self, *arguments, path=None):
        env = {
            "PATH": path or os.environ["PATH"],
            "HOME": str(self.course.work),
            "PYTHONPATH": f"{REPOSITORY}:{Path(__file__).parent}",
        }
        command = [str(BIN / "nbgrader"), *arguments]
        return subprocess.run(
            command, cwd=self.course.work, env=env, capture_output=True, text=True, check=False
        )

    def scores(self):
        with open_gradebook(self.url) as gradebook:
            return auto_scores(gradebook, HOMEWORK)

    def notebook(self, student):
        return nbformat.read(self.course.graded(HOMEWORK, student), as_version=4)

    def configure(self, line):
        path = self.course.work / "nbgrader_config.py"
        path.write_text(f"{path.read_text()}\n{line}\n")


@pytest.fixture(scope="session")
def empty_gradebook(tmp_path_factory):
    """Creating one calls alembic, which takes seconds; tests start from a copy."""
    path = tmp_path_factory.mktemp("empty") / "gradebook.db"
    with open_gradebook(f"sqlite:///{path}"):
        return path.read_bytes()


@pytest.fixture
def roads(course, homework, empty_gradebook):
    (course.work / "gradebook.db").write_bytes(empty_gradebook)
    return Roads(course, homework)


def test_all_roads_give_the_same_marks_comments_and_notebooks(roads, students, empty_gradebook):
    students.submit("ann", submission())
    students.submit("bob", submission(mul="HALF_both PASS", gradient="TIMEOUT"))
    students.submit("eve", b"{broken")
    students.submit("gus", submission(mul="GRADER_ERROR"))
    seen = []
    for road in (roads.kit, roads.button, lambda: roads.shell("autograde", HOMEWORK)):
        (roads.course.work / "gradebook.db").write_bytes(empty_gradebook)
        road()
        books = {name: roads.notebook(name) for name in ("ann", "bob", "eve", "gus")}
        with open_gradebook(roads.url) as gradebook:
            comments = {
                name: sorted(
                    (c.name, c.auto_comment)
                    for c in gradebook.find_submission_notebook(HOMEWORK, HOMEWORK, name).comments
                )
                for name in books
            }
        texts = {name: nbformat.writes(book) for name, book in books.items()}
        seen.append((roads.scores(), comments, texts))
    assert seen[0][0]["ann"] == FULL
    assert seen[0][0]["bob"] == {"mul_adjoint": 2.0, "gradient": 0.0, "integration": 2.5}
    assert seen[0][0]["eve"] == ZERO
    assert seen[0][0]["gus"]["mul_adjoint"] is None
    assert seen[0] == seen[1] == seen[2]
    assert len(students.judged()) == 3 + 2  # only the grader error was judged again


def test_running_again_writes_nothing(roads, students):
    students.submit("ann", submission())
    assert (roads.kit().judged, roads.kit().judged) == (1, 0)
    assert roads.kit().written == 0


def test_a_lost_gradebook_is_filled_again_without_judging(roads, students, empty_gradebook):
    students.submit("ann", submission())
    roads.kit()
    (roads.course.work / "gradebook.db").write_bytes(empty_gradebook)
    assert (roads.kit().written, roads.scores()) == (1, {"ann": FULL})
    assert len(students.judged()) == 1


def test_a_grader_killed_while_writing_is_simply_run_again(roads, students, tmp_path):
    for name in ("ann", "bob", "cid", "dan"):
        students.submit(name, submission())
    script = textwrap.dedent(f"""
        import os, signal, sys
        sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(REPOSITORY)!r}]
        from pathlib import Path
        from autograder.authoring.manifest import load_homework
        from autograder.grading import bridge
        from autograder.grading.course import Course
        from autograder.grading.run import Options, grade_class
        calls, real = [], bridge.set_scores
        def dying(*arguments):
            calls.append(1)
            if len(calls) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            real(*arguments)
        bridge.set_scores = dying
        if __name__ == "__main__":
            root = Path({str(roads.course.root)!r})
            grade_class(Course(root, root), load_homework(root, {HOMEWORK!r}),
                        Options(judge="fake_judge:FakeJudge"))
    """)
    (tmp_path / "run.py").write_text(script)
    killed = subprocess.run([sys.executable, str(tmp_path / "run.py")], check=False)
    assert killed.returncode == -9
    assert roads.scores()["cid"] == HELD
    roads.kit()
    assert roads.scores() == dict.fromkeys(("ann", "bob", "cid", "dan"), FULL)


def test_a_half_graded_student_is_not_skipped_by_plain_nbgrader(roads, students):
    students.submit("ann", submission())
    with open_gradebook(roads.url) as gradebook:
        ensure_assignment(roads.course, HOMEWORK, roads.url)
        gradebook.add_student("ann")
        gradebook.add_submission(HOMEWORK, "ann")
    roads.course.graded(HOMEWORK, "ann").parent.mkdir(parents=True)
    roads.course.graded(HOMEWORK, "ann").write_text("{torn")
    assert roads.button()["success"]
    assert roads.scores() == {"ann": FULL}


def test_a_crashing_resubmission_loses_the_old_mark(roads, students):
    for road in (roads.kit, roads.button):
        students.submit("ann", submission())
        road()
        assert roads.scores() == {"ann": FULL}
        students.submit("ann", b"\x00 not a notebook")
        road()
        assert roads.scores() == {"ann": ZERO}


def test_collecting_a_new_version_takes_the_old_mark_and_page_back(roads, students):
    students.submit("ann", submission())
    roads.kit()
    page = roads.course.feedback / "ann" / HOMEWORK / f"{HOMEWORK}.html"
    page.parent.mkdir(parents=True)
    page.write_text("12.5")
    withdraw(roads.course, HOMEWORK, "ann")
    assert roads.scores() == {"ann": HELD} and not page.exists()
    roads.kit()
    assert roads.scores() == {"ann": FULL}


def test_a_renamed_resubmission_does_not_keep_the_old_mark(roads, students):
    path = students.submit("ann", submission())
    roads.button()
    path.rename(path.with_name("other.ipynb"))
    assert not roads.button()["success"]
    assert roads.scores() == {"ann": HELD}


def tampered(change):
    notebook = nbformat.reads(submission().decode(), as_version=4)
    change(notebook.cells)
    return nbformat.writes(notebook).encode()


def copied_score_cell(cells):
    cells.append(nbformat.from_dict(json.loads(json.dumps(cells[3]))))


def schema(version):
    def change(cells):
        for cell in cells:
            if "nbgrader" in cell.metadata:
                cell.metadata.nbgrader["schema_version"] = version

    return change


def deleted_score_cells(cells):
    cells[:] = [cell for cell in cells if not cell.id.startswith("score-")]


def raised_points(cells):
    for cell in cells:
        if cell.metadata.get("nbgrader", {}).get("grade"):
            cell.metadata.nbgrader["points"] = 1000


def forged_output(cells):
    for cell in cells:
        if cell.id == "score-gradient":
            cell.outputs = [
                nbformat.v4.new_output("execute_result", {"text/plain": "5.0"}),
                nbformat.v4.new_output("stream", name="stderr", text="warning"),
            ]


TAMPERED = {
    "copied": copied_score_cell,
    "schema0": schema(0),
    "schema99": schema(99),
    "deleted": deleted_score_cells,
    "points": raised_points,
    "forged": forged_output,
}


def test_tampered_metadata_changes_no_mark_and_stops_nobody(roads, students):
    for name, change in TAMPERED.items():
        students.submit(name, tampered(change))
    students.submit("zoe", submission())
    assert roads.button()["success"]
    assert roads.scores() == dict.fromkeys([*TAMPERED, "zoe"], FULL)
    for name in TAMPERED:
        ids = [cell.id for cell in roads.notebook(name).cells]
        assert ids.count("score-gradient") == 1


def test_forged_scores_do_not_help_a_wrong_solution(roads, students):
    notebook = nbformat.reads(submission(gradient="FAIL").decode(), as_version=4)
    forged_output(notebook.cells)
    students.submit("ann", nbformat.writes(notebook))
    roads.button()
    assert roads.scores()["ann"]["gradient"] == 0.0


def test_large_outputs_are_refused_or_dropped(roads, students):
    def output(size):
        def change(cells):
            cells[1].outputs = [nbformat.v4.new_output("stream", text="x" * size)]

        return tampered(change)

    students.submit("ann", output(1 << 20))
    students.submit("big", output(6 << 20))
    roads.kit()
    assert roads.scores() == {"ann": FULL, "big": ZERO}
    assert roads.course.graded(HOMEWORK, "ann").stat().st_size < 20_000


def test_nothing_beside_a_notebook_is_copied_or_followed(roads, students):
    folder = students.submit("ann", submission()).parent
    (folder / "numpy.py").write_text("raise SystemExit")
    (folder / "key.ipynb.bak").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    (folder / "timestamp.txt").write_text("2026-01-01 10:00:00 UTC")
    assert roads.button()["success"]
    assert roads.scores() == {"ann": FULL}
    kept = sorted(os.listdir(roads.course.graded(HOMEWORK, "ann").parent))
    assert kept == [f"{HOMEWORK}.ipynb"]


def test_a_submission_that_is_a_link_is_not_opened(roads, students):
    for road in (roads.kit, roads.button):
        path = students.submit("ann", b"x")
        path.unlink()
        path.symlink_to(roads.course.skeleton(HOMEWORK))
        road()
        assert roads.scores() == {"ann": ZERO}
        path.unlink()


def test_a_time_stamp_that_would_hang_nbgrader_is_refused(roads, students):
    folder = students.submit("ann", submission()).parent
    os.mkfifo(folder / "timestamp.txt")
    result = roads.button()
    assert not result["success"] and "not a plain time stamp" in result["error"]


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def test_student_html_does_not_reach_the_formgrader(roads, students):
    markdown = nbformat.v4.new_markdown_cell(HOSTILE)
    raw = nbformat.v4.new_raw_cell(HOSTILE)
    code = nbformat.v4.new_code_cell("'''" + HOSTILE + "'''")
    code.outputs = [nbformat.v4.new_output("display_data", {"text/html": HOSTILE})]
    students.submit("ann", submission(mul=HOSTILE + "PASS", extra=[markdown, raw, code]))
    roads.button()
    from nbconvert.exporters import HTMLExporter
    from nbgrader.server_extensions import formgrader

    templates = Path(formgrader.__file__).parent / "templates"
    exporter = HTMLExporter(template_name="formgrade", extra_template_basedirs=[str(templates)])
    resources = {"assignment_id": HOMEWORK, "notebook_id": HOMEWORK, "submission_id": "x",
                 "index": 0, "total": 1, "base_url": "", "student": "ann", "last_name": "",
                 "first_name": "", "notebook_path": ""}  # fmt: skip
    page, _ = exporter.from_notebook_node(roads.notebook("ann"), resources=resources)
    assert "alert(1)" in page
    assert "<script>alert" not in page and "<img src=x" not in page


def test_manual_scores_extra_credit_and_comments_survive_a_regrade(roads, students):
    students.submit("ann", submission(gradient="FAIL"))
    roads.kit()
    with open_gradebook(roads.url) as gradebook:
        notebook = gradebook.find_submission_notebook(HOMEWORK, HOMEWORK, "ann")
        grade = next(g for g in notebook.grades if g.name == "score-gradient")
        grade.manual_score, grade.extra_credit = 4.0, 0.5
        comment = next(c for c in notebook.comments if c.name == "solution-gradient")
        comment.manual_comment = "nearly"
        gradebook.db.commit()
    for road in (lambda: roads.kit(force=True), roads.button):
        students.submit("ann", submission(mul="FAIL", gradient="PASS"))
        road()
        with open_gradebook(roads.url) as gradebook:
            notebook = gradebook.find_submission_notebook(HOMEWORK, HOMEWORK, "ann")
            grade = next(g for g in notebook.grades if g.name == "score-gradient")
            assert (grade.auto_score, grade.score) == (5.0, 4.5)
            assert grade.needs_manual_grade
            comment = next(c for c in notebook.comments if c.name == "solution-gradient")
            assert comment.comment == "nearly"


@pytest.mark.parametrize("road", ["kit", "button"])
def test_a_held_mark_waits_for_a_human(roads, students, road):
    students.submit("ann", submission(mul="GRADER_ERROR"))
    getattr(roads, road)()
    assert roads.scores()["ann"]["mul_adjoint"] is None
    with open_gradebook(roads.url) as gradebook:
        assert gradebook.find_submission(HOMEWORK, "ann").needs_manual_grade


@pytest.mark.parametrize("road", ["kit", "button"])
def test_late_penalties_of_the_course_apply(roads, students, road):
    roads.configure("c.LateSubmissionPlugin.penalty_method = 'zero'")
    folder = students.submit("ann", submission()).parent
    (folder / "timestamp.txt").write_text("2026-01-02 10:00:00 UTC")
    with open_gradebook(roads.url) as gradebook:
        gradebook.add_assignment(HOMEWORK, duedate="2026-01-01 10:00:00 UTC")
    getattr(roads, road)()
    with open_gradebook(roads.url) as gradebook:
        entry = gradebook.find_submission(HOMEWORK, "ann")
        assert (entry.score, entry.late_submission_penalty) == (12.5, 12.5)


# -- misconfiguration fails closed -----------------------------------------------------------------

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


# -- the rest of the list --------------------------------------------------------------------------


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


def test_the_gradebook_is_private(roads, students):
    students.submit("ann", submission())
    roads.kit()
    assert (roads.course.work / "gradebook.db").stat().st_mode & 0o777 == 0o600
    assert roads.course.autograded.stat().st_mode & 0o777 == 0o700


def test_the_formgrader_can_grade_one_student(roads, students):
    students.submit("ann", submission())
    students.submit("bob", submission())
    assert roads.button("bob")["success"]
    assert roads.scores() == {"bob": FULL}


def test_a_regrade_reports_what_moved(roads, students):
    students.submit("ann", submission(mul="LAX PASS"))
    roads.kit()
    (roads.course.root / "suite.txt").write_text("strict mul_adjoint")
    moved = roads.kit().moved
    assert [(c.student, c.bucket, c.before, c.after) for c in moved] == [
        ("ann", "values", 2.0, 0.0),
        ("ann", "both", 3.0, 0.0),
    ]
