"""Which worker of pytest-xdist runs a test, and when."""

import os

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

#: Folders whose tests share what one fixture makes. Elsewhere they share no more than the fixtures of their file.
TOGETHER = ("tests/pipeline/",)


class LoadSharing(LoadFileScheduling):
    """Whole files go to a worker, and whole folders of TOGETHER: what tests share is made once, and nobody waits."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in TOGETHER if nodeid.startswith(folder)), super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadSharing | None:
    if config.getvalue("dist") != "load":
        return None
    # In the order of collection, and not by numbers of tests, which say little about the time that they take.
    config.option.loadscopereorder = False
    return LoadSharing(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:  # the longest first, so that no worker ends with one while others idle
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)
