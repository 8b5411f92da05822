"""How long runs take: as they took before, or by a rule of thumb."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from thumbnet.data.catalogue import CATALOGUE, input_shape
from thumbnet.nets.notation import Shape
from thumbnet.nets.summary import summarise
from thumbnet.params import Params
from thumbnet.studies.planning import Run
from thumbnet.studies.rows import ENSEMBLE, Row

# Of one thread of a server's processor, measured with the networks of params.yaml: products a second, seconds a step
# besides them, bytes of memory a second, seconds in which DVC copies the checkout and judges.
_PRODUCTS, _STEP, _MEMORY, _AROUND = 25e9, 0.5e-3, 8e9, 30.0
_USUAL_IMAGES = 50_000
#: DVC restores a result from its cache in so many seconds.
RESTORED = 20.0


def estimate(run: Run, rows: Iterable[Row]) -> float:
    """Seconds that a run will take: from runs of the same networks, where there are any, else from their size.

    Runs that train as many seeds of a network at once come first: dense ones are trained as one, in less than the sum.

    Args:
        run: which.
        rows: of this study.
    """
    known: dict[str, list[float]] = {}
    timed = [row for row in rows if row["seconds"] and row["epochs"] and row["member"] != ENSEMBLE]
    alike = [row for row in timed if int(row["seeds"] or 1) == run.params.train.seeds]
    for row in alike or timed:
        seconds = float(row["seconds"])
        training = max(seconds - _AROUND, seconds / 10)
        known.setdefault(row["member"], []).append(training / int(row["epochs"]) / int(row["seeds"] or 1))
    return sum(_training(run, member, known) for member in run.params.members)


def _training(run: Run, member: str, known: Mapping[str, Sequence[float]]) -> float:
    train = run.params.train
    if member in known:
        return train.seeds * train.epochs * median(known[member]) + _AROUND
    images = training_images(run.params)
    height, width, channels = input_shape(run.params.dataset)
    classes = len(CATALOGUE[run.params.dataset.name].classes) or 10
    summary = summarise(member, run.params.models[member], Shape(channels, height, width), classes)
    steps = images / train.batch_size
    products = 3 * summary.multiply_adds * images / _PRODUCTS
    return train.seeds * train.epochs * (products + steps * (_STEP + 24 * summary.parameters / _MEMORY)) + _AROUND


def training_images(params: Params) -> int:
    """The number of images that are trained on, as far as the catalogue knows."""
    train = CATALOGUE[params.dataset.name].train or _USUAL_IMAGES
    match params.split.kind:
        case "holdout":
            return train - int(params.split.validation)
        case "fraction":
            return round(train * (1 - params.split.validation))
        case _:
            return train


def duration(seconds: float) -> str:
    """Seconds as people say them: 45 s, 12 min, 3 h 20 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
