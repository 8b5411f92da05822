"""What one network makes of images: its mistakes as a table and pictures, samples, extremes, bars of probabilities."""

from thumbnet.stage import run_stage  # isort: skip

from thumbnet import paths
from thumbnet.data.arrays import load_info, load_names, load_split
from thumbnet.figures.bars import choose_images, draw_bars
from thumbnet.figures.galleries import (
    draw_gallery,
    draw_least_confident,
    draw_most_confident,
    draw_samples,
    find_mistakes,
    write_mistakes_table,
)
from thumbnet.figures.style import save_figure
from thumbnet.files import fresh_folder
from thumbnet.judging.predictions import load_predictions
from thumbnet.params import Params


def main(params: Params, member: str) -> None:
    wanted = params.gallery
    classes = load_info(paths.SPLITS).classes
    predictions = load_predictions(paths.PREDICTIONS / f"{member}.npz")
    images = {split: load_split(paths.SPLITS, split, mmap=True)[0] for split in ("validation", "test")}
    title = f"{member}, test"
    test = images["test"], predictions["test"], classes
    chosen = choose_images(predictions["test"], wanted.bars, wanted.order)
    figures = {
        "validation": draw_gallery(images["validation"], predictions["validation"], classes, wanted.validation,
                                   f"{member}, validation: mistakes", wanted.order),
        "test": draw_gallery(*test, wanted.test, f"{title}: mistakes", wanted.order),
        "samples": draw_samples(*test, wanted.samples, f"{title}: random images"),
        "most_confident": draw_most_confident(*test, wanted.extremes, f"{title}: surest"),
        "least_confident": draw_least_confident(*test, wanted.extremes, f"{title}: least sure"),
        "bars": draw_bars(*test, chosen, f"{title}: probabilities"),
    }  # fmt: skip

    mistakes = {split: find_mistakes(predictions[split]) for split in images}
    files = {split: load_names(paths.SPLITS, split) for split in images}
    write_mistakes_table(paths.MISTAKES / f"{member}.csv", mistakes, classes, files)
    with fresh_folder(paths.GALLERY / member) as folder:
        for name, figure in figures.items():
            save_figure(figure, folder / f"{name}.png")


if __name__ == "__main__":
    run_stage(main)
