"""params.yaml checked as a whole, before any stage that costs time, and results of former members cleared away."""

from thumbnet.stage import run_stage  # isort: skip

from thumbnet import paths
from thumbnet.checking import check_all
from thumbnet.files import keep_only
from thumbnet.params import Params


def main(params: Params) -> None:
    check_all(params)
    # Later stages read whole folders, and DVC hashes them: what is there must be what they use.
    for folder in paths.OF_MEMBERS:
        keep_only(folder, {*params.members, paths.ENSEMBLE})
    # The same text whatever the parameters are: what follows depends on the check, not on every parameter.
    paths.CHECKED.parent.mkdir(parents=True, exist_ok=True)
    paths.CHECKED.write_text("params.yaml can be used\n", encoding="utf-8")


if __name__ == "__main__":
    run_stage(main)
