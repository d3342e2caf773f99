"""Checks that fields of settings share: what a field may hold is refused or accepted here, before any work begins."""

from __future__ import annotations

import math
import re
import typing
import unicodedata
from collections.abc import Sequence
from dataclasses import field, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar

from unweave.base.foreign import shown

_DEVICES = ("cpu", "cuda", "mps", "xpu")
LARGEST = 2**31 - 1
"""Latents, passages and what is counted of them are 32-bit numbers on disk."""
LONGEST = 4096
"""Characters of a setting that is a text, at most."""
ANY, PATH, HUB, DICTIONARY = "any", "path", "hub", "dictionary"
T = TypeVar("T")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"  # which some scripts need between letters


def one_of(choices: Sequence[str], default: str) -> str:
    """A field that takes one of a few values: its option offers them, and `check` refuses any other."""
    return field(default=default, metadata={"choices": tuple(choices)})


def reaches(default: T, what: str, kind: str = ANY) -> T:
    """A field that reaches outside of a project where it is not at its default: the user is to give their word.

    Args:
        what: what happens with its value, as the question says it.
        kind: PATH, where a place inside the project is free, HUB, a model's folder or name, DICTIONARY, that of an SAE,
            or ANY.
    """
    return field(default=default, metadata={"reaches": what, "kind": kind})


def several_lines(default: str) -> str:
    """A field whose text may hold line ends and tabs, such as what a model wants to read before each text."""
    return field(default=default, metadata={"lines": True})


def check(config: Any) -> None:
    """Raise ValueError if a field has another type than it says, is not finite, beyond what is counted here, none of
    its choices, or a text with characters that are not seen; what a setting means is for its class to check."""
    check_numbers(config)
    for setting in fields(config):
        value = getattr(config, setting.name)
        if isinstance(value, str):
            _check_text(setting.name, value, "\n\t" if setting.metadata.get("lines") else "")
        if setting.name == "device":
            _check_device(value)


def check_numbers(config: Any) -> None:
    """Raise ValueError if a field has another type than it says, is not finite, too large, or none of its choices."""
    kinds = _kinds(config.__class__)
    for setting in fields(config):
        value, kind = getattr(config, setting.name), kinds[setting.name]
        _check_value(setting.name, value, kind)
        choices = setting.metadata.get("choices")
        if choices is not None and value not in choices:
            or_empty = ", or empty" if "" in choices else ""
            raise ValueError(
                f"{setting.name} must be one of {', '.join(filter(None, choices))}{or_empty}, got {shown(value)}"
            )


def at_least(config: object, least: int, *names: str) -> None:
    """Raise ValueError if one of these settings is set and below `least`."""
    for name in names:
        value = getattr(config, name)
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, got {shown(value)}")


def at_most(config: object, most: float, *names: str) -> None:
    """Raise ValueError if one of these settings is set and above `most`."""
    for name in names:
        value = getattr(config, name)
        if value is not None and value > most:
            raise ValueError(f"{name} must be at most {most:,}, got {shown(value)}")


def above_zero(config: object, most: float, *names: str) -> None:
    """Raise ValueError if one of these settings is set and not above 0, or above `most`."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not 0 < value <= most:
            raise ValueError(f"{name} must be a number above 0, and at most {most:,}, got {shown(value)}")


def not_blank(config: object, *names: str) -> None:
    """Raise ValueError if one of these settings is an empty text."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not value.strip():
            raise ValueError(f"{name} must not be empty")


@cache
def _kinds(config: type) -> dict[str, Any]:
    return typing.get_type_hints(config)


def _check_value(name: str, value: Any, kind: Any) -> None:
    if isinstance(kind, UnionType):
        if value is None:
            return
        kind = next(one for one in typing.get_args(kind) if one is not NoneType)
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, tuple):
            raise ValueError(f"{name} must be several numbers, got {shown(value)}")
        for one in value:
            _check_value(name, one, typing.get_args(kind)[0])
        return
    fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{name} = {shown(value)} should be of type {kind.__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value}")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ValueError(f"{name} must be at most {LARGEST}, got {shown(value)}")


def _check_text(name: str, value: str, allowed: str) -> None:
    if len(value) > LONGEST:
        raise ValueError(f"{name} must have at most {LONGEST:,} characters, got {len(value):,}")
    unseen = next((c for c in value if unicodedata.category(c) in _UNSEEN and c not in allowed + _JOINERS), None)
    if unseen is not None:
        raise ValueError(f"{name} holds the character {unseen!a}, which is not seen where it is shown; take it out")


def _check_device(device: str) -> None:
    """Whether a device that can be named is there, `encode.devices` says."""
    if not re.fullmatch(r"[a-z]+(:\d{1,3})?", device) or device.partition(":")[0] not in _DEVICES:
        raise ValueError(
            f"device must be one of {', '.join(_DEVICES)}, or one of several as cuda:1, got {shown(device)}"
        )
