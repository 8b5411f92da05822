"""One trained network on the splits of `evaluate.splits`: its probabilities, figures, confusion and calibration."""

from thumbnet.stage import run_stage  # isort: skip
from thumbnet.recording import Recorder  # isort: skip

if __name__ == "__main__":  # it loads MLflow while the following loads PyTorch
    recorder = Recorder()

from typing import Any

import numpy as np
import torch

from thumbnet import paths
from thumbnet.data.arrays import load_info
from thumbnet.figures.judged import draw_judged
from thumbnet.files import write_json
from thumbnet.judging.calibration import fit_temperature
from thumbnet.judging.metrics import judge_classes, judge_overall, judge_scaled, judge_seeds, spread_evenly
from thumbnet.judging.predictions import Predictions, save_predictions
from thumbnet.params import Params
from thumbnet.training.batches import Images, load_images
from thumbnet.training.checkpoints import load_classifier, seed_folders
from thumbnet.training.devices import choose_device, keep_freed_memory, use_threads
from thumbnet.training.prediction import predict


def main(params: Params, member: str) -> None:
    classes = load_info(paths.SPLITS).classes
    judged = params.evaluate
    keep_freed_memory()
    use_threads(params.train.threads)
    device = choose_device(params.train.device, params.train.deterministic)
    classifiers = [load_classifier(folder, device) for folder in seed_folders(paths.MODELS / member)]

    predictions: dict[str, Predictions] = {}
    metrics: dict[str, Any] = {}
    for name in judged.splits:
        split = load_images(paths.SPLITS, name, device)
        if name == "train":
            places = spread_evenly(len(split), judged.train_images)
            split = Images(*split.choose(torch.from_numpy(places).to(device)))
        labels = split.labels.cpu().numpy()
        of_seeds = []
        for classifier in classifiers:
            # (n, classes), always in fp32
            logits = predict(classifier, split.images, flip=judged.flip, shift=judged.shift, border=judged.border)
            of_seeds.append(logits.softmax(1).cpu().numpy())
        metrics[name] = judge_seeds([judge_overall(each, labels, judged.confidence) for each in of_seeds])
        others = np.stack(of_seeds[1:]) if len(of_seeds) > 1 else None  # for ensembles
        predictions[name] = Predictions(of_seeds[0], labels, others)
    temperature = fit_temperature(predictions["validation"].probabilities, predictions["validation"].labels)
    for split_name, each in predictions.items():
        metrics[split_name] |= judge_scaled(each, temperature)
    metrics["temperature"] = temperature

    save_predictions(paths.PREDICTIONS / f"{member}.npz", predictions)
    overall = paths.EVALUATE_METRICS / f"{member}.json"
    write_json(overall, metrics)
    files = draw_judged(member, member, predictions, classes, metrics, judged.confidence)

    test = predictions["test"]
    per_class = judge_classes(test.predicted, test.labels, classes)
    recorder.log_evaluation(params, member, metrics, per_class, [overall, *files])  # last, when all files are safe


if __name__ == "__main__":
    run_stage(main)
