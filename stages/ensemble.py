"""All members as one network: their soft vote, its metrics beside the best member's, its confusion matrix."""

from thumbnet.stage import run_stage  # isort: skip

from thumbnet import paths
from thumbnet.data.arrays import load_info
from thumbnet.figures.confusion import draw_confusion, write_confusion_table
from thumbnet.figures.style import save_figure
from thumbnet.files import write_json
from thumbnet.judging.ensembling import compare, vote
from thumbnet.judging.predictions import load_predictions, save_predictions
from thumbnet.params import Params


def main(params: Params) -> None:
    members = {member: load_predictions(paths.PREDICTIONS / f"{member}.npz") for member in params.members}
    classes = load_info(paths.SPLITS).classes
    confidence = params.evaluate.confidence

    ensemble = vote(members)
    metrics = compare(members, ensemble, confidence)
    save_predictions(paths.ENSEMBLE_PREDICTIONS, ensemble)
    write_json(paths.ENSEMBLE_METRICS, metrics)

    labels, predicted = ensemble["test"].labels, ensemble["test"].predicted
    table, picture = (paths.CONFUSION / f"{paths.ENSEMBLE}{ending}" for ending in (".csv", ".png"))
    write_confusion_table(table, labels, predicted, classes)
    title = f"Ensemble of {', '.join(params.members)}, test"
    save_figure(draw_confusion(labels, predicted, classes, metrics["test"], confidence, title), picture)

    from thumbnet.tracking import log_ensemble  # MLflow takes seconds to load: last, when all files are safe

    log_ensemble(params, metrics, [paths.ENSEMBLE_METRICS, table, picture])


if __name__ == "__main__":
    run_stage(main)
