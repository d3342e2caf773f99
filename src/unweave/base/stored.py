"""What another version of unweave stored: what a record lacks has its default, what is not known here is noted.

So a field that a later version adds makes no artefact stale or unreadable, as long as its default means what was done
before there was the field.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")


def read_record(kind: type[T], record: Mapping[str, Any], where: object) -> T:
    """A dataclass or named tuple from what was stored of it.

    Args:
        where: the file or folder that holds the record, for the note on what is not known here.

    Raises:
        TypeError: a field without a default is missing, or the record is none.
        ValueError: a field's value is refused.
    """
    try:
        return kind(**record)
    except TypeError:
        known = _names(kind)
        read = kind(**{name: value for name, value in record.items() if name in known})
        note_unknown(record.keys() - known, where)
        return read


def note_unknown(names: Iterable[str], where: object) -> None:
    """Say, once for each place, which stored names mean nothing to this version."""
    if names:
        _note(f"{where} was written by another version of unweave: {', '.join(sorted(names))} is not known here")


def differing(
    stored: Mapping[str, Any], wanted: Mapping[str, Any], defaults: Mapping[str, Any], where: object
) -> list[str]:
    """The names of the settings in which an artefact differs from what is wanted, those of tables within as `a.b`.

    Args:
        stored: as its manifest has them.
        wanted: as this version would write them now.
        defaults: what a setting has where one of both lacks it; a mapping for a table of settings within. One that is
            neither here nor wanted is of another version: it is noted, and does not count as a difference.
        where: the artefact, for that note.
    """
    found = []
    note_unknown(stored.keys() - wanted.keys() - defaults.keys(), where)
    for name in wanted.keys() | (stored.keys() & defaults.keys()):
        default = defaults.get(name, MISSING)
        if isinstance(default, Mapping):
            within = differing(stored.get(name, {}), wanted.get(name, {}), default, where)
            found += [f"{name}.{inner}" for inner in within]
            continue
        has, asked = stored.get(name, default), wanted.get(name, default)
        if has is MISSING or asked is MISSING or _as_stored(has) != _as_stored(asked):
            found.append(name)
    return sorted(found)


def defaults_of(config: type) -> dict[str, Any]:
    """The default of each field of a settings class that has one."""
    return {setting.name: setting.default for setting in fields(config) if setting.default is not MISSING}


def set_otherwise(config: Any) -> dict[str, Any]:
    """The settings that are not at their default: what a digest may hold, since a later version may add fields."""
    values = {setting.name: getattr(config, setting.name) for setting in fields(config)}
    return {name: value for name, value in values.items() if value != defaults_of(type(config)).get(name, MISSING)}


def _as_stored(value: Any) -> Any:
    """A value as JSON gives it back: tuples become lists."""
    return json.loads(json.dumps(value))


def _names(kind: type) -> set[str]:
    return {field.name for field in fields(kind)} if is_dataclass(kind) else set(getattr(kind, "_fields", ()))


@cache
def _note(said: str) -> None:
    logger.warning("%s", said)
