"""Secrets, outcomes and journal on disk."""

import stat
from dataclasses import replace

import pytest
from small_course import HOMEWORK

from autograder.grading.course import Course, CourseError
from autograder.grading.secrets import Keyring
from autograder.grading.store import Identity, Journal, Store
from autograder.outcome import Outcome, State, TestOutcome

IDENTITY = Identity("s" * 64, "e" * 64)
TEST = TestOutcome("t", "gradient", "diamonds", State.PASSED, "hint", 0.1)
OUTCOME = Outcome(HOMEWORK, "ann", "a" * 64, "s" * 64, "e" * 64, 0, (TEST,), 0.5)


@pytest.fixture
def store(course):
    return Store.open(course, HOMEWORK)


def test_what_is_saved_is_found_under_its_key_only(store):
    store.save(OUTCOME)
    assert store.find("ann", "a" * 64, IDENTITY) == OUTCOME
    assert store.find("ann", "b" * 64, IDENTITY) is None
    assert store.find("bob", "a" * 64, IDENTITY) is None
    assert store.find("ann", "a" * 64, replace(IDENTITY, suite_sha256="x")) is None
    assert store.find("ann", "a" * 64, replace(IDENTITY, environment_sha256="x")) is None


def test_the_newest_secret_counts(store):
    store.save(replace(OUTCOME, secret_index=1))
    store.save(OUTCOME)
    found = store.find("ann", "a" * 64, IDENTITY)
    assert found is not None and found.secret_index == 1


def test_an_outcome_of_a_failed_grader_is_judged_again(store):
    broken = replace(TEST, state=State.GRADER_ERROR)
    store.save(replace(OUTCOME, tests=(broken,)))
    assert store.find("ann", "a" * 64, IDENTITY) is None


def test_a_torn_outcome_file_is_judged_again(store):
    path = store.save(OUTCOME)
    path.write_text(path.read_text()[:50])
    assert store.find("ann", "a" * 64, IDENTITY) is None


def test_an_outcome_filed_under_another_student_does_not_count(store):
    path = store.save(replace(OUTCOME, student="bob"))
    (store.folder / "ann").mkdir()
    path.rename(store.folder / "ann" / path.name)
    assert store.find("ann", "a" * 64, IDENTITY) is None


def test_a_half_written_file_of_a_killed_grader_is_not_read(store):
    path = store.save(OUTCOME)
    path.rename(path.with_name(f".{path.name}.123.tmp"))
    assert store.history("ann", "a" * 64) == []


def test_everything_is_private(course, store):
    path = store.save(OUTCOME)
    ring = Keyring.open(course)
    Journal.open(course).write("run", todo=1)
    for file in (path, ring.path, course.kit / "journal.jsonl"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for folder in (course.kit, store.folder, path.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_ring_keeps_old_secrets(course):
    first = Keyring.open(course)
    second = first.rotate()
    again = Keyring.open(course)
    assert again == second and again.current == 1
    assert again.secret(0) == first.secret(0) != again.secret(1)
    assert len(again.secret(1)) == 32


def test_an_unknown_secret_is_an_error_that_names_the_ring(course):
    with pytest.raises(CourseError, match=r"secrets\.json: no secret 3; the ring holds 1"):
        Keyring.open(course).secret(3)


@pytest.mark.parametrize("text", ["{", '["zz"]', "[]", '["00"]', "[7]"])
def test_a_damaged_ring_stops_instead_of_being_replaced(course, text):
    path = Keyring.open(course).path
    path.write_text(text)
    with pytest.raises(CourseError, match="restore it"):
        Keyring.open(course)
    assert path.read_text() == text


def test_a_torn_journal_line_is_passed_over(course):
    journal = Journal.open(course)
    journal.write("written", student="ann", mark="1")
    with journal.path.open("a") as handle:
        handle.write('{"event": "writ')
    assert [event["student"] for event in journal.events("written")] == ["ann"]


def test_only_one_grader_writes(course):
    with course.lock(), pytest.raises(CourseError, match="another grader"), course.lock():
        pass


def test_no_course_around_is_said(tmp_path):
    with pytest.raises(CourseError, match="no course here"):
        Course.find(tmp_path)


def test_a_folder_with_its_own_config_is_the_working_folder(course):
    work = course.root / ".demo"
    work.mkdir()
    (work / "nbgrader_config.py").touch()
    assert Course.find(work) == Course(root=course.root, work=work)
    assert Course.find(course.root / "course") == Course(root=course.root, work=course.root)
