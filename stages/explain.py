"""What in an image speaks for a class, by Grad-CAM: mistakes of one network on test, and some right predictions."""

from thumbnet.stage import run_stage  # isort: skip

from thumbnet import paths
from thumbnet.data.arrays import load_info, load_split
from thumbnet.figures.explanations import choose_classes, choose_images, draw_explanations, draw_unexplained
from thumbnet.figures.style import save_figure
from thumbnet.judging.predictions import load_predictions
from thumbnet.nets.gradcam import explain
from thumbnet.params import Params
from thumbnet.training.checkpoints import load_classifier


def main(params: Params, member: str) -> None:
    classes = load_info(paths.SPLITS).classes
    images, _ = load_split(paths.SPLITS, "test", mmap=True)
    predictions = load_predictions(paths.PREDICTIONS / f"{member}.npz")["test"]
    title, picture = f"{member}, test: Grad-CAM", paths.EXPLAIN / f"{member}.png"

    chosen = choose_images(predictions, params.gallery.explain, params.gallery.order)
    heat = explain(load_classifier(paths.MODELS / member), images[chosen], choose_classes(predictions, chosen))
    if heat is None:
        print(f"{member}: no Grad-CAM, which needs a convolution")
        save_figure(draw_unexplained(title, member), picture)
    else:
        save_figure(draw_explanations(images, predictions, chosen, heat, classes, title), picture)


if __name__ == "__main__":
    run_stage(main)
