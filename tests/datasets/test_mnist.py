"""The bundled digits, a full MNIST on disk, and files that are neither."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from tinyflow.datasets import get_mnist
from tinyflow.errors import FeedError


@pytest.fixture(scope="module")
def mnist():
    return get_mnist()


def test_bundled_images_are_scaled_to_one_and_in_nchw(mnist):
    assert mnist.train.images.shape == (4000, 1, 28, 28)
    assert mnist.test.images.shape == (1000, 1, 28, 28)
    assert mnist.train.images.dtype == np.float32
    assert mnist.train.images.min() == 0 and mnist.train.images.max() == 1


def test_every_digit_is_in_both_parts(mnist):
    assert mnist.train.labels.dtype == np.int64
    assert np.bincount(mnist.train.labels).min() > 350
    assert np.bincount(mnist.test.labels).min() > 70


def test_flatten_and_onehot_change_the_form_and_not_the_order(mnist):
    flat = get_mnist(flatten=True, onehot=True)
    assert flat.train.images.shape == (4000, 784)
    assert flat.train.labels.shape == (4000, 10) and flat.train.labels.dtype == np.float32
    np.testing.assert_array_equal(flat.train.images, mnist.train.images.reshape(4000, 784))
    np.testing.assert_array_equal(flat.test.labels.argmax(1), mnist.test.labels)


def test_the_order_is_fixed(mnist):
    assert mnist.train.labels[:8].tolist() == [5, 4, 2, 2, 8, 4, 9, 6]


def test_batches_follow_each_other_and_start_again_at_the_end():
    train = get_mnist().train
    first, labels = train.next_batch(1500)
    second, _ = train.next_batch(1500)
    again, _ = train.next_batch(1500)  # 1,000 are left, too few for a full batch
    np.testing.assert_array_equal(second, train.images[1500:3000])
    np.testing.assert_array_equal(again, first)
    assert labels.shape == (1500,)


def test_one_epoch_of_even_batches_uses_every_image():
    train = get_mnist().train
    labels = np.concatenate([train.next_batch(100)[1] for _ in range(40)])
    np.testing.assert_array_equal(labels, train.labels)


@pytest.mark.parametrize("size", [0, -1, 4001, 2.5, None])
def test_a_wrong_batch_size_is_refused(mnist, size):
    with pytest.raises(FeedError, match=r"batch size.*1 to 4000"):
        mnist.train.next_batch(size)


def _idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def _full(folder: Path, zipped: bool) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    parts = {}
    for name, count in (("train", 30), ("t10k", 12)):
        parts[f"{name}-images-idx3"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        parts[f"{name}-labels-idx1"] = rng.integers(0, 10, count, dtype=np.uint8)
    for name, array in parts.items():
        file = folder / (f"{name}-ubyte.gz" if zipped else f"{name}-ubyte")
        file.write_bytes(gzip.compress(_idx(array)) if zipped else _idx(array))
    return parts


@pytest.mark.parametrize("zipped", [False, True])
def test_a_folder_of_idx_files_is_read(tmp_path, zipped):
    parts = _full(tmp_path, zipped)
    mnist = get_mnist(flatten=True, path=tmp_path)
    assert len(mnist.train) == 30
    np.testing.assert_array_equal(mnist.test.labels, parts["t10k-labels-idx1"])
    np.testing.assert_allclose(
        mnist.test.images[3], parts["t10k-images-idx3"][3].ravel() / 255, rtol=1e-6
    )
    total = parts["train-images-idx3"].sum() / 255  # shuffled, but all there
    np.testing.assert_allclose(mnist.train.images.sum(), total, rtol=1e-5)


def test_an_npz_with_its_own_division_keeps_it(tmp_path):
    digits = np.arange(20 * 784, dtype=np.uint32).astype(np.uint8).reshape(20, 28, 28)
    labels = (np.arange(20) % 10).astype(np.uint8)
    file = tmp_path / "mnist.npz"
    np.savez(file, x_train=digits[:15], y_train=labels[:15], x_test=digits[15:], y_test=labels[15:])
    mnist = get_mnist(path=str(file))
    assert sorted(mnist.train.labels) == sorted(labels[:15])
    np.testing.assert_array_equal(mnist.test.labels, labels[15:])


def _bad_files(tmp_path: Path) -> dict[str, Path]:
    text = tmp_path / "text.npz"
    text.write_text("not an archive")
    missing_part = tmp_path / "half.npz"
    np.savez(missing_part, images=np.zeros((4, 28, 28), np.uint8))
    array = tmp_path / "array.npy"
    np.save(array, np.zeros(3))
    few_labels = tmp_path / "few.npz"
    np.savez(few_labels, images=np.zeros((9, 28, 28), np.uint8), labels=np.zeros(4, np.uint8))
    sizes = tmp_path / "sizes.npz"
    np.savez(sizes, images=np.zeros((5, 32, 32), np.uint8), labels=np.zeros(5, np.uint8))
    floats = tmp_path / "floats.npz"
    np.savez(floats, images=np.zeros((5, 28, 28)), labels=np.zeros(5, np.uint8))
    classes = tmp_path / "classes.npz"
    np.savez(classes, images=np.zeros((5, 28, 28), np.uint8), labels=np.full(5, 10))
    empty = tmp_path / "empty"
    empty.mkdir()
    cut = tmp_path / "cut"
    cut.mkdir()
    _full(cut, zipped=False)
    labels = cut / "train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-3])
    header = tmp_path / "header"
    header.mkdir()
    _full(header, zipped=False)
    (header / "t10k-images-idx3-ubyte").write_bytes(b"\x00\x00\x08\x03\x00")
    zipped = tmp_path / "zipped"
    zipped.mkdir()
    _full(zipped, zipped=True)
    broken = zipped / "train-images-idx3-ubyte.gz"
    broken.write_bytes(broken.read_bytes()[:40])
    return {
        "no file": tmp_path / "nowhere",
        "text": text,
        "a part is missing": missing_part,
        "one array": array,
        "fewer labels": few_labels,
        "other sizes": sizes,
        "floats": floats,
        "class 10": classes,
        "empty folder": empty,
        "cut idx": cut,
        "cut header": header,
        "cut gzip": zipped,
    }


def test_files_that_are_not_mnist_are_refused_by_name(tmp_path):
    for case, path in _bad_files(tmp_path).items():
        with pytest.raises(FeedError) as caught:
            get_mnist(path=path)
        assert str(path) in str(caught.value), case
        assert caught.value.expected, case
