"""A judge with the real one's signature that reads words in solution cells instead of running them.

PASS, FAIL, TIMEOUT, ... give that state; DIE ends the process, DIE_ONCE only the first time; RAISE
raises; nothing of these is not_implemented. Every call is noted in ``judged.txt`` of the course.
"""

import hashlib
import os
import signal
from pathlib import Path

from autograder.intake import IntakeError, parse_cells
from autograder.outcome import Outcome, State, TestOutcome


class FakeJudge:
    environment_sha256 = "e" * 64

    def __init__(self, homework, root, *, require="kernel"):
        self.homework, self.root = homework, Path(root)
        self.isolation = {"grade": "kernel", "landlock": True}
        suite = self.root / "suite.txt"
        self.suite_sha256 = hashlib.sha256(suite.read_bytes()).hexdigest()

    def __enter__(self):
        if (self.root / "broken.txt").exists():
            raise RuntimeError("isolation is weak, kernel is required")
        return self

    def __exit__(self, *error):
        return None

    def judge(self, notebook, student, secret, k):
        with (self.root / "judged.txt").open("a") as log:
            log.write(f"{student} {k}\n")
        sha256 = hashlib.sha256(notebook).hexdigest()
        try:
            sources = {cell.id: cell.source for cell in parse_cells(notebook)}
        except IntakeError:
            sources = {}
        text = "\n".join(sources.values())
        once = self.root / "died.txt"
        if "DIE_ONCE" in text and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if "DIE_ALWAYS" in text:
            os._exit(3)
        if "RAISE" in text:
            raise RuntimeError("the judge stumbled")
        suite = (self.root / "suite.txt").read_text()
        tests = [
            TestOutcome(
                test=f"test_{task.name}_{bucket}_{number}",
                task=task.name,
                bucket=bucket,
                state=self._state(task.name, bucket, number, sources, suite),
                hint=f"Think about {bucket}.",
                seconds=0.01,
                error_name=None,
                line=None,
                detail="<script>detail</script>",
            )
            for task in self.homework.tasks
            for bucket in task.buckets
            for number in (1, 2)
        ]
        return Outcome(
            homework=self.homework.id,
            student=student,
            submission_sha256=sha256,
            suite_sha256=self.suite_sha256,
            environment_sha256=self.environment_sha256,
            secret_index=k,
            tests=tuple(tests),
            seconds=0.02,
            isolation=dict(self.isolation),
        )

    def _state(self, task, bucket, number, sources, suite):
        own = sources.get(f"solution-{task}", "")
        if task == "integration":
            own = "\n".join(sources.values())
            worst = "FAIL" if "NotImplemented" in own or "FAIL" in own else "PASS"
            own = own if "GRADER_ERROR" in own else worst
        if f"strict {task}" in suite and "LAX" in own:
            return State.FAILED
        if f"HALF_{bucket}" in own:
            return State.PASSED if number == 1 else State.FAILED
        for word, state in (
            ("PASS", State.PASSED),
            ("FAIL", State.FAILED),
            ("TIMEOUT", State.TIMEOUT),
            ("GRADER_ERROR", State.GRADER_ERROR),
        ):
            if word in own:
                return state
        return State.NOT_IMPLEMENTED
