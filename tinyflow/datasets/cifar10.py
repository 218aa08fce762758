"""Small colour photographs of ten kinds of things. Layer: datasets.

    cifar = get_cifar10()
    images, labels = cifar.train.next_batch(100)      # float32 (100, 3, 32, 32), int64 (100,)

Source: Krizhevsky, Learning multiple layers of features from tiny images, 2009.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
import tarfile
import urllib.request
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinyflow.datasets.batches import Array, Batches
from tinyflow.errors import FeedError

__all__ = ["CIFAR10", "get_cifar10"]

_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
_NAMES = (
    *("cifar-10-batches-bin", "cifar-10-batches-py"),
    *("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"),
)
_TRAIN, _TEST = tuple(f"data_batch_{i}" for i in range(1, 6)), ("test_batch",)
_RECORD_BYTES = 1 + 3 * 32 * 32  # a label, then red, green and blue planes
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ARRAYS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
_UNREADABLE = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, AttributeError),
    *(pickle.UnpicklingError, tarfile.TarError, zlib.error),
)


class CIFAR10(NamedTuple):
    """The two parts of the data set."""

    train: Batches
    test: Batches


def get_cifar10(
    path: str | Path | None = None, *, synthetic: bool = False, download: bool = False
) -> CIFAR10:
    """CIFAR-10: ``.train`` and ``.test``, each with images, labels and ``next_batch(n)``.

    Images are float32 in [0, 1], (n, 3, 32, 32); labels int64 (n,), 0 to 9; the order is that of
    the files: 50,000 to train and 10,000 to test.

    Args:
        path: the folder or archive as published, in the binary or the Python version, or the folder
            it lies in. None: looks in the working directory and in ``~/.cache/tinyflow``.
        synthetic: made-up images instead (1,000 and 200), a noisy pattern of its own for each
            class: for trying a network out, not for results.
        download: if there is no copy, fetch the binary version (170 MB) to ``~/.cache/tinyflow``
            and check it. Nothing is ever downloaded otherwise.

    Raises FeedError naming file or address if there is no copy, or none that can be used.
    """
    if synthetic:
        return _made_up()
    cache = Path.home() / ".cache" / "tinyflow"
    places = [Path(path)] if path is not None else [Path.cwd(), cache]
    source = next((found for place in places if (found := _copy_in(place))), None)
    if source is None and download:
        source = fetch(_URL, _SHA256, cache)
    if source is None:
        raise FeedError(
            "there is no copy of CIFAR-10",
            got=f"nothing of that name in {', '.join(map(str, places))}",
            expected=" or ".join(_NAMES),
            fix="get_cifar10(download=True) fetches it, get_cifar10(synthetic=True) makes some up.",
        )
    try:
        return CIFAR10(_batches(source, _TRAIN), _batches(source, _TEST))
    except _UNREADABLE as error:
        raise FeedError(
            f"cannot read CIFAR-10 from '{source}'",
            got=f"{type(error).__name__}: {error}",
            expected="data_batch_1 to data_batch_5 and test_batch, as published",
            fix="Remove it, and get_cifar10(download=True) fetches a good copy.",
        ) from error


def _copy_in(place: Path) -> Path | None:
    """The copy that lies in a folder, or that the path itself is."""
    named = place.name in _NAMES or place.is_file() or any(place.glob("data_batch_1*"))
    found = [place] if named else [place / name for name in _NAMES]
    return next((candidate for candidate in found if candidate.exists()), None)


def _batches(source: Path, names: tuple[str, ...]) -> Batches:
    parts = [_decode(content) for content in _contents(source, names)]
    images = np.concatenate([pixels for pixels, _ in parts])
    labels = np.concatenate([classes for _, classes in parts]).astype(np.int64)
    if images.dtype != np.uint8 or labels.shape != images.shape[:1] or labels.max() > 9:
        raise ValueError(f"images {images.dtype} {images.shape}, labels {labels.shape}")
    pixels = images.reshape(-1, 3, 32, 32).astype(np.float32)
    return Batches(np.divide(pixels, np.float32(255), out=pixels), labels)


def _contents(source: Path, names: tuple[str, ...]) -> list[bytes]:
    """The files of these names, with or without ``.bin``, in a folder or an archive."""
    if source.is_dir():
        ending = "" if (source / names[0]).exists() else ".bin"
        return [(source / f"{name}{ending}").read_bytes() for name in names]
    with tarfile.open(source) as archive:
        members = {Path(member.name).stem: member for member in archive if member.isfile()}
        opened = [archive.extractfile(members[name]) for name in names]
        return [file.read() for file in opened if file]


def _decode(content: bytes) -> tuple[Array, Array]:
    """Pixels (n, 3072) and labels (n,) of one file of either version."""
    if content[:1] == b"\x80":  # a pickle; a label is at most 9
        batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
        return np.asarray(batch[b"data"]), np.asarray(batch[b"labels"])
    if not content:
        raise EOFError("an empty file")
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD_BYTES)
    return records[:, 1:], records[:, 0]


class _ArraysOnly(pickle.Unpickler):
    """Reads dictionaries of arrays; a pickle that asks for anything else is refused, not run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ARRAYS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array")
        return _ARRAYS[module, name]


def fetch(url: str, sha256: str, folder: Path) -> Path:
    """Download a file into ``folder``, with progress on stderr; raises FeedError if it is wrong.

    A file under its final name is always complete and checked.
    """
    target = folder / url.rpartition("/")[2]
    part, digest, done = target.with_name(f"{target.name}.part"), hashlib.sha256(), 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(url, timeout=60) as remote, part.open("wb") as file:
            while block := remote.read(1 << 20):
                file.write(block)
                digest.update(block)
                done += len(block)
                print(f"\r{target.name} {done >> 20} MB", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        if digest.hexdigest() == sha256:
            return part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise FeedError(f"cannot download {url}", got=error, fix="Try again later.") from error
    part.unlink()
    raise FeedError(f"{url} is not what it was", got=digest.hexdigest(), expected=sha256)


def _made_up() -> CIFAR10:
    rng = np.random.default_rng(10)
    patterns = np.kron(rng.uniform(0.2, 0.8, (10, 3, 4, 4)), np.ones((8, 8)))
    parts = []
    for count in (1_000, 200):
        labels = rng.integers(0, 10, count)
        noisy = patterns[labels] + rng.normal(0, 0.2, (count, 3, 32, 32))
        parts.append(Batches(noisy.clip(0, 1).astype(np.float32), labels))
    return CIFAR10(*parts)
