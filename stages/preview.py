"""What a training is given, before it starts: images of each class, augmented images, and labels changed by noise."""

from thumbnet.stage import run_stage  # isort: skip

from thumbnet import paths
from thumbnet.data.arrays import load_info, load_split
from thumbnet.data.corruption import load_true_labels
from thumbnet.figures.previews import draw_augmentation, draw_classes, draw_mislabelled
from thumbnet.figures.style import save_figure
from thumbnet.files import fresh_folder
from thumbnet.params import Params
from thumbnet.training.augmentation import preview

IMAGES, EPOCHS = 8, 7


def main(params: Params) -> None:
    info = load_info(paths.SPLITS)
    images, labels = load_split(paths.SPLITS, "train", mmap=True)
    truth = load_true_labels(paths.SPLITS)
    shown = images[:IMAGES]
    seen = preview(shown, params.augment, EPOCHS, params.seed)

    with fresh_folder(paths.PREVIEW) as folder:
        save_figure(draw_classes(images, labels, info.classes, f"{info.name}, train"), folder / "classes.png")
        augmentation = draw_augmentation(shown, seen, params.augment, f"{info.name}, augmentation")
        save_figure(augmentation, folder / "augmentation.png")
        if truth is not None:
            mislabelled = draw_mislabelled(images, labels, truth, info.classes, f"{info.name}, label noise")
            save_figure(mislabelled, folder / "corruption.png")


if __name__ == "__main__":
    run_stage(main)
