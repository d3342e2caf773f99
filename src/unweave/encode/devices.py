"""Whether a device that settings name is there, asked before anything is computed on it."""

from __future__ import annotations

from unweave.base.plain import plain
from unweave.errors import BadData

CPU = "cpu"


def refuse_missing(device: str) -> None:
    """Raise BadData if this machine, or the torch that is installed, has no such device."""
    if device == CPU:
        return
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # AssertionError: torch was built without it
        raise BadData(f"there is no device {device!r} here ({plain(str(error), 100)}); use cpu") from error


def memory_of(device: str) -> int | None:
    """Bytes of memory that a device has; None if it is this machine's, or not known."""
    if not device.startswith("cuda"):
        return None
    import torch

    return int(torch.cuda.get_device_properties(device).total_memory)
