"""A notebook executed in a kernel of its own; however it fails, that is one sentence, and nothing of it is left."""

import logging
import signal
import threading
from collections.abc import Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

from capacity.errors import CapacityError
from capacity.places import PROJECT, environment
from capacity.suite.kernels import LOG, end_kernels, prepare_kernels
from capacity.system.interruption import Interrupted
from capacity.system.server_directory import remove_orphans
from capacity.writing import writes_to

OPTIONS: dict[str, Any] = {
    "progress_bar": False,
    "kernel_name": "python3",
    "autosave_cell_every": 0,
    "extra_arguments": ["--IPKernelApp.log_level=40"],  # it warns of its TCP port at every start, which is on loopback
}
KEPT_S = 120.0  # the most that it takes to keep what a long load has left, and to stop servers
GONE_S = 10.0
MOST_WORDS = 60  # of a failure that is not a sentence of ours
DIED = "its kernel was killed: by somebody, or by the system where memory is short"


def execute_notebook(path: Path, output: Path, parameters: Mapping[str, Any], project: Path) -> Path:
    """Execute a notebook with the parameters in the project's folder; returns `output`, the executed copy.

    What the kernel itself says, a warning of Python's for one, is beside it in a file .log. Raises CapacityError
    however the notebook or its kernel fails. Where this process is asked to end, the kernel first keeps what it
    measured.
    """
    import papermill  # takes two seconds to load, which a wrong word in the command need not wait for

    for name in ("papermill", "traitlets"):  # what went wrong is said in one sentence
        logging.getLogger(name).setLevel(logging.CRITICAL)
    log = output.with_suffix(".log")
    with writes_to(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
    done: Future[None] = Future()

    def execute() -> None:
        # Not in the main thread: an interrupt in the midst of asyncio's or ZeroMQ's own work leaves a kernel behind.
        try:
            papermill.execute_notebook(path, output, dict(parameters), cwd=project, **OPTIONS)
        except BaseException as error:
            done.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        else:
            done.set_result(None)

    with environment({**prepare_kernels(), LOG: str(log), PROJECT: str(project)}):
        threading.Thread(target=execute, daemon=True).start()
        try:
            done.result()
        except Exception as error:
            remove_orphans()  # the servers of a kernel that was killed
            raise CapacityError(f"the notebook {path.name} {_failure(error, output)}") from None
        except BaseException:
            _end(done)
            raise
        finally:
            with suppress(OSError):
                if not log.stat().st_size:
                    log.unlink()
    return output


def _end(done: "Future[None]") -> None:
    """End the kernel when what it measured is kept, and at the second wish at once."""
    try:
        end_kernels(signal.SIGTERM)
        wait([done], KEPT_S)
    except Interrupted:
        pass
    finally:
        if not done.done():
            end_kernels(signal.SIGKILL)
            wait([done], GONE_S)
        remove_orphans()


def _failure(error: Exception, output: Path) -> str:
    """What became of a notebook, and where to look."""
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    if isinstance(error, PapermillExecutionError):
        known = error.ename == CapacityError.__name__
        return f"failed: {error.evalue if known else _in_short(error.ename, error.evalue)}; see {output}"
    if isinstance(error, DeadKernelError) or "Kernel died" in str(error):
        return f"failed: {DIED}; see {output}"
    if isinstance(error, OSError):  # of the disk that it is kept on, or of its kernel
        return f"could not be executed into {output}: {error.strerror or error}; put that right"
    return f"could not be executed: {_in_short(type(error).__name__, str(error))}"


def _in_short(name: str, text: str) -> str:
    words = text.split()
    said = " ".join(words[:MOST_WORDS]) + (" …" if len(words) > MOST_WORDS else "")
    return f"{name}: {said}" if said else name
