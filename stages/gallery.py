"""The mistakes of one network: `data/mistakes/<member>.csv` and a gallery of the surest ones per split."""

from thumbnet.stage import run_stage  # isort: skip

from thumbnet import paths
from thumbnet.data.arrays import load_info, load_split
from thumbnet.figures.galleries import draw_gallery, find_mistakes, write_mistakes_table
from thumbnet.figures.style import save_figure
from thumbnet.judging.predictions import load_predictions
from thumbnet.params import Params


def main(params: Params, member: str) -> None:
    classes = load_info(paths.SPLITS).classes
    predictions = load_predictions(paths.PREDICTIONS / f"{member}.npz")
    mistakes = {split: find_mistakes(predictions[split]) for split in ("validation", "test")}

    table = paths.MISTAKES / f"{member}.csv"
    write_mistakes_table(table, mistakes, classes)
    pictures = []
    for split, (rows, columns) in params.gallery.model_dump().items():
        images, _ = load_split(paths.SPLITS, split, mmap=True)
        picture = paths.GALLERY / member / f"{split}.png"
        save_figure(draw_gallery(images, mistakes[split], classes, rows, columns, f"{member}, {split}"), picture)
        pictures.append(picture)

    from thumbnet.tracking import log_files  # MLflow takes seconds to load: last, when all files are safe

    log_files(params, member, [table, *pictures], "gallery")


if __name__ == "__main__":
    run_stage(main)
