"""The command `recurra`: which commands there are, and how what goes wrong is said."""

import errno
import logging
import os
import sys
from collections.abc import Sequence
from types import TracebackType

from cyclopts import App, CycloptsError

import recurra
from recurra.cli.bench import bench
from recurra.cli.demo import demo
from recurra.cli.facts import cells, doctor
from recurra.cli.predict import evaluate, generate, predict, score
from recurra.cli.train import train
from recurra.engines.library import NativeLibraryError

app = App(
    name="recurra",
    help="Recurrent sequence models: any cell written as equations, run at fused speed, from a file to an answer.",
    version=recurra.__version__,
    suppress_keyboard_interrupt=False,
)
for _command in (demo, train, evaluate, predict, score, generate, cells, bench, doctor):
    app.command(_command)

USER_ERROR = 2
INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended
UNREAD = 141  # what a shell reports for a program whose output nobody reads any more

# What to do about a file system that refuses.
_MENDS = {
    errno.ENOSPC: "free some space; what was there before is whole",
    errno.EDQUOT: "free some space; what was there before is whole",
    errno.EFBIG: "allow larger files; what was there before is whole",
    errno.EACCES: "choose a place you have a right to, such as another folder with run=…",
    errno.EPERM: "choose a place you have a right to, such as another folder with run=…",
    errno.EROFS: "choose a place that can be written to, such as another folder with run=…",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "a file stands where a folder is expected: choose another path",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (None: those of this process) and return the exit status.

    0 is success, 2 what the user can mend (said in one or two lines on stderr), 130 an interruption, 141 an output that
    nobody reads to its end. Errors of the program itself are raised.
    """
    _listen()
    try:
        status = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except CycloptsError as error:
        return _refuse(f"{' '.join(str(error).split())} Try: recurra --help")
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Whoever reads the output, such as `head`, has had enough. At its end the interpreter flushes again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    except OSError as error:
        return _refuse(_explain(error))
    except NativeLibraryError as error:
        return _refuse(str(error))
    except (MemoryError, RuntimeError) as error:
        if not _is_lack_of_memory(error):
            raise
        return _refuse(
            f"this takes more memory than there is ({' '.join(str(error).split())[:200]}); take a smaller batch, beam "
            "or model"
        )
    except ValueError as error:
        # Only what the library raised on purpose is for the user; anything else is a mistake of ours, shown whole.
        if not _is_deliberate(error, error.__traceback__):
            raise
        return _refuse(str(error))


class _Listener(logging.Handler):
    """Shows what the library logs. It looks up stderr each time: while a bar is shown, that is another one."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"recurra: {record.getMessage()}", file=sys.stderr)


def _listen() -> None:
    logger = logging.getLogger("recurra")
    if not any(isinstance(handler, _Listener) for handler in logger.handlers):
        logger.addHandler(_Listener())
        # Of several processes that do the same, one tells it.
        logger.setLevel(logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING)


def _explain(error: OSError) -> str:
    if error.strerror is None or error.errno is None:
        return str(error)
    where = f": {error.filename}" if error.filename else ""
    mend = _MENDS.get(error.errno)
    return f"{error.strerror}{where}" + (f" ({mend})" if mend else "")


def _is_deliberate(error: ValueError, traceback: TracebackType | None) -> bool:
    """Whether the error is of the library's own kind, or was raised in the library's own code."""
    if type(error).__module__.startswith("recurra."):
        return True
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_globals.get("__name__", "").startswith("recurra.")


def _is_lack_of_memory(error: MemoryError | RuntimeError) -> bool:
    """Whether it is Python's, torch's of an accelerator, or torch's of the CPU, which has no class of its own."""
    named = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
    return isinstance(error, MemoryError) or named


def _refuse(text: str) -> int:
    return _say(text, USER_ERROR)


def _say(text: str, status: int) -> int:
    sys.stdout.flush()
    print(f"recurra: {text}", file=sys.stderr)
    return status
