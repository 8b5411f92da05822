"""DVC's experiments of a study: what there is, what came of them, and running one. DVC and git by their commands."""

import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thumbnet import paths
from thumbnet.errors import UserError
from thumbnet.files import read_yaml
from thumbnet.studies.planning import Run

#: The stages whose code a result comes from.
STAGES = ("split", "normalise", "train", "evaluate")
#: Where the whole output of each run is, in the checkout that it was started in.
LOGS = Path(".dvc/tmp/studies")
#: What `thumbnet.progress`, which imports torch, says of a training that was cut off.
_GOES_ON = "  goes on after epoch "
_PATIENCE = 60  # seconds that a run may take to end itself after an interrupt


@dataclass(frozen=True)
class Outcome:
    """How a run of DVC's ended.

    Attributes:
        seconds: that it took; 0 where DVC trained nothing, having the result in its cache.
        error: its last words; empty where all went well.
        log: the file with all that it said.
        whole: whether it trained from the first epoch to the last, and all of its networks: `seconds` are of that.
    """

    seconds: float
    error: str
    log: Path
    whole: bool = True


class Experiment:
    """One experiment that DVC keeps: files of its commit."""

    def __init__(self, name: str, commit: str) -> None:
        self.name = name
        self.commit = commit

    def text(self, path: Path) -> str | None:
        """A file of the experiment; None where it has none."""
        done = _git("show", f"{self.commit}:{path.as_posix()}", check=False)
        return done.stdout if done.returncode == 0 else None

    def json(self, path: Path) -> dict[str, Any]:
        """A file of the experiment that holds JSON; empty where it has none."""
        content: dict[str, Any] = json.loads(self.text(path) or "{}")
        return content

    def table(self, path: Path) -> list[dict[str, str]]:
        """The rows of a CSV file of the experiment; none where it has no such file."""
        return list(csv.DictReader(io.StringIO(self.text(path) or "")))

    def params(self) -> dict[str, Any]:
        """Its params.yaml, as it was written."""
        values: dict[str, Any] = read_yaml(self.text(paths.PARAMS) or "{}")
        return values

    def code(self) -> str:
        """What `code_version` was for its files."""
        listed = _git("ls-tree", "-r", "--format=%(objectname) %(path)", self.commit, "--", *_sources()).stdout
        return _digest(listed.splitlines())


def find_experiments() -> dict[str, Experiment]:
    """All experiments that DVC keeps, of whichever commit, by name; of several of one name the newest."""
    listed = _git("for-each-ref", "--sort=creatordate", "--format=%(refname) %(objectname)", "refs/exps").stdout
    found = {}
    for line in listed.splitlines():
        ref, commit = line.split()
        if ref.count("/") == 4:  # refs/exps/ab/cdef.../name; others are DVC's own
            name = ref.rpartition("/")[2]
            found[name] = Experiment(name, commit)
    return found


def code_version() -> str:
    """A hash of all files of the checkout that training and judging depend on, whether they are committed or not."""
    listed = _git("ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", *_sources()).stdout
    names = sorted(name for name in listed.splitlines() if Path(name).is_file())
    hashes = _git("hash-object", "--stdin-paths", given="\n".join(names)).stdout.split()
    return _digest([f"{digest} {name}" for digest, name in zip(hashes, names, strict=True)])


def remove_experiment(name: str) -> None:
    """Makes DVC forget an experiment, so that its name is free."""
    _command(["dvc", "--wait-for-lock", "exp", "remove", "--quiet", name])


def commits_of_checkout() -> None:
    """Checks that there is a commit that experiments can be changes of.

    Raises:
        UserError: there is none, or this is no checkout.
    """
    if _git("rev-parse", "--verify", "--quiet", "HEAD", check=False).returncode != 0:
        raise UserError("experiments need a git commit: git init && git add -A && git commit -m start")


class Runner:
    """Runs experiments, some at a time, each in a temporary copy of the checkout that DVC makes and removes."""

    def __init__(self, study: str, present: Mapping[str, Any], threads: int) -> None:
        """
        Args:
            study: MLflow's parent run has its name.
            present: params.yaml as it is.
            threads: of each training on a processor; 0 leaves it to params.yaml.
        """
        self._study = study
        self._present = present
        self._threads = threads
        self._starting = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = threading.Event()

    def log(self, run: Run) -> Path:
        """The file for all that a run says."""
        return LOGS / self._study / f"{run.name}.log"

    def run(self, run: Run) -> Outcome:
        """Runs one experiment to its end.

        Raises:
            OSError: its log cannot be written, or DVC not started.
            UserError: an older experiment of its name cannot be removed.
        """
        log = self.log(run)
        log.parent.mkdir(parents=True, exist_ok=True)
        threads = [f"train.threads={self._threads}"] if self._threads and "train.threads" not in run.overrides else []
        overrides = [*run.arguments(self._present), *threads]
        command = ["dvc", "--wait-for-lock", "exp", "run", "--temp", "--name", run.name]
        command += [part for override in overrides for part in ("--set-param", override)]
        begun = time.monotonic()
        last: list[str] = []
        trained, whole = False, True
        # DVC stashes what is not committed, puts an experiment on a stack and takes it from there: one at a time until
        # all is back.
        self._starting.acquire()
        starting = True
        try:
            if run.name in find_experiments() and not self._stopped.is_set():
                remove_experiment(run.name)  # of other settings, or of other code
            if self._stopped.is_set():
                raise InterruptedError  # the log of an earlier call stays
            with log.open("w", encoding="utf-8") as file:
                process = self._start([*command, *run.targets])
                assert process.stdout is not None
                for line in process.stdout:
                    file.write(line)
                    file.flush()
                    last = [*last, line.rstrip()][-40:]
                    trained = trained or line.startswith("Running stage 'train@")
                    whole = whole and not (_GOES_ON in line or line.startswith("Stage 'train@"))  # that is in the cache
                    if starting and (line.startswith("Running stage '") or line.startswith("Stage '")):
                        self._starting.release()
                        starting = False
            code = process.wait()
        finally:
            if starting:
                self._starting.release()
        self._running.discard(process)
        return Outcome(time.monotonic() - begun if trained else 0.0, _error(last) if code else "", log, whole)

    def stop(self) -> None:
        """Interrupts whatever runs, and waits for it: DVC then puts its copy of the checkout away."""
        self._stopped.set()
        # A process that starts has the user's changes stashed away, and would leave them there.
        if self._starting.acquire(timeout=_PATIENCE):
            self._starting.release()
        running = list(self._running)
        for process in running:
            _signal(process, signal.SIGINT)
        until = time.monotonic() + _PATIENCE
        for process in running:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(process, signal.SIGKILL)

    def _start(self, command: list[str]) -> subprocess.Popen[str]:
        # In a group of its own: Ctrl-C is passed on once, by `stop`.
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=_environment() | {"THUMBNET_STUDY": self._study},
            start_new_session=True,
        )
        self._running.add(process)
        return process


def _signal(process: subprocess.Popen[str], number: int) -> None:
    if process.poll() is None:
        os.killpg(process.pid, number)


def _error(last: Sequence[str]) -> str:
    """Of a failed run's last lines the one that says why: the stage's own message, or DVC's."""
    for start in ("error: ", "ERROR: "):
        for index, line in enumerate(last):
            if line.startswith(start) and "failed to reproduce" not in line:
                more = [part.strip() for part in last[index + 1 :] if part.startswith("  - ")]
                return " ".join([line.removeprefix(start), *more])
    return next((line for line in reversed(last) if line.strip()), "it ended without a word")


def _sources() -> list[str]:
    stages = read_yaml(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return sorted({dep for name in STAGES for dep in stages[name]["deps"] if dep.startswith(("src/", "stages/"))})


def _digest(lines: Sequence[str]) -> str:
    kept = sorted(line for line in lines if "__pycache__" not in line)
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()[:8]


def _environment() -> dict[str, str]:
    """Stages call `python`, and DVC's command lies beside it: both of the environment that this runs in."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def _git(*arguments: str, check: bool = True, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return _command(["git", *arguments], check, given)


def _command(command: list[str], check: bool = True, given: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", input=given,
                              env=_environment(), check=False)  # fmt: skip
    except FileNotFoundError:
        raise UserError(f"{command[0]} is not installed, and studies need it") from None
    if check and done.returncode != 0:
        raise UserError(f"{' '.join(command[:3])} failed: {done.stderr.strip()}")
    return done
