"""The trusted side of grading: runs hidden suites, asks locked workers, believes nothing."""

from autograder.judge.judge import Judge

__all__ = ["Judge"]
