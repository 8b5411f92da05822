"""The mistakes that all networks share: a gallery of those on test, and a table."""

from thumbnet.stage import run_stage  # isort: skip

from thumbnet import paths
from thumbnet.data.arrays import load_info, load_names, load_split
from thumbnet.figures.shared import draw_shared, write_shared_table
from thumbnet.figures.style import save_figure
from thumbnet.judging.predictions import load_predictions
from thumbnet.params import Params


def main(params: Params) -> None:
    classes = load_info(paths.SPLITS).classes
    members = {member: load_predictions(paths.PREDICTIONS / f"{member}.npz") for member in params.members}
    splits = {
        split: {member: predictions[split] for member, predictions in members.items()}
        for split in ("validation", "test")
    }
    files = {split: load_names(paths.SPLITS, split) for split in splits}
    write_shared_table(paths.SHARED_MISTAKES, splits, classes, params.members, files)

    images, _ = load_split(paths.SPLITS, "test", mmap=True)
    names = ", ".join(params.members)
    title = f"Mistakes that {names} share, test" if len(members) > 1 else f"Mistakes of {names}, test"
    figure = draw_shared(images, splits["test"], classes, params.gallery.shared, title, params.gallery.order)
    save_figure(figure, paths.SHARED)


if __name__ == "__main__":
    run_stage(main)
