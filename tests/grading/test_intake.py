"""Which files are notebooks we can grade, and the answer for those that are not."""

import json
import os

import pytest

from autograder.intake import MAX_BYTES, IntakeError, parse_cells, take


def refusal(path):
    with pytest.raises(IntakeError) as caught:
        parse_cells(take(path), path.name)
    return caught.value


def test_a_plain_file_is_taken_byte_for_byte(tmp_path):
    path = tmp_path / "hw.ipynb"
    path.write_bytes(b'{"cells": []}')
    assert take(path) == b'{"cells": []}'


def test_a_missing_file_is_named(tmp_path):
    assert "hw.ipynb: no such file" in str(refusal(tmp_path / "hw.ipynb"))


def test_a_symbolic_link_is_not_followed(tmp_path):
    (tmp_path / "solution.ipynb").write_text('{"cells": []}')
    link = tmp_path / "hw.ipynb"
    link.symlink_to(tmp_path / "solution.ipynb")
    error = refusal(link)
    assert "is a link" in error.reason and not error.ours


def test_a_dangling_link_is_a_link(tmp_path):
    link = tmp_path / "hw.ipynb"
    link.symlink_to(tmp_path / "nowhere")
    assert "is a link" in refusal(link).reason


def test_a_hard_link_is_refused(tmp_path):
    (tmp_path / "solution.ipynb").write_text('{"cells": []}')
    os.link(tmp_path / "solution.ipynb", tmp_path / "hw.ipynb")
    assert "2 hard links" in refusal(tmp_path / "hw.ipynb").reason


def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "hw.ipynb")
    assert "not a regular file" in refusal(tmp_path / "hw.ipynb").reason


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "hw.ipynb").mkdir()
    assert "not a regular file" in refusal(tmp_path / "hw.ipynb").reason


def test_a_socket_is_refused(tmp_path, monkeypatch):
    import socket

    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("hw.ipynb")
        assert "not a regular file" in refusal(tmp_path / "hw.ipynb").reason


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "hw.ipynb").touch()
    assert "is empty" in refusal(tmp_path / "hw.ipynb").reason


def test_a_file_above_five_megabytes_is_refused_without_reading_it_all(tmp_path):
    path = tmp_path / "hw.ipynb"
    with path.open("wb") as handle:
        handle.truncate(50 * MAX_BYTES)
    assert "above 5 MB; clear the outputs" in refusal(path).reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{not json", "not valid JSON (line 1)"),
        (b"\xff\xfe{}", "not UTF-8 text"),
        (b"[1, 2]", "not a notebook"),
        (b'{"cells": 7}', "not a notebook"),
        (b'{"worksheets": []}', "not a notebook"),
        (b"[" * 200_000, "not valid JSON"),
        (b'{"cells": ' + b"9" * 10_000 + b"}", "not valid JSON"),
        (json.dumps({"cells": [{}] * 6_000}).encode(), "6000 cells"),
    ],
)
def test_what_is_not_a_notebook_gets_a_reason(data, reason):
    with pytest.raises(IntakeError) as caught:
        parse_cells(data)
    assert reason in caught.value.reason


def test_cells_are_read_as_text_whatever_their_shape():
    cells = [
        {"cell_type": "code", "id": "a", "source": ["x = 1\n", "y = 2"]},
        {"cell_type": "code", "id": "b", "metadata": {"nbgrader": {"grade_id": "solution-f"}}},
        {"cell_type": "markdown", "source": {"not": "text"}, "metadata": []},
        "not a cell",
        {"id": 7, "source": [1, "z"], "metadata": {"nbgrader": {"grade_id": ["x"]}}},
    ]
    found = parse_cells(json.dumps({"cells": cells}).encode())
    assert [(cell.index, cell.id, cell.kind, cell.source) for cell in found] == [
        (0, "a", "code", "x = 1\ny = 2"),
        (1, "solution-f", "code", ""),
        (2, "", "text", ""),
        (4, "", "text", "z"),
    ]
