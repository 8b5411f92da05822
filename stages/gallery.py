"""The mistakes of one network: a table, a gallery of the surest ones per split, and test images drawn at random."""

from thumbnet.stage import run_stage  # isort: skip

from thumbnet import paths
from thumbnet.data.arrays import load_info, load_split
from thumbnet.figures.galleries import draw_gallery, draw_samples, find_mistakes, write_mistakes_table
from thumbnet.figures.style import save_figure
from thumbnet.judging.predictions import load_predictions
from thumbnet.params import Params


def main(params: Params, member: str) -> None:
    classes = load_info(paths.SPLITS).classes
    predictions = load_predictions(paths.PREDICTIONS / f"{member}.npz")
    mistakes = {split: find_mistakes(predictions[split]) for split in ("validation", "test")}

    table = paths.MISTAKES / f"{member}.csv"
    write_mistakes_table(table, mistakes, classes)
    images = {split: load_split(paths.SPLITS, split, mmap=True)[0] for split in mistakes}
    sizes = {"validation": params.gallery.validation, "test": params.gallery.test}
    figures = {
        split: draw_gallery(images[split], mistakes[split], classes, rows, columns, f"{member}, {split}")
        for split, (rows, columns) in sizes.items()
    }
    rows, columns = params.gallery.samples
    figures["samples"] = draw_samples(images["test"], predictions["test"], classes, rows, columns, f"{member}, test")
    pictures = [paths.GALLERY / member / f"{name}.png" for name in figures]
    for figure, picture in zip(figures.values(), pictures, strict=True):
        save_figure(figure, picture)

    from thumbnet.tracking import log_files  # MLflow takes seconds to load: last, when all files are safe

    log_files(params, member, [table, *pictures], "gallery")


if __name__ == "__main__":
    run_stage(main)
