"""Where a data set is looked for: local copies, mirrors, a Debian package; and how a search in vain ends."""

import gzip
import io
import re
import socket
import tarfile
import time
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from thumbnet.data.arrays import load_info, load_split
from thumbnet.data.catalogue import CATALOGUE, TEST_LABELS, TRAIN_IMAGES, DebianPackage, WebAddress
from thumbnet.data.download import download
from thumbnet.data.fetch import Limits
from thumbnet.errors import UserError
from thumbnet.params import DatasetParams

QUICK = Limits(connect=1, stall=1, attempts=1)


def get(path: str = "data/local", name: str = "mnist") -> Path:
    destination = Path("data/raw") / name
    download(DatasetParams.model_validate({"name": name, "path": path, "image_size": 8}), destination, QUICK)
    return destination


def put(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def zipped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"inner/{name}", content)
    return file.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"inner/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def dotted(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name.replace("-idx", ".idx"): content for name, content in files.items()}


@pytest.mark.parametrize(
    ("where", "files", "path"),
    [
        ("data/local", lambda tiny: tiny.files, "data/local"),
        ("data/local", lambda tiny: tiny.packed, "data/local"),
        ("data/local/MNIST/raw", lambda tiny: tiny.packed, "data/local"),
        ("elsewhere", lambda tiny: dotted(tiny.files), "elsewhere"),
        ("elsewhere", lambda tiny: {"all.zip": zipped(tiny.files)}, "elsewhere/all.zip"),
        ("elsewhere", lambda tiny: {"all.tar.gz": tarred(tiny.packed)}, "elsewhere/all.tar.gz"),
    ],
    ids=["unpacked", "packed", "two folders down", "dotted names", "zip", "tar of packed"],
)
@pytest.mark.parametrize("way", ["parameter", "environment"])
def test_local_copies(project, tiny, use, capsys, monkeypatch, where, files, path, way):
    use(tiny.dataset())
    put(project / where, files(tiny))
    if way == "environment":
        monkeypatch.setenv("THUMBNET_DATA", str(project / path))
    raw = get(path if way == "parameter" else "data/nothing")
    images, labels = load_split(raw, "train")
    np.testing.assert_array_equal(images, tiny.train_images)
    np.testing.assert_array_equal(labels, tiny.train_labels)
    printed = capsys.readouterr().out
    assert "6 training and 2 test images, 5×4, grey, 2 classes" in printed
    assert re.search(r"one +3 +1\n +other +3 +1\n", printed)


def test_wrong_files_of_the_same_name_are_passed_over(project, tiny, use):
    use(tiny.dataset())
    put(project / "data/local/a", {**tiny.files, TRAIN_IMAGES: tiny.files[TRAIN_IMAGES][:-1] + b"?"})
    put(project / "data/local/b", tiny.packed)
    np.testing.assert_array_equal(load_split(get(), "train")[0], tiny.train_images)


def test_the_search_ends_two_folders_down(project, tiny, use):
    use(tiny.dataset())
    put(project / "data/local/a/b/c", tiny.files)
    with pytest.raises(UserError, match=f"data/local: lacks {TRAIN_IMAGES}"):
        get()


def test_in_a_temporary_copy_the_checkouts_local_folder_counts(project, tiny, use, monkeypatch):
    use(tiny.dataset())
    put(project / "data/local", tiny.files)
    copy = project / ".dvc/tmp/exps/standalone/xyz"
    (copy / "data/local").mkdir(parents=True)
    (copy / "dvc.yaml").touch()
    monkeypatch.chdir(copy)
    assert load_info(get()).counts == {"train": 6, "test": 2}


def test_the_source_leaves_no_trace_in_the_output(project, site, tiny, use):
    site.files |= tiny.packed
    use(tiny.dataset(WebAddress(site.address + "/good/{parcel}")))
    from_web = {path.name: path.read_bytes() for path in get().iterdir()}
    put(project / "data/local", tiny.files)
    assert {path.name: path.read_bytes() for path in get().iterdir()} == from_web


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("missing", "HTTP 404"),
        ("stall", "no answer in time"),
        ("page", f"{TRAIN_IMAGES}.gz: the file cannot be unpacked: Not a gzipped file"),
    ],
)
def test_a_failing_mirror_is_named_and_the_next_one_is_used(project, site, tiny, use, capsys, manner, reason):
    site.files |= tiny.packed
    use(tiny.dataset(*(WebAddress(f"{site.address}/{kind}/{{parcel}}") for kind in (manner, "good"))))
    np.testing.assert_array_equal(load_split(get(), "train")[0], tiny.train_images)
    assert f"{site.address}: {reason}" in capsys.readouterr().out
    assert [path.suffix for path in (project / "data/downloads").iterdir()] in ([".lock"], [])


def test_a_download_begun_at_a_mirror_with_another_wrapper_is_begun_again(project, site, tiny, use):
    """Both are good copies; only gzip's level differs, and so do the bytes in the middle."""
    name = f"{TRAIN_IMAGES}.gz"
    site.files |= tiny.packed | {name: gzip.compress(tiny.files[TRAIN_IMAGES], 0)}
    begun = project / "data/downloads" / f"mnist-{name}.part"
    put(begun.parent, {begun.name: b"\0" * 20})
    begun.with_name(begun.name + ".json").write_text('{"address": "http://other", "total": null, "validator": null}')
    use(tiny.dataset(WebAddress(site.address + "/good/{parcel}")))
    np.testing.assert_array_equal(load_split(get(), "train")[0], tiny.train_images)
    assert [asked for path, asked, _ in site.requests if path.endswith(name)] == ["bytes=20-", None]


def test_an_interrupted_download_goes_on_next_time(project, site, tiny, use):
    site.files |= tiny.packed
    use(tiny.dataset(WebAddress(site.address + "/stall/{parcel}")))
    with pytest.raises(UserError):
        get()
    use(tiny.dataset(WebAddress(site.address + "/good/{parcel}")))
    site.requests.clear()
    np.testing.assert_array_equal(load_split(get(), "train")[0], tiny.train_images)
    assert site.requests[0][1] is not None


def test_a_search_in_vain_ends_in_seconds_and_says_everything(project, tiny, use, monkeypatch):
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        refused = f"http://127.0.0.1:{unused.getsockname()[1]}"
        use(
            tiny.dataset(
                WebAddress("http://no-such-host.invalid/{parcel}"),
                WebAddress(refused + "/{parcel}"),
                WebAddress("http://192.0.2.1/{parcel}"),  # an address that belongs to no one (RFC 5737)
            )
        )
        monkeypatch.setenv("THUMBNET_DATA", "/no/such/place")
        put(project / "data/local", {f"{TEST_LABELS}.gz": b"nonsense"})
        start = time.monotonic()
        with pytest.raises(UserError) as caught:
            get()
    assert time.monotonic() - start < 5
    message = str(caught.value)
    for part in (
        "dataset.name = mnist",
        f"dataset.path = data/local: data/local/{TEST_LABELS}.gz: ",
        "THUMBNET_DATA = /no/such/place: no such file or folder",
        "http://no-such-host.invalid: ",
        f"{refused}: connection refused",
        "http://192.0.2.1: ",
        f"put into data/local, from anywhere, packed or unpacked:\n      {TRAIN_IMAGES}.gz",
        "dataset.name: digits",
        "split.validation: 0.1",
    ):
        assert part in message
    assert not (project / "data/raw/mnist").exists()
    assert not list((project / "data/raw").iterdir())


@pytest.mark.parametrize("has_git", [True, False])
def test_the_command_for_digits_suits_the_folder(project, tiny, use, has_git):
    use(tiny.dataset())
    if has_git:
        (project / ".git").mkdir()
    command = "dvc exp run -S dataset.name=digits -S split.kind=fraction -S split.validation=0.1"
    with pytest.raises(UserError) as caught:
        get()
    assert (command in str(caught.value)) == has_git
    assert ("dvc repro" in str(caught.value)) != has_git


def test_an_installed_package_is_used(project, tiny, use, tmp_path):
    put(tmp_path / "installed", tiny.packed)
    use(tiny.dataset(DebianPackage("no-such-package", str(tmp_path / "installed"))))
    np.testing.assert_array_equal(load_split(get(), "train")[0], tiny.train_images)


@pytest.mark.network
def test_fashion_mnist_for_real(project):
    """The whole way to real files. It skips itself, with the reason, where neither mirrors nor apt can be reached."""
    try:
        raw = get(name="fashion_mnist")
    except UserError as error:
        pytest.skip(f"no source in reach: {error}")
    info = load_info(raw)
    assert info.counts == {"train": 60_000, "test": 10_000}
    assert info.sha256 == CATALOGUE["fashion_mnist"].sha256
