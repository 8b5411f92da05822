"""A user's own images: every layout, archive, colour mode and mistake that is likely to turn up."""

import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thumbnet.data.arrays import load_info, load_names, load_split
from thumbnet.data.download import download
from thumbnet.data.image_folder import decode_image, find_layout
from thumbnet.errors import UserError
from thumbnet.params import DatasetParams

RANDOM = np.random.default_rng(0)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def photo(size: tuple[int, int] = (8, 8), channels: int = 3) -> Image.Image:
    pixels = RANDOM.integers(0, 256, (size[1], size[0], channels), np.uint8)
    return Image.fromarray(pixels if channels > 1 else pixels[..., 0])


def cut_avif() -> bytes:
    """An image of a format whose errors Pillow tells in a way of their own."""
    content = bytearray(encoded(photo((64, 64)), "AVIF"))
    content[81] = 0
    return bytes(content)


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def as_archive(folder: Path, ending: str, prefix: str = "") -> Path:
    path = folder.with_name(f"packed{ending}")
    files = sorted((file for file in folder.rglob("*") if file.is_file()), reverse=True)
    if ending == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, prefix + file.relative_to(folder).as_posix())
    else:
        mode: Any = "w:" + {".tar": "", ".tar.gz": "gz", ".tar.xz": "xz"}[ending]
        with tarfile.open(path, mode) as tar:
            for file in files:
                tar.add(file, prefix + file.relative_to(folder).as_posix())
    return path


def save_as_arrays(place: Path, destination: Path, size: int = 8) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    download(DatasetParams(name="image_folder", path=str(place), image_size=size), destination)
    return {split: load_split(destination, split) for split in ("train", "test")}


@pytest.fixture
def photos(project: Path) -> Path:
    """Three cats, two dogs, and one of each to test with; the first pixel tells which is which."""
    files = {}
    for number, name in enumerate(
        ["train/dog/1", "train/cat/2", "train/cat/10", "train/cat/1", "train/dog/2", "test/dog/x", "test/cat/y"]
    ):
        image = photo()
        image.putpixel((0, 0), (number, 0, 0))
        files[f"{name}.png"] = encoded(image)
    junk = {"train/.DS_Store": b"x", "train/cat/Thumbs.db": b"x", "train/cat/notes.txt": b"x", "README": b"x"}
    return write(project / "photos", {**files, **junk})


@pytest.mark.parametrize("ending", ["", ".zip", ".tar", ".tar.gz", ".tar.xz"])
@pytest.mark.parametrize("prefix", ["", "my photos/"])
def test_folders_and_archives_give_the_same_arrays(photos, project, ending, prefix):
    place = photos
    if ending:
        place = as_archive(photos, ending, prefix)
    elif prefix:
        place = project / "outer"
        shutil.copytree(photos, place / prefix)
    split = save_as_arrays(place, project / "raw")
    # cat/1, dog/1, cat/10, dog/2, cat/2: each class in name order, spread evenly
    assert split["train"][0][:, 0, 0, 0].tolist() == [3, 0, 2, 4, 1]
    assert split["train"][1].tolist() == [0, 1, 0, 1, 0]
    assert split["test"][0][:, 0, 0, 0].tolist() == [6, 5]
    info = load_info(project / "raw")
    assert (info.classes, info.image_shape, info.counts) == (("cat", "dog"), (8, 8, 3), {"train": 5, "test": 2})
    names = [f"{prefix}train/{name}.png" for name in ("cat/1", "dog/1", "cat/10", "dog/2", "cat/2")]
    assert load_names(project / "raw", "train") == names


def test_what_is_not_read_is_said(photos, project, capsys):
    write(photos, {"validation/cat/1.png": b"", "train/cat/album.pdf": b""})
    save_as_arrays(photos, project / "raw")
    assert "not read: *.db (1), *.pdf (1), *.txt (1), validation/ (1)" in capsys.readouterr().out


def test_without_test_images_the_test_arrays_are_empty(photos, project):
    shutil.rmtree(photos / "test")
    split = save_as_arrays(photos, project / "raw")
    assert (split["test"][0].shape, split["test"][1].shape) == ((0, 8, 8, 3), (0,))
    assert load_split(project / "raw", "test", mmap=True)[0].dtype == np.uint8


def test_the_last_images_have_their_share_of_every_class(project):
    grey = encoded(photo(channels=1))
    counts = {"a": 60, "b": 30, "c": 10}
    place = write(
        project / "many", {f"train/{name}/{n}.png": grey for name, size in counts.items() for n in range(size)}
    )
    labels = save_as_arrays(place, project / "raw")["train"][1]
    assert np.bincount(labels[-20:]).tolist() == [12, 6, 2]


def test_all_grey_images_keep_one_channel_and_one_coloured_pixel_keeps_three(photos, project):
    grey = [photo(channels=1) for _ in range(4)]
    files = {f"train/{'ab'[n % 2]}/{n}.png": encoded(image) for n, image in enumerate(grey)}
    place = write(project / "grey", {**files, "train/a/rgb.png": encoded(grey[0].convert("RGB"))})
    images, _ = save_as_arrays(place, project / "raw")["train"]
    assert images.shape == (5, 8, 8, 1)
    np.testing.assert_array_equal(images[0, ..., 0], np.asarray(grey[0]))
    assert load_info(project / "raw").image_shape == (8, 8, 1)
    tinted = grey[0].convert("RGB")
    tinted.putpixel((3, 3), (1, 2, 3))
    write(place, {"train/b/tinted.png": encoded(tinted)})
    assert save_as_arrays(place, project / "raw")["train"][0].shape == (6, 8, 8, 3)


def test_the_same_images_give_the_same_bytes(photos, project):
    for name in ("one", "two"):
        save_as_arrays(photos, project / name)
    one, two = ({path.name: path.read_bytes() for path in (project / name).iterdir()} for name in ("one", "two"))
    assert one == two
    assert set(json.loads(one["dataset.json"])["sha256"]) == {"train", "test"}


def remove(*names: str) -> Callable[[Path], None]:
    def act(root: Path) -> None:
        for name in names:
            shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()

    return act


def add(name: str, content: bytes) -> Callable[[Path], None]:
    def act(root: Path) -> None:
        write(root, {name: content})

    return act


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove("train"), r"has no train/<class>/ folders; it has README, test"),
        (remove("train/dog"), r"train has 1 class"),
        (add("test/bird/1.png", b""), r"test has classes that train lacks: bird"),
        (add("train/bird/list.txt", b""), r"no images in train/bird; files count that end in .*\.png"),
        (add("train/stray.jpg", b""), r"train/stray\.jpg lies in no class; images go to train/<class>/"),
        (add("train/cat/broken.jpg", b"\xff\xd8\xff no picture"), r"train/cat/broken\.jpg is broken or no image"),
        (add("test/cat/empty.png", b""), r"test/cat/empty\.png is broken or no image"),
        (add("train/cat/cut.png", encoded(photo((64, 64)))[:5000]), r"train/cat/cut\.png cannot be read"),
        (add("train/cat/cut.avif", cut_avif()), r"train/cat/cut\.avif cannot be read: Failed to decode"),
        (add("train/cat/f.tif", encoded(Image.new("F", (8, 8)), "TIFF")), r"train/cat/f\.tif .* floating-point"),
    ],
    ids=["no train", "one class", "test only", "empty class", "stray", "broken", "empty", "cut", "avif", "float"],
)
def test_mistakes_name_the_file_or_the_class(photos, project, spoil, message, packed):
    spoil(photos)
    place = as_archive(photos, ".zip") if packed else photos
    with pytest.raises(UserError, match=message):
        save_as_arrays(place, project / "raw")
    assert not (project / "raw").exists()
    assert not list(project.glob(".*")), "nothing half-written may stay"


@pytest.mark.parametrize(
    ("link", "to", "message"),
    [
        ("train/up", "..", r"photos: the link train/up leads back to where it lies; remove it"),
        ("train/cat/lost.png", "nowhere", r"photos: train/cat/lost\.png cannot be read: No such file or directory"),
    ],
)
def test_links_that_lead_to_no_image_are_named(link, to, message, photos):
    (photos / link).symlink_to(to)
    with pytest.raises(UserError, match=message):
        find_layout(photos)


def test_links_are_followed_and_hidden_ones_left_alone(photos, project):
    shutil.move(photos / "train/cat", project / "elsewhere")
    (photos / "train/cat").symlink_to(project / "elsewhere")
    (photos / "train/dog/.#1.png").symlink_to("nobody@nowhere")  # Emacs's mark of a file that is being edited
    (photos / "train/.up").symlink_to("..")
    assert [file.label for file in find_layout(photos).files["train"]].count(0) == 3


def test_a_class_is_the_same_however_its_umlaut_is_written(photos):
    one, other = "K\u00e4tzchen", "Ka\u0308tzchen"
    (photos / "train/cat").rename(photos / "train" / one)
    (photos / "test/cat").rename(photos / "test" / other)
    layout = find_layout(photos)
    assert layout.classes == (one, "dog")
    assert len(layout.files["test"]) == 2


def test_an_empty_folder_is_an_empty_class(photos):
    (photos / "train/bird").mkdir()
    with pytest.raises(UserError, match="no images in train/bird"):
        find_layout(photos)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", "nowhere: no such file or folder"),
        ("file.rar", r"neither a folder nor an archive"),
        ("escape.zip", r"\.\./x\.png in the archive leads outside it"),
        ("twice.zip", r"has train/a/1\.png twice"),
    ],
)
def test_unusable_places(project, path, message):
    (project / "file.rar").touch()
    with zipfile.ZipFile(project / "escape.zip", "w") as archive:
        archive.writestr("../x.png", b"")
    with zipfile.ZipFile(project / "twice.zip", "w") as archive:
        for name in ("train/a/1.png", "train/b/1.png"):
            archive.writestr(name, encoded(photo()))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("train/a/1.png", encoded(photo()))
    with pytest.raises(UserError, match=message) as error:
        save_as_arrays(Path(path), project / "raw")
    assert "dataset.path" in str(error.value)


def palette_image() -> Image.Image:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    return image


def sixteen_bit() -> Image.Image:
    return Image.fromarray(np.full((4, 4), 40_000, np.uint16))


def white_is_zero() -> bytes:
    """A TIFF of 16 bits whose tag of the photometric interpretation (262, one short) says 0 in place of 1."""
    tag = b"\x06\x01\x03\x00\x01\x00\x00\x00"
    content = encoded(sixteen_bit(), "TIFF")
    assert content.count(tag + b"\x01") == 1
    return content.replace(tag + b"\x01", tag + b"\x00")


MODES = {
    "L": (encoded(Image.new("L", (4, 4), 99)), [99, 99, 99]),
    "1": (encoded(Image.new("1", (4, 4), 1)), [255, 255, 255]),
    "RGB": (encoded(Image.new("RGB", (4, 4), (1, 2, 3))), [1, 2, 3]),
    "palette": (encoded(palette_image()), [10, 20, 30]),
    "palette with transparency": (encoded(palette_image(), transparency=1), [0, 0, 0]),
    "RGBA, half transparent": (encoded(Image.new("RGBA", (4, 4), (200, 100, 50, 51))), [40, 20, 10]),
    "LA, transparent": (encoded(Image.new("LA", (4, 4), (200, 0))), [0, 0, 0]),
    "16 bit PNG": (encoded(sixteen_bit()), [156, 156, 156]),
    "16 bit TIFF": (encoded(sixteen_bit(), "TIFF"), [156, 156, 156]),
    "16 bit PNG, transparent": (encoded(sixteen_bit(), transparency=40_000), [0, 0, 0]),
    "16 bit TIFF, white is zero": (white_is_zero(), [99, 99, 99]),
    "GIF": (encoded(palette_image(), "GIF"), [10, 20, 30]),
    "CMYK": (encoded(Image.new("CMYK", (4, 4), (0, 0, 255, 0)), "TIFF"), [255, 255, 0]),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [4, 8, 2])
def test_every_mode_becomes_8_bit_rgb(mode, size):
    content, colour = MODES[mode]
    pixels = decode_image(content, size)
    assert pixels.shape == (size, size, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.broadcast_to(colour, pixels.shape))


def test_images_of_the_right_size_are_not_touched():
    image = photo((6, 6))
    np.testing.assert_array_equal(decode_image(encoded(image), 6), np.asarray(image))


def test_exif_orientation_turns_the_image():
    image = Image.new("RGB", (16, 16), "black")
    image.paste("white", (0, 0, 16, 8))  # bright above
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that the picture has to be turned clockwise
    turned = decode_image(encoded(image, exif=exif), 16)
    assert turned[:, 8:].min() == 255
    assert turned[:, :8].max() == 0


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_shrinking_averages_and_so_does_not_alias(form):
    """A fine checkerboard becomes grey; picking single pixels of it would make black or white."""
    board = (np.indices((512, 512)).sum(0) % 2 * 255).astype(np.uint8)
    pixels = decode_image(encoded(Image.fromarray(board), form), 16)
    assert np.abs(pixels.astype(int) - 127).max() <= 4
