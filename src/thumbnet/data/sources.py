"""The search for a data set's official files: local copies first, then the catalogue's sources, one after the other.

Every source that fails says why, in a line as it happens and in the one error that ends a search in vain. How a kind
of source is read is left to `official`, `fetch` and `debian`.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock

from thumbnet.data.catalogue import Dataset, DebianPackage, Source, WebAddress
from thumbnet.data.debian import package_folder
from thumbnet.data.fetch import FetchError, Limits, discard, fetch, progress_bar, unreachable
from thumbnet.data.official import WrongContentsError, find_official, unpack_parcel
from thumbnet.errors import UserError
from thumbnet.paths import DOWNLOADS, checkout_root

LOCAL_COPY_VARIABLE = "THUMBNET_DATA"

#: Bytes per second below which the next mirror is tried, if there is one; what has arrived is kept.
_SLOW = 100_000


def local_places(path: str) -> Iterator[tuple[str, Path]]:
    """Where a local copy may be, with what each place is called in messages.

    A relative path counts from the current folder, then from the user's checkout: DVC's temporary copies of it lack
    what git does not know.

    Args:
        path: `dataset.path`.
    """
    named = [(f"dataset.path = {path}", path)] if path else []
    if from_environment := os.environ.get(LOCAL_COPY_VARIABLE):
        named.append((f"{LOCAL_COPY_VARIABLE} = {from_environment}", from_environment))
    for label, name in named:
        place = Path(name).expanduser()
        yield label, place
        if not place.is_absolute() and (checkout_root() / place).resolve() != place.resolve():
            yield f"{label} in {checkout_root()}", checkout_root() / place


def obtain(dataset: Dataset, path: str, limits: Limits) -> dict[str, bytes]:
    """The official files of a data set from the first source that has them.

    Args:
        dataset: an entry of the catalogue that has `files`.
        path: `dataset.path`.
        limits: time limits of each web source.

    Returns:
        The unpacked, verified contents of each of `dataset.files`, by name.

    Raises:
        UserError: no source has them; the message lists each with its reason, and what helps.
    """
    failures: list[tuple[str, str]] = []
    for label, place in local_places(path):
        try:
            contents = find_official(place, dataset)
        except WrongContentsError as error:
            failures.append((label, str(error)))
        else:
            print(f"{dataset.title}: found in {place}", flush=True)
            return contents
    downloads = checkout_root() / DOWNLOADS
    downloads.mkdir(parents=True, exist_ok=True)
    with FileLock(downloads / f"{dataset.name}.lock"):  # another experiment may want the same files at this moment
        return _obtain_from_afar(dataset, downloads, limits, failures)


def _obtain_from_afar(
    dataset: Dataset, downloads: Path, limits: Limits, failures: list[tuple[str, str]]
) -> dict[str, bytes]:
    addresses = [source for source in dataset.sources if isinstance(source, WebAddress)]
    dead = unreachable([address.of(dataset.parcels[0]) for address in addresses], limits.connect)
    contents: dict[str, bytes] = {}  # one mirror may have some files, and another the rest
    for source in dataset.sources:
        label = _label(source)
        try:
            match source:
                case WebAddress():
                    if reason := dead.get(source.of(dataset.parcels[0])):
                        raise FetchError(reason)
                    is_last = source == addresses[-1]
                    _fetch_parcels(
                        source, dataset, contents, downloads, limits if is_last else replace(limits, slowest=_SLOW)
                    )
                case DebianPackage():
                    contents |= _from_package(source, dataset)
        except (FetchError, WrongContentsError) as error:
            failures.append((label, str(error)))
            print(f"{dataset.title}: {label}: {error}", flush=True)
        else:
            print(f"{dataset.title}: downloaded from {label}", flush=True)
            return contents
    raise UserError(_nothing_found(dataset, failures))


def _fetch_parcels(
    source: WebAddress, dataset: Dataset, contents: dict[str, bytes], downloads: Path, limits: Limits
) -> None:
    """Adds to `contents` what it still lacks."""
    for parcel in dataset.parcels:
        if all(file.name in contents for file in dataset.files if file.parcel == parcel):
            continue
        part = downloads / f"{dataset.name}-{parcel}.part"
        was_begun = part.exists()
        with progress_bar(parcel) as report:
            fetch(source.of(parcel), part, report, limits)
            try:
                contents |= unpack_parcel(part, parcel, dataset)
            except WrongContentsError:
                discard(part)
                if not was_begun:
                    raise
                # The beginning may have come from another mirror, or be damaged: once more, from this one alone.
                fetch(source.of(parcel), part, report, limits)
                contents |= unpack_parcel(part, parcel, dataset)
        discard(part)


def _from_package(package: DebianPackage, dataset: Dataset) -> dict[str, bytes]:
    with progress_bar(package.name) as report, package_folder(package, dataset.parcels, report) as folder:
        return find_official(folder, dataset)


def _label(source: Source) -> str:
    match source:
        case WebAddress(template):
            parts = urlsplit(template)
            return f"{parts.scheme}://{parts.netloc}"
        case DebianPackage(name):
            return f"Debian package {name}"


def _nothing_found(dataset: Dataset, failures: list[tuple[str, str]]) -> str:
    named = {"dataset.name": dataset.name, "dataset.path": "FOLDER"}
    digits = {"dataset.name": "digits", "split.kind": "fraction", "split.validation": "0.1"}
    tried = "\n".join(f"    {label}: {reason}" for label, reason in failures)
    return f"""none of its sources gave {dataset.title} (dataset.name = {dataset.name}). Tried:
{tried}
  Any of these helps:
  - connect this machine to the internet and run the same command again; what has arrived is kept
  - put into data/local, from anywhere, packed or unpacked:
      {" ".join(dataset.parcels)}
  - name a folder or archive that has them, in the environment variable {LOCAL_COPY_VARIABLE} or as a parameter:
      {_command(named)}
  - run the same job on the digits that scikit-learn brings, without any download:
      {_command(digits)}"""


def _command(values: dict[str, str]) -> str:
    """How to run the pipeline with other values: an experiment where git is, an edited file elsewhere."""
    root = checkout_root()
    activate = ". .venv/bin/activate && " if (root / ".venv/bin/activate").exists() else ""  # stages call `python`
    if (root / ".git").exists():
        return f"{activate}dvc exp run " + " ".join(f"-S {key}={value}" for key, value in values.items())
    return (
        "in params.yaml set "
        + ", ".join(f"{key}: {value}" for key, value in values.items())
        + f"; then: {activate}dvc repro"
    )
