"""The C library that makes calls fail: compiled, preloaded by starting Python again, and then armed."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parent / "shim.c"
_CODE = Path(__file__).parents[2] / "src"
_VARIABLE = "UNWEAVE_FAULTS_SHIM"


def missing() -> str | None:
    """Why faults cannot be made here; None if they can."""
    if sys.platform != "linux":
        return "faults are made by a library that is preloaded, which is done on Linux alone"
    return None if shutil.which("cc") else "there is no C compiler (cc) to build the library that makes faults"


def compiled(folder: Path) -> Path:
    """The library, built in a folder."""
    library = folder / "shim.so"
    command = ["cc", "-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-o", library, SOURCE, "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
    return library


def environment(library: Path) -> dict[str, str]:
    """What a process has to be started with: the library, and one thread, so that a fork finds no pool of threads."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    code = os.pathsep.join(filter(None, (str(_CODE), os.environ.get("PYTHONPATH"))))  # this checkout's, come what may
    return {**os.environ, **threads, "PYTHONPATH": code, "LD_PRELOAD": str(library), _VARIABLE: str(library)}


class Shim:
    """The preloaded library. It watches one folder at a time, and each of its faults is of the next events there."""

    def __init__(self) -> None:
        if _VARIABLE not in os.environ:
            raise RuntimeError("start this process with `environment(compiled(folder))`")
        self._library = ctypes.CDLL(os.environ[_VARIABLE])
        self._library.shim_filter()

    def watch(self, folder: Path | None) -> None:
        """Count the events below a folder from now on, without any fault; None: watch nothing."""
        self._library.shim_watch(os.fsencode(folder.resolve()) if folder else b"")

    def kill_at(self, event: int, *, torn: bool) -> None:
        """Die at this event, before it or, where it is a write that is to be torn, after its first half."""
        self._library.shim_kill_at(ctypes.c_long(event), int(torn))

    def full_from(self, space: int, error: int) -> None:
        """Let whatever needs room on the disk fail, from this one on; with EIO every sync too."""
        self._library.shim_full_from(ctypes.c_long(space), error)

    def pause_at(self, event: int, tell: int, wait: int) -> None:
        """At this event write a byte to one pipe, and go on when there is one in the other."""
        self._library.shim_pause_at(ctypes.c_long(event), tell, wait)

    def log_to(self, descriptor: int) -> None:
        """Log what is changed, as `powercut.read` reads it."""
        self._library.shim_log_to(descriptor)

    @property
    def events(self) -> int:
        """Events so far."""
        return int(self._library.shim_events())

    @property
    def spaces(self) -> int:
        """Those of them that need room on the disk."""
        return int(self._library.shim_spaces())


def active() -> bool:
    """Whether this process was started with the library."""
    return _VARIABLE in os.environ
