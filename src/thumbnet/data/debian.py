"""Files from a package of Debian or Ubuntu, without root and without installing it.

`apt-get download` fetches the package through whatever mirrors and proxies the system is set up with; where the
system's package lists are empty (in containers, mostly) they are fetched into a folder that lives as long as this run.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from thumbnet.data.archives import ArchiveError, read_tar_stream
from thumbnet.data.catalogue import DebianPackage
from thumbnet.data.fetch import FetchError, Report

#: Seconds without data after which apt gives up a connection, and after which this module gives up apt: a little
#: later, so that one dead source among the system's does not end the search.
_CONNECTION_TIMEOUT = 6
_STALL = 8.0
_POLL = 0.1


@contextmanager
def package_folder(package: DebianPackage, names: Collection[str], report: Report) -> Iterator[Path]:
    """A folder with the files of these names from the package: where it is installed, or a temporary one.

    Args:
        package: an entry of the catalogue.
        names: names of files in the package's folder.
        report: told of the progress.

    Raises:
        FetchError: this is no Debian, or the package cannot be had or read.
    """
    installed = Path(package.folder)
    if all((installed / name).is_file() for name in names):
        yield installed
        return
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise FetchError(f"{tool} is not here: this system is neither Debian nor Ubuntu")
    with tempfile.TemporaryDirectory(prefix="thumbnet-apt-") as temporary:
        folder = Path(temporary)
        deb = _download(package.name, folder, report)
        _unpack(deb, {f"{package.folder.strip('/')}/{name}" for name in names}, folder / "files")
        yield folder / "files"


def _download(package: str, folder: Path, report: Report) -> Path:
    """Downloads the package into `folder` and returns where it is."""
    options = [f"-oAcquire::{scheme}::Timeout={_CONNECTION_TIMEOUT}" for scheme in ("http", "https")]
    command = ["apt-get", "-q", "-oAcquire::Retries=0", *options]
    total = _announced_size(command, package, folder)
    if total is None:
        command += _own_state(folder / "apt")
        # Some of the system's sources may fail to answer; what counts is whether the package is known afterwards.
        _run([*command, "update"], folder, lambda done, _: report(done, None), check=False)
        total = _announced_size(command, package, folder)
        if total is None:
            raise FetchError("the package is in none of the system's apt sources, or its lists cannot be fetched")
    target = folder / "package"
    target.mkdir()
    _run([*command, "download", package], target, lambda done, _: report(done, total))
    return next(target.glob("*.deb"))


def _own_state(folder: Path) -> list[str]:
    """Options that keep package lists and cache in `folder`, and the system's own untouched."""
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()  # as if nothing were installed
    places = {
        "Dir::State": "state",
        "Dir::State::lists": "state/lists",
        "Dir::State::status": "status",
        "Dir::Cache": "cache",
        "Dir::Cache::archives": "cache/archives",
    }
    return [f"-o{option}={folder}/{place}" for option, place in places.items()]


def _announced_size(command: list[str], package: str, folder: Path) -> int | None:
    """How many bytes the package has; None where the lists do not know it. Needs no network."""
    answer = subprocess.run(
        [*command, "download", "--print-uris", package], cwd=folder, env=_environment(), capture_output=True, text=True
    )
    fields = answer.stdout.split()  # 'uri' file size hash
    return int(fields[2]) if answer.returncode == 0 and len(fields) >= 3 and fields[2].isdigit() else None


def _run(command: list[str], folder: Path, report: Report, check: bool = True) -> None:
    """Runs apt-get in `folder`, and ends it when that folder stops growing."""
    with tempfile.TemporaryFile("w+") as log:
        # A session of its own, so that apt's helper processes end with it.
        process = subprocess.Popen(
            command, cwd=folder, env=_environment(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            size, last_growth = 0, time.monotonic()
            while process.poll() is None:
                time.sleep(_POLL)
                if (now := _bytes_below(folder)) != size:
                    size, last_growth = now, time.monotonic()
                    report(size, None)
                if time.monotonic() - last_growth > _STALL:
                    raise FetchError(f"nothing arrived through apt-get for {_STALL:g} s")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if check and process.returncode != 0:
            log.seek(0)
            raise FetchError(_first_error(log.read()))


def _first_error(log: str) -> str:
    errors = [line.removeprefix("E:").strip() for line in log.splitlines() if line.startswith("E:")]
    return f"apt-get: {errors[0]}" if errors else "apt-get failed without saying why"


def _bytes_below(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        try:
            size += path.stat().st_size
        except OSError:  # renamed since it was listed, or not ours to see
            continue
    return size


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C"}


def _unpack(deb: Path, wanted: Collection[str], folder: Path) -> None:
    """Writes those files of a package into one folder."""
    folder.mkdir()
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            for path, content in read_tar_stream(process.stdout, wanted):
                (folder / Path(path).name).write_bytes(content)
        except ArchiveError as error:
            raise FetchError(f"{deb.name}: {error}") from None
