"""All members as one network: what each way to combine them gives, and how the chosen one fares against the best."""

from thumbnet.stage import run_stage  # isort: skip
from thumbnet.recording import Recorder  # isort: skip

if __name__ == "__main__":  # it loads MLflow while the following draws
    recorder = Recorder()

from thumbnet import paths
from thumbnet.data.arrays import load_info
from thumbnet.figures.diversity import draw_diversity, draw_mcnemar
from thumbnet.figures.ensembles import draw_methods, draw_sizes
from thumbnet.figures.judged import draw_judged
from thumbnet.figures.style import save_figure
from thumbnet.files import write_json
from thumbnet.judging.comparing import compare
from thumbnet.judging.ensembling import METHODS, accuracy_by_size, combine, list_networks, write_sizes
from thumbnet.judging.predictions import load_predictions, save_predictions
from thumbnet.params import Params


def main(params: Params) -> None:
    members = {member: load_predictions(paths.PREDICTIONS / f"{member}.npz") for member in params.members}
    info = load_info(paths.SPLITS)
    method, confidence = params.ensemble.method, params.evaluate.confidence

    networks = list_networks(members, params.ensemble.seeds)
    ensembles = {each: combine(each, networks) for each in METHODS}
    chosen = ensembles[method].predictions
    compared = compare(networks, list(ensembles.values()), method, confidence)
    metrics = {"members": params.members, "data": info.name, "confidence": confidence, **compared}
    sizes = accuracy_by_size(networks)
    save_predictions(paths.ENSEMBLE_PREDICTIONS, chosen)
    write_json(paths.ENSEMBLE_METRICS, metrics)
    table = paths.ENSEMBLE_PLOTS / "size.csv"
    write_sizes(table, sizes)

    files = draw_judged(paths.ENSEMBLE, f"Ensemble of {', '.join(networks)}", chosen, info.classes, metrics, confidence)
    best = metrics["best_network"]
    pictures = {
        "methods": draw_methods(metrics, confidence),
        "size": draw_sizes(sizes, {split: each.accuracy for split, each in networks[best].items()}, best),
        "diversity": draw_diversity(list(networks), metrics["pairs"], "Diversity of the networks, test"),
        "mcnemar": draw_mcnemar(metrics["pairs"], len(chosen["test"].labels), "Which networks are better, test"),
    }
    for name, figure in pictures.items():
        files.append(paths.ENSEMBLE_PLOTS / f"{name}.png")
        save_figure(figure, files[-1])

    recorder.log_ensemble(params, metrics, [paths.ENSEMBLE_METRICS, table, *files])  # last, when all files are safe


if __name__ == "__main__":
    run_stage(main)
