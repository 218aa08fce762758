"""CIFAR-10 in all published forms, none at all, made up, fetched, and files that are neither."""

import hashlib
import os
import pickle
import tarfile

import numpy as np
import pytest

from tinyflow.datasets import get_cifar10
from tinyflow.datasets.cifar10 import fetch
from tinyflow.errors import FeedError

NAMES = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 4, 3072), dtype=np.uint8)
LABELS = RNG.integers(0, 10, (6, 4))


def binary(i):
    return np.concatenate([LABELS[i][:, None].astype("uint8"), PIXELS[i]], axis=1).tobytes()


def pickled(i, **more):
    batch = {b"data": PIXELS[i], b"labels": LABELS[i].tolist(), b"batch_label": b"x", **more}
    return pickle.dumps(batch, protocol=3)


def folder(tmp_path, version):
    made = tmp_path / f"cifar-10-batches-{version}"
    made.mkdir()
    for i, name in enumerate(NAMES):
        content = binary(i) if version == "bin" else pickled(i)
        (made / (f"{name}.bin" if version == "bin" else name)).write_bytes(content)
    return made


def archive(tmp_path, version):
    target = tmp_path / f"cifar-10-{'binary' if version == 'bin' else 'python'}.tar.gz"
    with tarfile.open(target, "w:gz") as file:
        for path in sorted(folder(tmp_path, version).iterdir()):
            file.add(path, f"{path.parent.name}/{path.name}")
            path.unlink()
    (tmp_path / f"cifar-10-batches-{version}").rmdir()
    return target


@pytest.fixture(autouse=True)
def _nothing_at_home(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)


@pytest.mark.parametrize("version", ["bin", "py"])
@pytest.mark.parametrize("make", [folder, archive])
@pytest.mark.parametrize("where", ["itself", "beside"])
def test_every_published_form_is_read(tmp_path, make, version, where):
    made = make(tmp_path, version)
    cifar = get_cifar10(made if where == "itself" else tmp_path)
    assert cifar.train.images.shape == (20, 3, 32, 32) and cifar.test.images.dtype == np.float32
    expected = PIXELS[5].reshape(4, 3, 32, 32) / 255
    np.testing.assert_allclose(cifar.test.images, expected, rtol=1e-6)
    np.testing.assert_array_equal(cifar.train.labels, LABELS[:5].ravel())
    assert cifar.train.labels.dtype == np.int64
    assert cifar.train.next_batch(10)[0].shape == (10, 3, 32, 32)


def test_a_copy_in_the_working_directory_is_found(tmp_path, monkeypatch):
    folder(tmp_path, "bin")
    monkeypatch.chdir(tmp_path)
    assert len(get_cifar10().train) == 20


def test_without_a_copy_nothing_is_fetched_and_the_ways_out_are_named(tmp_path):
    with pytest.raises(FeedError) as caught:
        get_cifar10()
    for word in ["no copy of CIFAR-10", "download=True", "synthetic=True", "cifar-10-batches-bin"]:
        assert word in str(caught.value)
    with pytest.raises(FeedError, match="no copy of CIFAR-10"):
        get_cifar10(tmp_path / "nowhere")


def test_made_up_images_are_the_same_every_time_and_say_their_class():
    first, second = get_cifar10(synthetic=True), get_cifar10(synthetic=True)
    np.testing.assert_array_equal(first.train.images, second.train.images)
    assert first.train.images.shape == (1000, 3, 32, 32) and first.test.labels.shape == (200,)
    means = [first.train.images[first.train.labels == k].mean(0) for k in range(10)]
    distances = [((first.test.images - mean) ** 2).sum((1, 2, 3)) for mean in means]
    assert np.mean(np.argmin(distances, 0) == first.test.labels) > 0.99


@pytest.mark.parametrize(
    "content", [b"", b"text", binary(0)[:-1], b"\x80\x02broken", pickle.dumps({}, protocol=2)]
)
def test_a_broken_file_is_named(tmp_path, content):
    made = folder(tmp_path, "py")
    (made / "data_batch_3").write_bytes(content)
    with pytest.raises(FeedError, match="cannot read CIFAR-10 from .*batches-py"):
        get_cifar10(made)


def test_a_missing_file_and_a_broken_archive_are_named(tmp_path):
    (folder(tmp_path, "bin") / "test_batch.bin").unlink()
    with pytest.raises(FeedError, match=r"test_batch\.bin"):
        get_cifar10(tmp_path)
    torn = tmp_path / "cifar-10-binary.tar.gz"
    torn.write_bytes(b"\x1f\x8b no archive")
    with pytest.raises(FeedError, match="cannot read"):
        get_cifar10(torn)


def test_labels_that_are_no_classes_are_refused(tmp_path):
    made = folder(tmp_path, "bin")
    (made / "test_batch.bin").write_bytes(b"\x0a" + bytes(3072))
    with pytest.raises(FeedError, match="labels"):
        get_cifar10(made)


class Attack:
    def __reduce__(self):
        return os.mkdir, ("was-run",)


def test_a_pickle_that_is_a_program_is_not_run(tmp_path):
    made = folder(tmp_path, "py")
    (made / "test_batch").write_bytes(pickled(5, attack=Attack()))
    with pytest.raises(FeedError, match="which is no array"):
        get_cifar10(made)
    assert not os.path.exists("was-run")


def test_a_download_is_checked_and_kept(tmp_path, capsys):
    source = archive(tmp_path, "bin")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    kept = fetch(source.as_uri(), digest, tmp_path / "cache" / "deep")
    assert kept.read_bytes() == source.read_bytes()
    assert "cifar-10-binary.tar.gz 0 MB" in capsys.readouterr().err
    assert len(get_cifar10(kept).test) == 4


def test_a_download_that_is_something_else_leaves_nothing(tmp_path):
    source = archive(tmp_path, "bin")
    with pytest.raises(FeedError, match="is not what it was; got .* expected 00"):
        fetch(source.as_uri(), "00", tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_a_download_that_fails_says_from_where(tmp_path, monkeypatch):
    with pytest.raises(FeedError, match="cannot download file:.*gone"):
        fetch((tmp_path / "gone").as_uri(), "00", tmp_path / "cache")

    def unreachable(url, timeout):
        raise OSError(f"no route to {url}")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    with pytest.raises(FeedError, match=r"cannot download https://.*\.tar\.gz.*Try again"):
        get_cifar10(download=True)
