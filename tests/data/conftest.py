"""A data set of six images in MNIST's format, and a web server on this machine that serves it well or badly."""

import gzip
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from thumbnet.data.catalogue import (
    CATALOGUE,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    Dataset,
    OfficialFile,
    Source,
)


def idx(array: np.ndarray) -> bytes:
    """Writes an idx file of unsigned bytes."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(length.to_bytes(4, "big") for length in array.shape)
    return header + array.astype(np.uint8).tobytes()


@dataclass
class Tiny:
    """The official files of a tiny data set, and the arrays that are in them."""

    train_images: np.ndarray
    train_labels: np.ndarray
    files: dict[str, bytes]

    @property
    def packed(self) -> dict[str, bytes]:
        return {f"{name}.gz": gzip.compress(content) for name, content in self.files.items()}

    def dataset(self, *sources: Source, name: str = "mnist") -> Dataset:
        files = tuple(
            OfficialFile(file, f"{file}.gz", hashlib.sha256(content).hexdigest())
            for file, content in self.files.items()
        )
        return Dataset(name, "Tiny", ("one", "other"), (5, 4, 1), 6, 2, files, sources)


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    images = np.random.default_rng(0).integers(0, 256, (8, 5, 4), np.uint8)
    labels = np.array([0, 1, 0, 1, 1, 0, 1, 0], np.uint8)
    files = {
        TRAIN_IMAGES: idx(images[:6]),
        TRAIN_LABELS: idx(labels[:6]),
        TEST_IMAGES: idx(images[6:]),
        TEST_LABELS: idx(labels[6:]),
    }
    return Tiny(images[:6, ..., np.newaxis], labels[:6].astype(np.int64), files)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Dataset], None]:
    """Puts a data set into the catalogue for the length of a test."""
    return lambda dataset: monkeypatch.setitem(CATALOGUE, dataset.name, dataset)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project without local copies of anything, as the current folder."""
    folder = tmp_path / "project"
    (folder / "data/local").mkdir(parents=True)
    (folder / "dvc.yaml").touch()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("THUMBNET_DATA", raising=False)
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    return folder


@dataclass
class Site:
    """What the server has, and what it was asked for."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    #: For every request: the path, and the headers Range and If-Range.
    requests: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    #: Ends the waiting of stalled answers.
    closing: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def site() -> Iterator[Site]:
    """A server whose manners are the first part of the path: `/<manner>/<file>`.

    good: all is well · plain: knows no ranges · untagged: no ETag, no date · drop: closes every connection halfway
    through what is left · stall: stops halfway through · crawl: a byte at a time · missing: 404 · elsewhere: answers
    with another range · unsized: tells no length · newer: other bytes under another ETag than `good` · page: a page
    of text.
    """

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            _, manner, name = self.path.split("/")
            asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
            served.requests.append((self.path, asked, condition))
            if manner == "missing" or name not in served.files:
                self.send_error(404)
                return
            whole = b"<html>please log in</html>" if manner == "page" else served.files[name]
            whole = whole[::-1] if manner == "newer" else whole
            tag = f'"{hashlib.md5(whole).hexdigest()}"'
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and manner != "plain" else 0
            start = 0 if condition not in (None, tag) else start
            if start >= len(whole):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(whole)}")
                self.end_headers()
                return
            start -= bool(start) and manner == "elsewhere"
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
            if manner != "unsized":
                self.send_header("Content-Length", str(len(whole) - start))
            if manner != "untagged":
                self.send_header("ETag", tag)
            self.end_headers()
            self.send_body(manner, whole[start:])

        def send_body(self, manner: str, body: bytes) -> None:
            match manner:
                case "drop":
                    self.wfile.write(body[: (len(body) + 1) // 2])
                    self.close_connection = True
                case "stall":
                    self.wfile.write(body[: len(body) // 2])
                    self.wfile.flush()
                    served.closing.wait(5)
                case "crawl":
                    for number in range(len(body)):
                        if served.closing.wait(0.02):
                            return
                        self.wfile.write(body[number : number + 1])
                        self.wfile.flush()
                case _:
                    self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served = Site(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield served
    served.closing.set()
    server.shutdown()
    server.server_close()
    thread.join()
