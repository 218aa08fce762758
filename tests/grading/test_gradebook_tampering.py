"""Notebooks and folders made to change marks, or what the grader sees: they change nothing."""

import json
import os
from pathlib import Path

import nbformat
from roads import FULL, ZERO
from small_course import HOMEWORK, submission


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
