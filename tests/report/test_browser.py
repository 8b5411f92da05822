"""The page in a real browser: no errors, every picture there, controls that do what they say, on a phone as well."""

import json
import re
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from thumbnet.report.page import render_report
from thumbnet.report.provenance import Provenance

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
         "--virtual-time-budget=8000", "--dump-dom")  # fmt: skip

#: What a reader does, and what there is to see after it, told in the page itself.
PROBE = """
addEventListener("load", () => {
  const all = (what) => [...document.querySelectorAll(what)];
  const click = (name, value) => document.querySelector(`input[name=${name}][value="${value}"]`).click();
  const key = (element, name) => element.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
  const seen = {};
  seen.broken = all("img[src]").filter((image) => !image.naturalWidth).map((image) => image.alt);
  seen.overflow = document.documentElement.scrollWidth - innerWidth;
  seen.panes = all(".pane figcaption").map((caption) => caption.firstChild.textContent);
  click("kind", "Confusion");
  click("network", "ensemble");
  seen.confusion = all(".pane figcaption").map((caption) => caption.firstChild.textContent);
  seen.splits = [...all("input[name=compared]").map((input) => input.value)];
  click("compared", "train");
  seen.compared = all(".pane figcaption small").map((small) => small.textContent);
  click("view", "flip");
  key(document.querySelector(".pane.shown .view"), "ArrowRight");
  seen.flipped = document.querySelector(".pane.shown figcaption").firstChild.textContent;
  seen.wrong = all("#cards li").length;
  document.querySelector("#groups button").click();
  seen.right = [all("#cards .w-mark").length, document.getElementById("answer-count").textContent];
  seen.lines = all(".chart path").length;
  click("curve", "bn");
  click("split", "train");
  seen.fewer = all(".chart path").length;
  const ticks = () => all("[data-quantity=loss] text").map((text) => text.textContent).join();
  const logarithmic = ticks();
  click("scale", "linear");
  seen.linear = ticks() !== logarithmic;
  key(document.querySelector(".chart svg"), "Home");
  seen.epoch = document.querySelector("#curve-values caption").textContent;
  document.querySelector(".picture[data-key='grad-cam-test/bn'] img").click();
  key(document.getElementById("viewer-close"), "ArrowRight");
  seen.viewer = document.getElementById("viewer-caption").textContent;
  document.getElementById("viewer-close").click();
  key(document.querySelector(".picture[data-key='layers/ln'] img"), "Enter");
  seen.entered = document.getElementById("viewer-caption").textContent;
  document.getElementById("viewer-close").click();
  dispatchEvent(new Event("beforeprint"));
  seen.closed = all("details:not([open])").length;
  const told = document.createElement("output");
  told.textContent = JSON.stringify(seen);
  document.body.prepend(told);
});
"""


@pytest.mark.slow
@pytest.mark.parametrize("size", ["1280,900", "390,844"], ids=["desktop", "phone"])
def test_a_reader_can_use_the_page(size: str, make_run: Any, chromium: str, tmp_path: Path) -> None:
    source = render_report(make_run(), Provenance())
    page = tmp_path / "report.html"
    page.write_text(source.replace("</body>", f"<script>{PROBE}</script></body>"))
    done = subprocess.run(
        [chromium, *FLAGS, f"--window-size={size}", f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    found = re.search(r"<output>(.*?)</output>", done.stdout)
    assert found, done.stdout[-500:]
    seen = json.loads(unescape(found[1]))
    wrong, right = seen.pop("wrong"), seen.pop("right")
    assert seen.pop("overflow") <= 0, "nothing makes the page wider than the window"
    assert seen == {
        "broken": [],
        "panes": ["bn", "ln"],
        "confusion": ["bn", "ln", "ensemble"],
        "splits": ["test", "validation", "train"],
        "compared": ["Confusion, train"] * 3,
        "flipped": "ln",
        "lines": 2 * 2 * 2,  # charts, members, splits
        "fewer": 2,
        "linear": True,
        "epoch": "After epoch 1",
        "viewer": "Grad-CAM on test · ln",
        "entered": "Layers · ln",
        "closed": 0,
    }
    assert wrong > 0
    assert right[0] == 0
    assert right[1].startswith("All right: ")
