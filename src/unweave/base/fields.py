"""Checks that fields of settings share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import field, fields
from typing import Any

_DEVICES = ("cpu", "cuda", "mps", "xpu")
LARGEST = 2**31 - 1
"""Latents, passages and what is counted of them are 32-bit numbers on disk."""


def one_of(choices: Sequence[str], default: str) -> str:
    """A field that takes one of a few values: its option offers them, and `check_choices` refuses any other."""
    return field(default=default, metadata={"choices": tuple(choices)})


def check_choices(config: Any) -> None:
    """Raise ValueError if a field made by `one_of` has none of its values."""
    for setting in fields(config):
        choices, value = setting.metadata.get("choices"), getattr(config, setting.name)
        if choices is not None and value not in choices:
            or_empty = ", or empty" if "" in choices else ""
            raise ValueError(
                f"{setting.name} must be one of {', '.join(filter(None, choices))}{or_empty}, got {value!r}"
            )


def at_least(config: object, least: int, *names: str) -> None:
    """Raise ValueError if one of these settings is set and below `least`, or above what is counted here."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not value >= least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
        if value is not None and value > LARGEST:
            raise ValueError(f"{name} must be at most {LARGEST}, got {value}")


def check_device(config: Any) -> None:
    """Raise ValueError if the device is none that torch could know; whether it is there, torch says."""
    if not re.fullmatch(r"[a-z]+(:\d+)?", config.device) or config.device.partition(":")[0] not in _DEVICES:
        raise ValueError(
            f"device must be one of {', '.join(_DEVICES)}, or one of several as cuda:1, got {config.device!r}"
        )
