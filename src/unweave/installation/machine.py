"""What this machine has to compute with, and what can be done in a folder; nothing heavy is imported to see it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from unweave.base.cores import n_cores
from unweave.base.room import memory

_FEATURES = ("avx2", "avx512f", "avx512bw", "avx512bf16", "amx-bf16", "neon", "sve")
"""Those of a processor that compiled kernels gain from."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
_MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class Processor:
    """What computes where no GPU does."""

    cores: int
    """Those that this process may use."""
    cores_of_machine: int
    features: tuple[str, ...] | None
    """Vector instructions, as the compiler of the kernels sees them; None: it is not installed."""
    memory: int | None
    """Bytes that this process could have; None where that is not known."""
    limits: dict[str, str]
    """Variables of the environment that limit threads, and their values."""


@dataclass(frozen=True)
class Accelerators:
    """The GPUs that torch could train on, and how that is known."""

    torch: str | None
    """The version that is installed."""
    devices: tuple[str, ...]
    how: str
    threads: int | None
    """Threads of torch on the processor; None if torch was not asked."""


@dataclass(frozen=True)
class Folder:
    """A folder in which a project could be made."""

    path: str
    writable: bool
    file_system: str | None
    """Its type, such as ext4 or nfs4; None where that is not known."""
    free: int
    """Bytes that are left."""


def processor() -> Processor:
    """The processor of this machine."""
    limits = {name: os.environ[name] for name in _THREADS if name in os.environ}
    return Processor(n_cores(), os.cpu_count() or 1, _features(), memory(), limits)


def _features() -> tuple[str, ...] | None:
    try:
        from llvmlite.binding import get_host_cpu_features
    except (ImportError, OSError):  # OSError: its library does not load
        return None
    found = get_host_cpu_features()
    return tuple(name for name in _FEATURES if found.get(name))


def accelerators() -> Accelerators:
    """The GPUs; torch is imported, for a second or more, only if this build of it could have one."""
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return Accelerators(None, (), "torch is not installed", None)
    if not (_built_for_a_gpu() or (sys.platform == "darwin" and platform.machine() == "arm64")):
        return Accelerators(version, (), "this build of torch is for processors alone", None)
    try:
        import torch
    except (ImportError, OSError) as error:
        return Accelerators(version, (), f"torch cannot be imported: {error}", None)
    found = [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    found += ["mps"] if torch.backends.mps.is_available() else []
    return Accelerators(version, tuple(found), "torch was asked", torch.get_num_threads())


def _built_for_a_gpu() -> bool:
    """Whether torch says that it was built for CUDA or ROCm, in a file that is read without importing it."""
    spec = find_spec("torch")
    with suppress(OSError):
        said = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8") if spec and spec.origin else ""
        return bool(re.search(r"^(cuda|hip)\b[^=]*= *['\"]", said, flags=re.MULTILINE))
    return True


def folder(path: Path) -> Folder:
    """What can be done in a folder."""
    path = path.resolve()
    return Folder(str(path), os.access(path, os.W_OK | os.X_OK), _file_system(path), shutil.disk_usage(path).free)


def _file_system(path: Path) -> str | None:
    """The type of the file system that is mounted nearest above a path, as Linux lists them."""
    found, longest = None, -1
    with suppress(OSError):
        for line in _MOUNTS.read_text(encoding="utf-8").splitlines():
            place, kind = line.split(" ")[4], line.partition(" - ")[2].partition(" ")[0]
            mounted = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), place)  # \040 is a blank
            if path.is_relative_to(mounted) and len(mounted) >= longest:
                found, longest = kind, len(mounted)
    return found
