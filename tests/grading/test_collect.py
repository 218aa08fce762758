"""Collecting: who is found, what is refused, and what is said about the rest."""

import os
import stat
import zipfile

import pytest
from small_course import HOMEWORK, submission

from autograder.grading.collect import canonical_id, collect
from autograder.grading.course import CourseError

GOOD = submission()


@pytest.fixture
def inbox(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def students(result):
    return [entry.student for entry in result.placed]


def reasons(result):
    return {left.source: left.reason for left in result.unplaced}


def test_one_file_per_student(course, inbox):
    (inbox / "alice.ipynb").write_bytes(GOOD)
    (inbox / f"bob_{HOMEWORK}.ipynb").write_bytes(GOOD)
    (inbox / f"{HOMEWORK}-carol (1).ipynb").write_bytes(GOOD)
    result = collect(course, HOMEWORK, inbox)
    assert students(result) == ["alice", "bob", "carol"]
    assert course.submission(HOMEWORK, "alice").read_bytes() == GOOD


def test_one_folder_per_student_with_a_renamed_notebook(course, inbox):
    (inbox / "alice").mkdir()
    (inbox / "alice" / "final FINAL.ipynb").write_bytes(GOOD)
    (inbox / "bob" / "deep").mkdir(parents=True)
    (inbox / "bob" / "deep" / "hw.ipynb.txt").write_bytes(GOOD)
    result = collect(course, HOMEWORK, inbox)
    assert students(result) == ["alice", "bob"]
    assert course.submission(HOMEWORK, "bob").read_bytes() == GOOD


def test_the_notebook_with_our_cells_is_chosen_among_several(course, inbox):
    (inbox / "alice").mkdir()
    (inbox / "alice" / "scratch.ipynb").write_text('{"cells": []}')
    (inbox / "alice" / "mine.ipynb").write_bytes(GOOD)
    (inbox / "alice" / "numpy.py").write_text("evil = True")
    result = collect(course, HOMEWORK, inbox)
    assert [entry.source for entry in result.placed] == ["alice/mine.ipynb"]
    assert result.ignored == ("alice/numpy.py", "alice/scratch.ipynb")
    assert sorted(os.listdir(course.submission(HOMEWORK, "alice").parent)) == [
        f"{HOMEWORK}.ipynb",
        "timestamp.txt",
    ]


def test_two_different_candidates_are_not_guessed_between(course, inbox):
    (inbox / "alice").mkdir()
    (inbox / "alice" / "a.ipynb").write_bytes(GOOD)
    (inbox / "alice" / "b.ipynb").write_bytes(submission(mul="FAIL"))
    result = collect(course, HOMEWORK, inbox)
    assert reasons(result) == {
        "alice": "several notebooks (alice/a.ipynb, alice/b.ipynb); keep one"
    }


def test_learning_platform_names_are_understood(course, inbox):
    (inbox / "Zoë O'Brien_12345_assignsubmission_file_").mkdir()
    (inbox / "Zoë O'Brien_12345_assignsubmission_file_" / "hw.ipynb").write_bytes(GOOD)
    (inbox / f"smithjane_LATE_98765_43210_{HOMEWORK}.ipynb").write_bytes(GOOD)
    assert students(collect(course, HOMEWORK, inbox)) == ["Zoe_O_Brien", "smithjane"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ann@uni.edu", "ann@uni.edu"),
        ("a[b]*c?", "a_b_c"),
        ("../../etc/passwd", "etc_passwd"),
        ("-rf", "rf"),
        ("=cmd()", "cmd"),
        ("x" * 500, "x" * 64),
    ],
)
def test_student_ids_become_plain(name, expected):
    assert canonical_id(name) == expected


def test_a_name_without_plain_letters_gets_a_stable_id_of_its_own():
    first, second = canonical_id("李雷"), canonical_id("韩梅梅")
    assert first != second and first == canonical_id("李雷") and first.startswith("student-")


def test_colliding_ids_are_reported_and_neither_is_placed(course, inbox):
    for name in ("zoe.ipynb", "Zoë.ipynb", "ann.ipynb"):
        (inbox / name).write_bytes(GOOD)
    result = collect(course, HOMEWORK, inbox)
    assert students(result) == ["ann"]
    assert set(reasons(result)) == {"zoe.ipynb", "Zoë.ipynb"}
    assert "the same student id" in reasons(result)["zoe.ipynb"]


def test_links_fifos_and_giants_are_refused_and_said(course, inbox):
    secret = inbox.parent / "secret.ipynb"
    secret.write_bytes(GOOD)
    (inbox / "link.ipynb").symlink_to(secret)
    (inbox / "folderlink").symlink_to(inbox.parent)
    os.mkfifo(inbox / "fifo.ipynb")
    with (inbox / "giant.ipynb").open("wb") as handle:
        handle.truncate(6 << 20)
    (inbox / "empty").mkdir()
    (inbox / "empty" / "notes.pdf").write_bytes(b"%PDF")
    result = collect(course, HOMEWORK, inbox)
    assert result.placed == ()
    found = reasons(result)
    assert "links are not followed" in found["link"]
    assert "links are not followed" in found["folderlink"]
    assert "not a regular file" in found["fifo"]
    assert "above 5 MB" in found["giant"]
    assert "no notebook" in found["empty"]


def test_a_corrupt_notebook_is_collected_so_that_it_gets_a_mark(course, inbox):
    (inbox / "alice.ipynb").write_text("{broken")
    assert students(collect(course, HOMEWORK, inbox)) == ["alice"]


def test_a_file_that_names_nobody_is_said(course, inbox):
    (inbox / f"{HOMEWORK}.ipynb").write_bytes(GOOD)
    assert "does not say whose" in reasons(collect(course, HOMEWORK, inbox))[f"{HOMEWORK}.ipynb"]


def test_collecting_again_changes_nothing_and_replacing_is_announced(course, inbox):
    (inbox / "alice.ipynb").write_bytes(GOOD)
    assert collect(course, HOMEWORK, inbox).placed[0].change == "new"
    assert collect(course, HOMEWORK, inbox).placed[0].change == "unchanged"
    (inbox / "alice.ipynb").write_bytes(submission(mul="FAIL"))
    announced = []
    result = collect(course, HOMEWORK, inbox, announced.append)
    assert result.placed[0].change == "replaced" and announced == ["alice"]
    kept = list((course.kit / "submissions" / HOMEWORK / "alice").iterdir())
    assert len(kept) == 2 and GOOD in [path.read_bytes() for path in kept]


def test_collected_files_are_private(course, inbox):
    (inbox / "alice.ipynb").write_bytes(GOOD)
    collect(course, HOMEWORK, inbox)
    path = course.submission(HOMEWORK, "alice")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (course.submitted, path.parent, course.kit):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def make_zip(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def test_a_zip_with_one_wrapping_folder(course, tmp_path):
    entries = {"class/alice.ipynb": GOOD, "class/bob/x.ipynb": GOOD, "class/carl.ipynb": GOOD}
    result = collect(course, HOMEWORK, make_zip(tmp_path / "class.zip", entries))
    assert students(result) == ["alice", "bob", "carl"]


def test_zip_slip_links_bombs_and_encryption_are_refused(course, tmp_path):
    link = zipfile.ZipInfo("mallory/link.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = tmp_path / "class.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../evil.ipynb", GOOD)
        archive.writestr("/absolute.ipynb", GOOD)
        archive.writestr(link, "/etc/passwd")
        archive.writestr("bomb.ipynb", b" " * (64 << 20))
        archive.writestr("alice.ipynb", GOOD)
    result = collect(course, HOMEWORK, path)
    assert students(result) == ["alice"]
    found = list(reasons(result).values())
    assert sum("unsafe path" in reason for reason in found) == 2
    assert any("is a link" in reason for reason in found)
    assert any("unpacks to 67108864 bytes" in reason for reason in found)
    assert not (tmp_path.parent / "evil.ipynb").exists()


def test_a_zip_that_lies_about_its_sizes_is_read_only_so_far(course, tmp_path):
    path = make_zip(tmp_path / "class.zip", {"bomb.ipynb": b" " * (8 << 20), "ann.ipynb": GOOD})
    data = bytearray(path.read_bytes())
    small = (1000).to_bytes(4, "little")
    large = (8 << 20).to_bytes(4, "little")
    path.write_bytes(bytes(data).replace(large, small))
    result = collect(course, HOMEWORK, path)
    assert students(result) == ["ann"] and list(reasons(result)) == ["bomb"]


@pytest.mark.parametrize("name", ["missing", "notes.txt"])
def test_an_unusable_path_is_an_error_that_names_it(course, tmp_path, name):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(CourseError, match=name):
        collect(course, HOMEWORK, tmp_path / name)


def test_an_empty_folder_is_an_error(course, inbox):
    with pytest.raises(CourseError, match="nothing in it"):
        collect(course, HOMEWORK, inbox)
