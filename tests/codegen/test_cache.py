"""Machine code on disk: kept where only the user can write, and believed only from there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from tinyflow.backends import native
from tinyflow.backends.kernel_cache import digest, find, keep, private_folder
from tinyflow.backends.native import c_kernel, llvm_kernel

from .bodies import gelu, kernel

NAME = digest("source", "machine")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = private_folder(tmp_path / "kernels")
    assert made is not None
    return made


def test_the_folder_is_open_to_its_owner_only(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_code_is_found_again(folder: Path) -> None:
    assert find(NAME, folder) is None
    keep(NAME, b"code", folder)
    assert find(NAME, folder) == b"code"
    assert [path.name for path in folder.iterdir()] == [NAME]
    assert stat.S_IMODE((folder / NAME).stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o750])
def test_a_folder_that_others_can_enter_is_not_used(folder: Path, mode: int) -> None:
    keep(NAME, b"code", folder)
    folder.chmod(mode)
    assert private_folder(folder) is None and find(NAME, folder) is None
    keep("another", b"code", folder)
    assert not (folder / "another").exists()


def test_a_folder_of_someone_else_is_not_used(folder: Path, monkeypatch: object) -> None:
    keep(NAME, b"code", folder)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert private_folder(folder) is None and find(NAME, folder) is None


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert private_folder(tmp_path / "link") is None
    keep(NAME, b"code", folder)
    (folder / "other").symlink_to(folder / NAME)
    assert find("other", folder) is None


def test_a_file_that_others_can_write_is_not_read(folder: Path) -> None:
    keep(NAME, b"code", folder)
    (folder / NAME).chmod(0o622)
    assert find(NAME, folder) is None


@pytest.mark.parametrize("change", [b"", b"x", None])
def test_a_file_that_was_changed_or_cut_off_is_not_believed(
    folder: Path, change: bytes | None
) -> None:
    keep(NAME, b"code", folder)
    path = folder / NAME
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"f" if change is None else change)
    assert find(NAME, folder) is None
    path.write_bytes(content)
    path.rename(folder / digest("another source", "machine"))
    assert find(digest("another source", "machine"), folder) is None


def test_no_folder_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "kernels"
    keep(NAME, b"code", place)
    assert private_folder(place) is None and find(NAME, place) is None


@pytest.mark.parametrize(
    ("rung", "loader"), [(llvm_kernel, "_load_object"), (c_kernel, "_load_library")]
)
def test_kernels_are_compiled_again_where_the_cache_is_spoilt(
    rung: object, loader: str, tmp_path: Path, monkeypatch: object
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    x = np.linspace(-3, 3, 100, dtype="float32")
    results = []
    for step in ("compiled", "from disk", "spoilt", "open to others"):
        files = list((tmp_path / "tinyflow" / "kernels").glob("*"))
        assert len(files) == (step != "compiled")
        for file in files:
            if step == "spoilt":
                file.write_bytes(file.read_bytes()[:-100])
            if step == "open to others":
                file.parent.chmod(0o777)
        getattr(native, loader).cache_clear()
        out = np.empty_like(x)
        kernel(gelu(100), rung).call(x.ctypes.data, out.ctypes.data)
        results.append(out)
    for out in results[1:]:
        np.testing.assert_array_equal(out, results[0])
