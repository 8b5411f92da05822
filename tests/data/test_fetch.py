"""One file over HTTP, from a real server on this machine: resumption, time limits, and what is said about failures."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from thumbnet.data.fetch import FetchError, Limits, discard, fetch, unreachable

CONTENT = bytes(range(256)) * 40
PATIENT = Limits(stall=5)


def silent(done: int, total: int | None) -> None:
    pass


@pytest.fixture
def part(project: Path) -> Path:
    return project / "downloads/file.part"


@pytest.fixture(autouse=True)
def _content(site) -> None:
    site.files["file"] = CONTENT


def begin(site, part: Path, manner: str = "good", length: int = 1000) -> None:
    """Leaves the first bytes of a download, as if it had been interrupted."""
    fetch(f"{site.address}/{manner}/file", part, silent, PATIENT)
    with part.open("r+b") as file:
        file.truncate(length)
    site.requests.clear()


@pytest.mark.parametrize("manner", ["good", "plain", "untagged", "drop", "unsized"])
def test_arrives_whole(site, part, manner):
    steps = []
    limits = Limits(stall=5, attempts=20)
    fetch(f"{site.address}/{manner}/file", part, lambda done, total: steps.append((done, total)), limits)
    assert part.read_bytes() == CONTENT
    assert steps[-1] == (len(CONTENT), None if manner == "unsized" else len(CONTENT))


@pytest.mark.parametrize(
    ("begun_at", "manner", "ranges"),
    [
        ("good", "good", ["bytes=1000-"]),
        ("untagged", "untagged", ["bytes=1000-"]),
        ("good", "plain", ["bytes=1000-"]),
        ("good", "untagged", ["bytes=1000-"]),  # another mirror
        ("good", "elsewhere", ["bytes=1000-", None]),
    ],
)
def test_goes_on_where_it_stopped(site, part, begun_at, manner, ranges):
    begin(site, part, begun_at)
    fetch(f"{site.address}/{manner}/file", part, silent, PATIENT)
    assert part.read_bytes() == CONTENT
    assert [asked for _, asked, _ in site.requests] == ranges


def test_a_changed_file_is_begun_again(site, part):
    begin(site, part)
    site.files["file"] = CONTENT[::-1]
    fetch(f"{site.address}/good/file", part, silent, PATIENT)
    assert part.read_bytes() == CONTENT[::-1]
    assert site.requests[0][2] is not None, "without If-Range the two versions would have been mixed"


@pytest.mark.parametrize("other", [CONTENT[::-1] + b"longer", CONTENT[:500]], ids=["longer", "shorter"])
def test_a_mirror_with_a_file_of_another_length_is_begun_again(site, part, other):
    begin(site, part)
    site.files["file"] = other
    fetch(f"{site.address}/untagged/file", part, silent, PATIENT)
    assert part.read_bytes() == other


def test_what_is_complete_is_not_asked_for(site, part):
    begin(site, part, length=len(CONTENT))
    fetch(f"{site.address}/good/file", part, silent, PATIENT)
    assert site.requests == []


def test_a_part_of_unknown_origin_is_not_trusted(site, part):
    part.parent.mkdir()
    part.write_bytes(b"?" * 1000)
    fetch(f"{site.address}/good/file", part, silent, PATIENT)
    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("manner", "reason"),
    [("missing", "HTTP 404"), ("stall", "no answer in time"), ("crawl", "too slow")],
)
def test_failures_say_why_in_time(site, part, manner, reason):
    start = time.monotonic()
    with pytest.raises(FetchError, match=reason):
        fetch(f"{site.address}/{manner}/file", part, silent, Limits(stall=0.2, window=0.2, attempts=2))
    assert time.monotonic() - start < 2


def test_what_arrived_before_a_failure_is_kept(site, part):
    with pytest.raises(FetchError):
        fetch(f"{site.address}/stall/file", part, silent, Limits(stall=0.2, attempts=1))
    assert part.read_bytes() == CONTENT[: len(CONTENT) // 2]
    fetch(f"{site.address}/good/file", part, silent, PATIENT)
    assert part.read_bytes() == CONTENT
    assert site.requests[-1][1] == f"bytes={len(CONTENT) // 2}-"


def test_discard_leaves_nothing(site, part):
    fetch(f"{site.address}/good/file", part, silent, PATIENT)
    discard(part)
    assert list(part.parent.iterdir()) == []


@pytest.fixture
def deaf() -> Iterator[str]:
    """An address whose host takes no more connections and does not say so, as behind a wall that drops packets."""
    with closing(socket.socket()) as listener, closing(socket.socket()) as first, closing(socket.socket()) as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/file"


def test_all_hosts_are_probed_at_once(site, deaf, project):
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        refused = f"http://127.0.0.1:{unused.getsockname()[1]}/file"
        start = time.monotonic()
        found = unreachable([f"{site.address}/good/file", refused, deaf, "https://no-such-host.invalid/file"], 0.6)
    assert time.monotonic() - start < 1.5
    assert found[refused] == "connection refused"
    assert "no answer" in found[deaf]
    assert "https://no-such-host.invalid/file" in found
    assert f"{site.address}/good/file" not in found


def test_behind_a_proxy_the_proxy_is_probed(site, project, monkeypatch):
    monkeypatch.setenv("http_proxy", site.address)
    monkeypatch.delenv("no_proxy", raising=False)
    assert unreachable(["http://no-such-host.invalid/file"], 2) == {}
