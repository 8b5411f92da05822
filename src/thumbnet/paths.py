"""Where every stage reads and writes: each path stands here once, relative to the project's root.

Stages run in the root of a checkout, or in the temporary copy that DVC makes of it for `dvc exp run --temp` and
queued experiments. What must outlive such a copy (the MLflow store, unfinished downloads and trainings) belongs to the
checkout that it was made from: `checkout_root`.
"""

from pathlib import Path

PARAMS = Path("params.yaml")
CHECKED = Path("data/params.checked")
LOGGED = Path("data/runs.logged")
STATISTICS = Path("data/normalisation.npz")
#: Unfinished downloads, below `checkout_root()`.
DOWNLOADS = Path("data/downloads")
#: Unfinished trainings, there too.
CHECKPOINTS = Path("data/checkpoints")
SPLITS = Path("data/splits")
PREDICTIONS = Path("data/predictions")
ENSEMBLE_PREDICTIONS = Path("data/ensemble.npz")
MISTAKES = Path("data/mistakes")
SHARED_MISTAKES = Path("data/shared.csv")
MEMBER_CURVES = Path("data/curves")
SUMMARIES = Path("data/summaries")
MODELS = Path("models")

METRICS = Path("metrics")
NORMALISATION_METRICS = METRICS / "normalisation.json"
TRAIN_METRICS = METRICS / "train"
EVALUATE_METRICS = METRICS / "evaluate"
ENSEMBLE_METRICS = METRICS / "ensemble.json"

PLOTS = Path("plots")
HISTORY = PLOTS / "history"
CONFUSION = PLOTS / "confusion"
PER_CLASS = PLOTS / "per_class"
CONFUSED = PLOTS / "confused"
CALIBRATION = PLOTS / "calibration"
ENSEMBLE_PLOTS = PLOTS / "ensemble"
GALLERY = PLOTS / "gallery"
EXPLAIN = PLOTS / "explain"
SHARED = PLOTS / "shared.png"
CURVES = PLOTS / "curves"
SUMMARY = PLOTS / "summary"
PREVIEW = PLOTS / "preview"
REPORT = PLOTS / "report.html"

#: Studies: what each asks, what its runs came to, and the pages that say so.
STUDIES = Path("studies")
STUDY_METRICS = METRICS / "studies"
STUDY_PAGES = Path("docs/studies")
RESULTS_PAGE = Path("docs/results.md")

ENSEMBLE = "ensemble"

#: Folders with a file or folder for each member.
OF_MEMBERS = (
    MODELS,
    PREDICTIONS,
    MISTAKES,
    MEMBER_CURVES,
    SUMMARIES,
    TRAIN_METRICS,
    EVALUATE_METRICS,
    HISTORY,
    CONFUSION,
    PER_CLASS,
    CONFUSED,
    CALIBRATION,
    GALLERY,
    EXPLAIN,
    SUMMARY,
)


def raw(dataset: str) -> Path:
    """The folder of a verified, decoded data set."""
    return Path("data/raw") / dataset


def checkout_root(start: Path | None = None) -> Path:
    """The root of the user's own checkout, also when DVC runs a stage in a temporary copy of it.

    DVC puts such copies below `.dvc/tmp/exps/` of the checkout.

    Args:
        start: the folder to begin at; default: the current one.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if folder.name == "exps" and folder.parent.name == "tmp" and folder.parent.parent.name == ".dvc":
            return folder.parent.parent.parent
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").exists():
            return folder
    return here
