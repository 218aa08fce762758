"""Freed memory stays with the process."""

from __future__ import annotations

import sys

from tinyflow.backends.memory import keep_freed_memory


def test_malloc_is_told_where_it_listens() -> None:
    told = keep_freed_memory()
    assert told == keep_freed_memory()
    assert isinstance(told, bool)
    if not sys.platform.startswith("linux"):
        assert not told
