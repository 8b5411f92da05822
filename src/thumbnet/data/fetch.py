"""Downloading one file over HTTP: with time limits, a progress bar, and resumption of what was interrupted.

What arrives is not trusted here; the caller verifies it. Which addresses there are, and in which order they are tried,
is the caller's business too.
"""

import http.client
import json
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

#: Called with the bytes that are there and, where it is known, the bytes that there will be.
Report = Callable[[int, int | None], None]


class FetchError(Exception):
    """A source that did not deliver; the message says why in a few words."""


@dataclass(frozen=True)
class Limits:
    """How long a source may take, in seconds, and how slow it may be, in bytes per second."""

    #: Until a connection stands.
    connect: float = 4
    #: Between two pieces of data.
    stall: float = 15
    #: `slowest` must be kept up over this long.
    window: float = 30
    slowest: float = 5_000
    #: Connections, as long as each brings something.
    attempts: int = 5


@contextmanager
def progress_bar(title: str) -> Iterator[Report]:
    """A progress bar on a terminal, and nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    bar = Progress(
        *columns, TransferSpeedColumn(), TimeRemainingColumn(), transient=True, disable=not sys.stdout.isatty()
    )
    with bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def unreachable(addresses: Iterable[str], seconds: float) -> dict[str, str]:
    """Tries to connect to the hosts of all addresses at the same time.

    One short wait for all of them replaces one long wait for each, on a machine whose network drops packets silently.

    Returns:
        For each address whose host does not answer within so many seconds: why, in a few words.
    """
    endpoints = {address: _endpoint(address) for address in addresses}
    outcomes: dict[tuple[str, int], str | None] = {}

    def connect(endpoint: tuple[str, int]) -> None:
        try:
            socket.create_connection(endpoint, timeout=seconds).close()
            outcomes[endpoint] = None
        except OSError as error:
            outcomes[endpoint] = _plainly(error)

    # Daemons: looking up a name has no time limit of its own, and must not keep the program from ending.
    threads = [threading.Thread(target=connect, args=(one,), daemon=True) for one in set(endpoints.values())]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"no answer within {seconds:g} s"
    reasons = {address: outcomes.get(endpoint, late) for address, endpoint in endpoints.items()}
    return {address: reason for address, reason in reasons.items() if reason is not None}


def fetch(address: str, part: Path, report: Report, limits: Limits) -> None:
    """Downloads until `part` is complete, going on where an earlier download stopped.

    A note beside `part` remembers how long the whole is and which version of it the server had. Bytes that came from
    another address are kept if the whole is equally long there: mirrors serve identical files, and the caller's
    verification tells if not.

    Args:
        address: http or https.
        part: where the bytes are collected; it stays when this fails.
        report: told of the progress.
        limits: time limits.

    Raises:
        FetchError: the server refuses, stalls, crawls or keeps breaking off.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(limits.attempts):
        before = _size(part)
        try:
            if _request_rest(address, part, report, limits):
                return
            reason = f"broke off after {_size(part):,} bytes"
        except (OSError, http.client.HTTPException) as error:
            reason = _plainly(error)
            if _size(part) > before:
                reason += f" after {_size(part):,} bytes"
        if _size(part) <= before:
            break
    raise FetchError(reason)


def discard(part: Path) -> None:
    """Removes a download, finished or not, and the note beside it."""
    part.unlink(missing_ok=True)
    _note_path(part).unlink(missing_ok=True)


@dataclass(frozen=True)
class _Note:
    """What is known of the whole file that a part belongs to."""

    address: str
    total: int | None
    #: What the server calls this version of the file (a strong ETag, or the time of its last change).
    validator: str | None


def _request_rest(address: str, part: Path, report: Report, limits: Limits) -> bool:
    """One request for what is missing; tells whether nothing is missing afterwards."""
    note, have = _read_note(part), _size(part)
    if note and note.total and have == note.total:
        return True
    headers = {"User-Agent": "thumbnet", "Accept-Encoding": "identity"}
    if note and have:
        headers["Range"] = f"bytes={have}-"
        if note.address == address and note.validator:
            headers["If-Range"] = note.validator
    try:
        response = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=limits.stall)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            discard(part)  # it is longer than the file
            return _request_rest(address, part, report, limits)
        raise FetchError(f"HTTP {error.code} {error.reason}") from None
    with response:
        start, total = _extent(response)
        if start and not have:
            raise FetchError("HTTP 206 without having been asked for a part")
        if start and (start != have or (note and note.total not in (None, total))):
            discard(part)  # the rest of another file, or another part of it than asked for
            return _request_rest(address, part, report, limits)
        have = start
        _write_note(part, _Note(address, total, _validator(response.headers)))
        with part.open("r+b" if have else "wb") as file:
            file.seek(have)
            for piece in _pieces(response, limits):
                file.write(piece)
                have += len(piece)
                report(have, total)
    return total is None or have == total


def _pieces(response: http.client.HTTPResponse, limits: Limits) -> Iterator[bytes]:
    """What arrives, as it arrives; an error when it arrives too slowly."""
    window_start, in_window = time.monotonic(), 0
    while piece := response.read1(1 << 16):
        yield piece
        in_window += len(piece)
        elapsed = time.monotonic() - window_start
        if elapsed >= limits.window:
            if in_window / elapsed < limits.slowest:
                raise FetchError(f"too slow: {in_window / elapsed / 1000:.1f} kB/s")
            window_start, in_window = time.monotonic(), 0


def _extent(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Where in the file the response begins, and how long the whole file is."""
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:  # Content-Range: bytes 5-9/10
        span, _, whole = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        begin = span.partition("-")[0]
        if not begin.isdigit():
            raise FetchError("HTTP 206 without a usable Content-Range")
        return int(begin), int(whole) if whole.isdigit() else None
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _validator(headers: Message) -> str | None:
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified")


def _endpoint(address: str) -> tuple[str, int]:
    """The host and port that a request to this address connects to: its own, or those of the proxy in use."""
    parts = urlsplit(address)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.netloc):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80)


def _plainly(error: Exception) -> str:
    """A network error in a few words."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    match cause:
        case socket.gaierror():
            return "the host's name cannot be looked up"
        case TimeoutError():
            return "no answer in time"
        case ConnectionRefusedError():
            return "connection refused"
        case ConnectionResetError() | http.client.RemoteDisconnected() | http.client.IncompleteRead():
            return "the connection broke off"
        case OSError() if cause.strerror:
            return cause.strerror
        case _:
            return str(cause) or type(cause).__name__


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _note_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_note(part: Path) -> _Note | None:
    try:
        return _Note(**json.loads(_note_path(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _write_note(part: Path, note: _Note) -> None:
    _note_path(part).write_text(json.dumps(asdict(note)), encoding="utf-8")
