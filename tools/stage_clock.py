"""Stands in for `python` while `tools/breakdown.py` runs the pipeline: a stage as always, and where its time went.

It is called twice. As `python` it starts the stage in a process of its own and takes the time from outside, with what
starting and ending Python costs. In that process it runs the stage's script and takes the times of its parts.

Each part is timed without the parts that are called within it. One line of JSON a stage goes to STAGE_CLOCK.
"""

import atexit
import builtins
import functools
import json
import os
import runpy
import sys
import time

REAL = os.environ.get("STAGE_CLOCK_PYTHON", sys.executable)

#: What is timed: functions as the scripts name them, and methods.
PARTS = {
    "fit_seeds": "batches",
    "measure": "judging",
    "predict": "judging",
    "Recorder.begin": "MLflow",
    "Recorder.tag": "MLflow",
    "Recorder.log_epoch": "MLflow",
    "Recorder.finish": "MLflow",
    "Recorder.__exit__": "MLflow",
    "Recorder.log_evaluation": "MLflow",
    "Recorder.log_ensemble": "MLflow",
    "log_files": "MLflow",
}
#: Where they are.
MODULES = ("thumbnet.training.engine", "thumbnet.training.prediction", "thumbnet.recording", "thumbnet.tracking")


class Clock:
    """Seconds by part; a part that begins within another one stops that one's clock until it ends."""

    def __init__(self, start: float) -> None:
        self.seconds: dict[str, float] = {}
        self.first_batch: float | None = None
        self.start = self._since = start
        self._running = ["start"]

    def begin(self, part: str) -> None:
        self._settle()
        self._running.append(part)

    def end(self) -> None:
        self._settle()
        self._running.pop()

    def enter_body(self) -> None:
        """The imports of the script are over."""
        self._settle()
        self._running = ["work"]

    def write(self) -> None:
        self._settle()
        with open(os.environ["STAGE_CLOCK"] + ".parts", "w", encoding="utf-8") as file:
            json.dump({"parts": self.seconds, "first_batch": self.first_batch}, file)

    def _settle(self) -> None:
        now = time.time()
        part = self._running[-1]
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._since
        self._since = now


def time_stage(arguments: list[str]) -> int:
    """Runs a stage in a process of its own, writes its line, and returns its exit status."""
    log, start = os.environ["STAGE_CLOCK"], time.time()
    environment = {**os.environ, "STAGE_CLOCK_START": str(start)}
    process = os.posix_spawn(REAL, [REAL, __file__, *arguments], environment)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    line = {"stage": arguments, "seconds": time.time() - start}
    with open(log + ".parts", encoding="utf-8") as file:
        line |= json.load(file)
    with open(log, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return status


def run_stage(arguments: list[str], start: float) -> None:
    """Runs a stage's script in this process, with clocks on its parts."""
    clock = Clock(start)
    atexit.register(clock.write)
    _time_import(clock)
    sys.argv = arguments
    sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))  # as Python sets it for a script

    import thumbnet.stage

    original = thumbnet.stage.run_stage

    def run(body):  # type: ignore[no-untyped-def]
        clock.enter_body()
        for name in MODULES:
            _time_parts(sys.modules.get(name), clock)
        for name in PARTS.keys() & body.__globals__.keys():  # what `from ... import` bound before
            body.__globals__[name] = _timed(body.__globals__[name], PARTS[name], clock)
        progress = sys.modules.get("thumbnet.progress")
        if progress:
            _note_first_batch(progress.TrainingProgress, clock)
        original(body)

    thumbnet.stage.run_stage = run
    runpy.run_path(arguments[0], run_name="__main__")


def _time_import(clock: Clock) -> None:
    """MLflow's import is MLflow's time, wherever it happens."""
    original = builtins.__import__

    def import_(name, *rest, **named):  # type: ignore[no-untyped-def]
        if name != "thumbnet.tracking" or name in sys.modules:
            return original(name, *rest, **named)
        clock.begin("MLflow")
        try:
            module = original(name, *rest, **named)
            _time_parts(sys.modules[name], clock)
            return module
        finally:
            clock.end()

    builtins.__import__ = import_


def _time_parts(module, clock: Clock) -> None:  # type: ignore[no-untyped-def]
    """Puts clocks on the functions and methods of a module that `PARTS` names, once."""
    for path, part in PARTS.items():
        *owners, name = path.split(".")
        owner = functools.reduce(lambda owner, name: getattr(owner, name, None), owners, module)
        function = vars(owner).get(name) if owner else None
        if function and not hasattr(function, "__wrapped__"):
            setattr(owner, name, _timed(function, part, clock))


def _timed(function, part: str, clock: Clock):  # type: ignore[no-untyped-def]
    if hasattr(function, "__wrapped__"):
        return function

    @functools.wraps(function)
    def timed(*arguments, **named):  # type: ignore[no-untyped-def]
        clock.begin(part)
        try:
            return function(*arguments, **named)
        finally:
            clock.end()

    return timed


def _note_first_batch(progress, clock: Clock) -> None:  # type: ignore[no-untyped-def]
    original = progress.on_batch

    def on_batch(self):  # type: ignore[no-untyped-def]
        if clock.first_batch is None:
            clock.first_batch = time.time() - clock.start
        original(self)

    progress.on_batch = on_batch


if __name__ == "__main__":
    if "STAGE_CLOCK_START" in os.environ:
        run_stage(sys.argv[1:], float(os.environ.pop("STAGE_CLOCK_START")))
    else:
        sys.exit(time_stage(sys.argv[1:]))
