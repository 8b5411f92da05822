"""`thumbnet summary`: which network is meant, its table on the screen, its JSON, and what is told about slips."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from thumbnet.cli import app
from thumbnet.data.arrays import DatasetInfo, save_info
from thumbnet.errors import UserError

ROOT = Path(__file__).parents[1]
LINE = "C16 C16+ c16 P C32 G"

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `thumbnet summary` in an empty folder and returns what it prints; mistakes are raised."""
    monkeypatch.chdir(tmp_path)

    def summary(*arguments: str, status: int = 0) -> str:
        done = CliRunner().invoke(app, ["summary", *arguments])
        if isinstance(done.exception, UserError):
            raise done.exception
        assert done.exit_code == status, done.output
        return done.output

    return summary


@pytest.fixture
def project(run: Run) -> Path:
    """The folder that it runs in, with parameters: Fashion-MNIST, and entries bn, resnet18 and a wrong one."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["members"] = ["bn"]
    values["models"] = {
        "bn": {"layers": LINE, "norm": "batch"},
        "resnet18": {"torchvision": "resnet18"},
        "wrong": {"layers": "C16 C32+ G"},
        "F": {"layers": "F L10"},
    }
    values["dataset"]["name"] = "fashion_mnist"
    Path("params.yaml").write_text(yaml.safe_dump(values))
    return Path.cwd()


def rows(table: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split() for line in table.splitlines() if line.split()}


def test_an_entry_is_shown_on_the_images_of_its_data_set(run: Run, project: Path) -> None:
    table = run("bn")
    assert table.splitlines()[0] == f"bn: {LINE}"
    assert table.splitlines()[1].startswith("images 28×28×1, 10 classes; batch norm")
    shown = rows(table)
    assert shown["C16+"] == ["C16+", "28×28×16", "3·3·16·16", "+", "2·16", "2,336", "5", "1", "1,806,336"]
    assert shown["G"] == ["G", "32", "0", "36", "0"]
    assert shown["classifier"] == ["classifier", "10", "32·10", "+", "10", "330", "36", "320"]
    assert shown["total"] == ["total", "7,786", "3,023,424"]
    assert max(map(len, table.splitlines())) <= 80, "it fits a terminal"


def test_any_line_is_shown_without_a_project(run: Run) -> None:
    values = json.loads(run(LINE, "--input", "3x32x30", "--norm", "group", "--groups", "4", "--json"))
    assert (values["network"], values["input_shape"], values["classes"]) == (LINE, [3, 32, 30], 10)
    assert values["model"]["groups"] == 4
    assert [layer["token"] for layer in values["layers"]] == [*LINE.split(), "classifier"]
    assert values["layers"][0]["output_shape"] == [16, 32, 30]
    assert "100 classes" in run("F", "--input", "3×32×32", "--classes", "100")


def test_the_options_replace_what_the_entry_has(run: Run, project: Path) -> None:
    values = json.loads(run("bn", "--norm", "none", "--activation", "maxout", "--order", "act_norm", "--json"))
    assert values["layers"][0]["arithmetic"] == "3·3·1·32 + 32"
    assert values["model"]["layers"] == LINE


def test_the_split_knows_better_than_the_catalogue(run: Run, project: Path) -> None:
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["dataset"] |= {"name": "image_folder", "image_size": 20}
    Path("params.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=r"how many classes .* dvc repro split; or give --classes"):
        run("bn")
    assert "images 20×20×3, 4 classes" in run("bn", "--classes", "4")

    Path("data/splits").mkdir(parents=True)
    save_info(Path("data/splits"), DatasetInfo("image_folder", ("a", "b", "c"), (20, 20, 1), {}, {}))
    assert "images 20×20×1, 3 classes" in run("bn")
    save_info(Path("data/splits"), DatasetInfo("image_folder", ("a", "b", "c"), (64, 64, 1), {}, {}))
    assert "images 20×20×3, 4 classes" in run("bn", "--classes", "4"), "not of images of another size"


def test_an_entry_comes_before_a_line_and_a_line_before_a_slip(run: Run, project: Path) -> None:
    assert run("F").startswith("F: F L10\n")
    assert run("G").startswith("G\n")


def test_a_network_of_torchvision_is_shown_by_its_modules(run: Run, project: Path) -> None:
    table = run("resnet18")
    assert table.splitlines()[0] == "resnet18 of torchvision"
    assert rows(table)["fc"] == ["fc", "10", "512·10", "+", "10", "5,130", "5,120"]
    assert "jump" not in table
    with pytest.raises(UserError, match=r"^--norm: only a network that is written in a line can be changed"):
        run("resnet18", "--norm", "batch")


@pytest.mark.parametrize(
    ("network", "told"),
    [
        ("Resnet", ["'Resnet' is no entry of models", "did you mean 'resnet18'?"]),
        ("bm", ["'bm' is no entry of models", "did you mean 'bn'?"]),
        ("vgg", ["'vgg' is no entry of models", "models has F, bn, resnet18, wrong"]),
        ("C16x", ["token 1 (\"C16x\") is no layer"]),
        ("C16 X3 G", ["'C16 X3 G', on images of 28×28×1: token 2 (\"X3\")"]),
        ("C16 C32+ G", ["'C16 C32+ G', on images of 28×28×1: token 2", "adds 28×28×16 to 28×28×32"]),
        ("wrong", ["models.wrong.layers = 'C16 C32+ G'", "token 2"]),
        ("C16", ["'C16', on images of 28×28×1", "end the line with G or F"]),
        ("", ["'', on images of 28×28×1", "end the line with G or F"]),
    ],
)  # fmt: skip
def test_slips_are_told_in_the_terms_that_were_meant(network: str, told: list[str], run: Run, project: Path) -> None:
    with pytest.raises(UserError) as refused:
        run(network)
    for part in told:
        assert part in str(refused.value)


@pytest.mark.parametrize("network", ["bn", LINE])
def test_without_a_project_the_shape_is_asked_for(network: str, run: Run) -> None:
    with pytest.raises(UserError, match=r"params\.yaml is missing"):
        run(network)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--input", "32x32"), "3x32x32"),
        (("--input", "0x32x32"), "3x32x32"),
        (("--input", "32x48x3"), "write 3x32x48"),
        (("--input", "3x32x32", "--norm", "batches"), "batch"),
        (("--input", "3x32x32", "--classes", "0"), "classes"),
    ],
)
def test_options_that_cannot_be_read_have_their_own_status(arguments: tuple[str, ...], told: str, run: Run) -> None:
    assert told in run("F", *arguments, status=2)


def test_a_picture_is_drawn_beside_the_table(run: Run) -> None:
    table = run(LINE, "--input", "3x32x32", "--figure", "pictures/net.png")
    assert table.startswith(LINE)
    with Image.open("pictures/net.png") as picture:
        assert min(picture.size) > 300
        assert len(np.unique(np.asarray(picture.convert("L")))) > 5


@pytest.mark.parametrize(
    ("file", "told"), [(".", "end in .png"), ("net.jpg", "end in .png"), ("/proc/net.png", "cannot be written")]
)
def test_a_picture_that_cannot_be_written_is_told(file: str, told: str, run: Run) -> None:
    with pytest.raises(UserError, match=re.escape(told)):
        run(LINE, "--input", "3x32x32", "--figure", file)


def test_the_table_in_the_docs_is_what_is_printed(run: Run) -> None:
    page = (ROOT / "docs/summary.md").read_text(encoding="utf-8")
    command, _, shown = page.split("$ thumbnet summary ")[1].split("```")[0].partition("\n")
    printed = run(*shlex.split(command))
    assert [line.rstrip() for line in printed.splitlines()] == shown.splitlines()


def test_help_teaches(run: Run) -> None:
    shown = run("--help")
    for part in ("receptive field", "thumbnet summary bn", "--input 3x32x32", "maxout", "--json"):
        assert part in shown
