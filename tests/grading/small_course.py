"""A small course: two tasks, one homework, notebooks as students would hand them in."""

from pathlib import Path

import nbformat

HOMEWORK = "hw2_autodiff"
REPOSITORY = Path(__file__).resolve().parents[2]
MANIFEST = """
[hw2_autodiff]
title = "Autodiff"
order = 2

[hw2_autodiff.tasks.mul_adjoint]
function = "tinyflow.adjoints.elementwise:mul_adjoint"
title = "Product rule"
buckets = { values = 2, both = 3 }

[hw2_autodiff.tasks.gradient]
function = "tinyflow.passes.gradient:gradient"
title = "The pass"
buckets = { diamonds = 5 }

[hw2_autodiff.integration]
buckets = { trains = 2.5 }
"""
REFUSAL = 'raise RuntimeError("this cell is scored by kit, not by stock nbgrader")'


def _cell(kind, name, source, *, tags=(), **marks):
    make = nbformat.v4.new_markdown_cell if kind == "markdown" else nbformat.v4.new_code_cell
    cell = make(source)
    cell.id = name
    if tags:
        cell.metadata["tags"] = list(tags)
    if marks:
        given = {"grade": False, "solution": False, "locked": False, **marks}
        cell.metadata["nbgrader"] = {
            "grade_id": name,
            "schema_version": 3,
            "task": False,
            "cell_type": kind,
            **given,
        }
    return cell


def skeleton():
    """The released notebook, shaped as the course builds it."""
    cells = [
        _cell("markdown", "title", "# Autodiff"),
        _cell("code", "setup", "import tinyflow", tags=["setup"], locked=True),
    ]
    for name, points in (("mul_adjoint", 5), ("gradient", 5)):
        stub = f"def {name}():\n    raise NotImplementedError"
        cells.append(_cell("code", f"solution-{name}", stub, solution=True))
        cells.append(
            _cell("code", f"score-{name}", REFUSAL, grade=True, locked=True, points=points)
        )
    cells.append(_cell("code", "score-integration", REFUSAL, grade=True, locked=True, points=2.5))
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def submission(mul="PASS", gradient="PASS", extra=()):
    """Bytes of a student's notebook whose solution cells hold these words."""
    notebook = skeleton()
    for cell in notebook.cells:
        if cell.id == "solution-mul_adjoint":
            cell.source = f"def mul_adjoint(): '{mul}'" if mul else cell.source
        if cell.id == "solution-gradient":
            cell.source = f"def gradient(): '{gradient}'" if gradient else cell.source
    notebook.cells.extend(extra)
    return nbformat.writes(notebook).encode()


class Class:
    """Writes submissions into a course the way ``kit collect`` would."""

    def __init__(self, course):
        self.course = course

    def submit(self, student, data):
        path = self.course.submission(HOMEWORK, student)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def judged(self):
        log = self.course.root / "judged.txt"
        lines = log.read_text().split("\n")[:-1] if log.exists() else []
        return [line for line in lines if not line.startswith("_reference")]
