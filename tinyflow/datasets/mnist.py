"""Handwritten digits. Layer: datasets.

    mnist = get_mnist(flatten=True, onehot=True)
    images, labels = mnist.train.next_batch(100)      # float32 (100, 784) and (100, 10)

The 5,000 bundled images are a subset of MNIST by Yann LeCun, Corinna Cortes and Christopher J. C.
Burges, under the Creative Commons Attribution-ShareAlike 3.0 licence.
"""

from __future__ import annotations

import gzip
import struct
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinyflow.datasets.batches import Array, Batches
from tinyflow.errors import FeedError

__all__ = ["MNIST", "get_mnist"]

_BUNDLED = Path(__file__).parent.parent / "data" / "mnist_5k.npz"
_UNREADABLE = (
    *(OSError, EOFError, ValueError, TypeError, LookupError),
    *(struct.error, zlib.error, zipfile.BadZipFile),
)
_SEED = 1234  # TinyFlow's; part of what makes results comparable


class MNIST(NamedTuple):
    """The two halves of the data set."""

    train: Batches
    test: Batches


def get_mnist(flatten: bool = False, onehot: bool = False, path: str | Path | None = None) -> MNIST:
    """Handwritten digits: ``.train`` and ``.test``, each with images, labels and ``next_batch(n)``.

    Args:
        flatten: images (n, 784) in place of (n, 1, 28, 28); float32 in [0, 1] in both cases.
        onehot: labels float32 (n, 10) in place of int64 (n,).
        path: a full MNIST on disk: a folder with the four ``idx`` files as published (or gzipped),
            or an ``.npz`` file with ``images`` and ``labels``, or with ``x_train``, ``y_train``,
            ``x_test``, ``y_test``. None: the bundled subset, 4,000 to train and 1,000 to test.

    The training images come in a fixed shuffled order (so do the test images, unless the file has
    its own division). Raises FeedError naming the file if it cannot be used. Never downloads.
    """
    source = _BUNDLED if path is None else Path(path)
    try:
        arrays = _from_idx(source) if source.is_dir() else _from_npz(source)
    except _UNREADABLE as error:
        raise FeedError(
            f"cannot read MNIST from '{source}'",
            got=f"{type(error).__name__}: {error}",
            expected="a folder of idx files (or .gz), or an .npz with images and labels",
            fix="Leave path out for the bundled images.",
        ) from error
    x_train, y_train, x_test, y_test = arrays
    return MNIST(
        _batches(x_train, y_train, flatten, onehot, source),
        _batches(x_test, y_test, flatten, onehot, source),
    )


def _batches(images: Array, labels: Array, flatten: bool, onehot: bool, source: Path) -> Batches:
    if images.ndim != 3 or images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        raise FeedError(
            f"'{source}' does not hold MNIST",
            got=f"images {images.shape}, labels {labels.shape}",
            expected="images (n, 28, 28), labels (n,)",
        )
    if images.dtype != np.uint8 or not np.isin(labels, range(10)).all():
        raise FeedError(
            f"'{source}' does not hold MNIST",
            got=f"images {images.dtype}, labels {np.unique(labels)[:12]}",
            expected="images uint8, labels 0 to 9",
        )
    pixels = images.astype(np.float32) / np.float32(255)
    pixels = pixels.reshape((-1, 784) if flatten else (-1, 1, 28, 28))
    classes = labels.astype(np.int64)
    return Batches(pixels, np.eye(10, dtype=np.float32)[classes] if onehot else classes)


def _from_npz(source: Path) -> tuple[Array, Array, Array, Array]:
    file = np.load(source, allow_pickle=False)
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise TypeError("one array, not an archive of arrays")
    with file:
        if "x_train" in file:
            x_train, y_train = _shuffled(file["x_train"], file["y_train"])
            return x_train, y_train, file["x_test"], file["y_test"]
        images, labels = _shuffled(file["images"], file["labels"])
    split = len(images) * 6 // 7 if len(images) == 70_000 else len(images) * 4 // 5
    return images[:split], labels[:split], images[split:], labels[split:]


def _from_idx(folder: Path) -> tuple[Array, Array, Array, Array]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    x_train, y_train, x_test, y_test = (_read_idx(folder, name) for name in names)
    return *_shuffled(x_train, y_train), x_test, y_test


def _read_idx(folder: Path, name: str) -> Array:
    """One file of LeCun's format: 0, 0, type 8 (uint8), rank, big-endian sizes, bytes."""
    stems = (name, name.replace("-idx", ".idx"))  # some archives write a dot
    found = [folder / f"{stem}-ubyte{ending}" for stem in stems for ending in ("", ".gz")]
    file = next((f for f in found if f.is_file()), found[0])
    raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08":
        raise ValueError(f"{file.name} is not an idx file of bytes")
    header = 4 + 4 * raw[3]
    sizes = struct.unpack(f">{raw[3]}I", raw[4:header])
    return np.frombuffer(raw, np.uint8, offset=header).reshape(sizes)


def _shuffled(images: Array, labels: Array) -> tuple[Array, Array]:
    order = np.random.RandomState(_SEED).permutation(len(images))  # numpy froze this stream
    return images[order], labels[order]
