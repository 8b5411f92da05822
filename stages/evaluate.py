"""One trained network on the splits of `evaluate.splits`: its probabilities, figures and confusion matrix."""

from thumbnet.stage import run_stage  # isort: skip

from typing import Any

from thumbnet import paths
from thumbnet.data.arrays import load_info
from thumbnet.figures.confusion import draw_confusion, write_confusion_table
from thumbnet.figures.style import save_figure
from thumbnet.files import write_json
from thumbnet.judging.metrics import judge_classes, judge_overall, judge_seeds, write_per_class
from thumbnet.judging.predictions import Predictions, save_predictions
from thumbnet.params import Params
from thumbnet.training.batches import load_images
from thumbnet.training.checkpoints import load_classifier, seed_folders
from thumbnet.training.devices import choose_device, keep_freed_memory, use_threads
from thumbnet.training.engine import predict


def main(params: Params, member: str) -> None:
    classes = load_info(paths.SPLITS).classes
    judged = params.evaluate
    confidence = judged.confidence
    keep_freed_memory()
    use_threads(params.train.threads)
    device = choose_device(params.train.device)
    classifiers = [load_classifier(folder, device) for folder in seed_folders(paths.MODELS / member)]

    predictions: dict[str, Predictions] = {}  # of the first seed
    metrics: dict[str, dict[str, Any]] = {}
    for name in judged.splits:
        split = load_images(paths.SPLITS, name, device)
        labels = split.labels.cpu().numpy()
        figures = []
        for classifier in classifiers:
            # (n, classes), always in fp32
            logits = predict(classifier, split.images, flip=judged.flip, shift=judged.shift, border=judged.border)
            probabilities = logits.softmax(1).cpu().numpy()
            predictions.setdefault(name, Predictions(probabilities, labels))
            figures.append(judge_overall(probabilities, labels, confidence))
        metrics[name] = judge_seeds(figures)
    test = predictions["test"]
    per_class = judge_classes(test.predicted, test.labels, classes)
    save_predictions(paths.PREDICTIONS / f"{member}.npz", predictions)
    overall, classwise = paths.EVALUATE_METRICS / f"{member}.json", paths.PER_CLASS / f"{member}.csv"
    write_json(overall, metrics)
    write_per_class(classwise, per_class)
    table, picture = (paths.CONFUSION / f"{member}{ending}" for ending in (".csv", ".png"))
    write_confusion_table(table, test.labels, test.predicted, classes)
    title = f"{member}, test"
    save_figure(draw_confusion(test.labels, test.predicted, classes, metrics["test"], confidence, title), picture)

    from thumbnet.tracking import log_evaluation  # MLflow takes seconds to load: last, when all files are safe

    log_evaluation(params, member, metrics, per_class, [overall, classwise, table, picture])


if __name__ == "__main__":
    run_stage(main)
