"""What a stage has to tell MLflow, written by a process of its own.

MLflow takes as long to load as PyTorch: in two processes they load side by side. No epoch of a training waits for a
store that is slow to answer, and where it is killed outright, somebody is left to end its run.
"""

import atexit
import contextlib
import gc
import io
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from thumbnet.errors import UserError
from thumbnet.interrupts import uninterrupted

if TYPE_CHECKING:  # the other process is to start before this one loads it
    from thumbnet.params import Params


#: To each call: what it wrote to stderr, and what the user has to mend, if there is something.
_Answer = tuple[str, str | None]


class Recorder:
    """A process that writes one run: `thumbnet.tracking.TrainingRun`, with the same methods, from `begin` on.

    To be made before the imports that take long. Calls are done in their order; `begin`, `finish` and the end of the
    context wait until they are. A stage without a run of its own calls `log_evaluation` or `log_ensemble`, once.
    """

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        # A group of its own: Ctrl-C is for the training, which tells how its run ends. -P: no file of the user's stands
        # in for a library.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "thumbnet.recording", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            process_group=0,
        )
        theirs.close()
        self._member = ""
        self._awaited = 0
        self._ended = False
        atexit.register(self._end_idle)

    def log_evaluation(
        self,
        params: "Params",
        member: str,
        metrics: Mapping[str, Any],
        per_class: Mapping[str, Any],
        files: Sequence[Path],
    ) -> None:
        """`thumbnet.tracking.log_evaluation`, done there; returns when it is done.

        Raises:
            UserError: as there.
        """
        self._do("log_evaluation", params, member, metrics, per_class, files)

    def log_ensemble(self, params: "Params", metrics: Mapping[str, Any], files: Sequence[Path]) -> None:
        """`thumbnet.tracking.log_ensemble`, as `log_evaluation`."""
        self._do("log_ensemble", params, metrics, files)

    def begin(self, params: "Params", member: str, data: Mapping[str, Any]) -> Self:
        """Begins the run, and is that context.

        Args:
            params: the whole `params.yaml`.
            member: the network's name in `models`; the run is called by it.
            data: what the training reads: the data set's name and the sha256 of its splits.

        Raises:
            UserError: the store cannot be reached or used.
        """
        self._member = member
        try:
            self._call("begin", params, member, dict(data))
            self._take_answers()
        except BaseException:
            self._connection.close()  # the other process ends its run, if there is one
            raise
        return self

    def tag(self, **facts: str) -> None:
        self._call("tag", **facts)

    def resume(self, epochs: int, checkpoint: str) -> None:
        self._call("resume", epochs, checkpoint)

    def log_epoch(self, row: Mapping[str, float]) -> None:
        self._call("log_epoch", dict(row))

    def finish(self, model_dir: Path, files: Sequence[Path], summary: Mapping[str, float]) -> None:
        self._call("finish", model_dir, list(files), dict(summary))
        self._take_answers()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        self._call("end", "KILLED" if interrupted else "FAILED")
        self._take_answers()
        self._connection.close()
        self._process.wait()

    def _do(self, function: str, *arguments: object) -> None:
        """Asks for a call of one of the functions of `thumbnet.tracking`, and waits until it is done."""
        try:
            self._connection.send((function, arguments, {}))
            told, error = self._connection.recv()
        except (EOFError, ConnectionError):
            raise UserError(
                "the process that writes to MLflow has ended before it was done; what it met is above, or it was "
                "killed, as for want of memory"
            ) from None
        sys.stderr.write(told)
        if error:
            raise UserError(error)

    def _call(self, method: str, *arguments: object, **named: object) -> None:
        """Asks for a call, and takes the answers to earlier ones that have come."""
        while self._awaited and self._connection.poll():
            self._take_answer()
        with self._end_told(), uninterrupted():
            self._connection.send((method, arguments, named))
            self._awaited += 1

    def _take_answers(self) -> None:
        while self._awaited:
            self._take_answer()

    def _take_answer(self) -> None:
        with self._end_told():
            self._connection.poll(None)
            with uninterrupted():  # half an answer would be taken for the next one
                told, error = self._connection.recv()
                self._awaited -= 1
            sys.stderr.write(told)
            if error:
                raise UserError(error)

    @contextlib.contextmanager
    def _end_told(self) -> Iterator[None]:
        """Warns, once, where the process is no more: what it met is above, or it was killed."""
        try:
            yield
        except (EOFError, ConnectionError):
            if not self._ended:
                print(f"warning: {self._member}: the process that writes this run to MLflow has ended; its training is "
                      f"not harmed, and evaluate@{self._member} makes up for it.", file=sys.stderr)  # fmt: skip
            self._ended, self._awaited = True, 0

    def _end_idle(self) -> None:
        """Where the stage did not come to its run, nobody waits until MLflow is loaded for nothing."""
        if not self._member:
            self._connection.close()
            self._process.kill()
            self._process.wait()


def _serve(connection: Connection) -> None:
    """What the other process does: one call of a function, or `begin` and what comes until the run has ended."""
    from thumbnet import tracking

    try:
        method, arguments, _ = connection.recv()
    except (EOFError, ConnectionError):
        return
    if method != "begin":
        answer = _answer(partial(getattr(tracking, method), *arguments))
        with contextlib.suppress(ConnectionError):
            connection.send(answer)
        return
    params, member, data = arguments
    run = tracking.TrainingRun(params, member, tracking.hash_data(data))
    told, error = _answer(run.begin)
    with contextlib.suppress(ConnectionError):
        connection.send((told, error))
    method = "end" if error else "begin"
    while method != "end":
        try:
            method, arguments, named = connection.recv()
        except (EOFError, ConnectionError):  # the training was killed, and could not say so
            method, arguments, named = "end", ("KILLED",), {}
        answer = _answer(partial(getattr(run, method), *arguments, **named))
        with contextlib.suppress(ConnectionError):
            connection.send(answer)


def _answer(call: Callable[[], None]) -> _Answer:
    error = None
    with contextlib.redirect_stderr(io.StringIO()) as told:
        try:
            call()
        except UserError as mistake:
            error = str(mistake)
    return told.getvalue(), error


if __name__ == "__main__":
    # Whoever ends the stage may signal all processes; the run of a training is ended by this one.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    gc.disable()  # what is loaded stays
    _serve(Connection(int(sys.argv[1])))
