"""The user's word for what a project's settings reach outside of its folder, asked for once and remembered.

A project may come from a stranger. Its `unweave.toml` then says where texts are sent, which environment variable goes
with them, what is fetched, read or written elsewhere, and how much may be spent. None of that happens until the user
has said so: by an option or in Python, at a question on the terminal, or with `unweave trust PROJECT`. The values are
kept in the user's own configuration, by project; another value is asked for anew.
"""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from unweave.base.addresses import is_remote
from unweave.base.fields import DICTIONARY, HUB, PATH
from unweave.base.files import write_atomically
from unweave.base.locks import held
from unweave.base.plain import plain
from unweave.config import OWN, PRECOMPUTED, PRETRAINED
from unweave.encode.encoders import is_fetched
from unweave.errors import BadData, NotTrusted
from unweave.sae.hub import is_repository
from unweave.settings import FILE as SETTINGS
from unweave.settings import Settings, default_of

logger = logging.getLogger(__name__)

FILE = "trusted.toml"
_SAYS = """# What each project's settings may reach, by your word: addresses, variables, paths, models, money.
# unweave writes here what you gave as an option or allowed; take a project out, and it asks again.
"""
_MOST_BYTES = 1 << 24


class Reach(NamedTuple):
    """A setting that reaches outside of its project."""

    stage: str
    setting: str
    value: str
    """As text; a path in full."""
    what: str
    """What happens with it."""

    @property
    def name(self) -> str:
        """Stage and setting, as they are remembered."""
        return f"{self.stage}.{self.setting}"

    def __str__(self) -> str:
        return f"[{self.stage}] {self.setting} = {plain(repr(self.value))} ({self.what})"


Ask = Callable[[list[Reach]], bool]
"""Asks the user whether they allow what a project's file says; True if they do."""


class Word:
    """The user's word for one project, as it was opened."""

    def __init__(self, project: Path, given: Mapping[str, Mapping[str, Any]], ask: Ask | None) -> None:
        """Nothing is read yet.

        Args:
            given: the settings, by stage, that the user gave as options or in Python.
        """
        self._project, self._ask = project, ask
        self._given = _names(given)
        self._checked: dict[str, Any] = {}

    def check(self, settings: Settings, stage: str) -> None:
        """Raise NotTrusted if a stage's settings reach anything that the user did not give, allow before, or now."""
        config = getattr(settings, stage)
        if self._checked.get(stage) == config:
            return
        asked = unconfirmed(reaching(settings, self._project, [stage]), self._project, self._given)
        if asked:
            if self._ask is None or not self._ask(asked):
                raise NotTrusted(
                    f"{self._project / SETTINGS} asks for what only you can allow: {'; '.join(map(str, asked))}. If "
                    f"that is meant, run: unweave trust {self._project}"
                )
            self._remember(asked)
        self._checked[stage] = config

    def keep(self, settings: Settings, given: Mapping[str, Mapping[str, Any]]) -> None:
        """Remember what the user gave and what was written to the project's file as their word."""
        names = _names(given)
        self._remember([reach for reach in reaching(settings, self._project) if reach.name in names])

    def _remember(self, reaches: list[Reach]) -> None:
        try:
            remember(reaches, self._project)
        except OSError as error:
            said = "what you allowed holds for now, and will be asked for again"
            logger.warning("%s could not be written (%s): %s", trust_file(), error.strerror, said)


def _names(given: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {f"{stage}.{name}" for stage, values in given.items() for name in values}


def reaching(settings: Settings, project: Path, stages: Iterable[str] | None = None) -> list[Reach]:
    """What the settings reach outside of the project's folder; of a project with defaults, nothing.

    Args:
        stages: those to look at; by default all.
    """
    found = []
    for stage in [field.name for field in fields(settings)] if stages is None else stages:
        config = getattr(settings, stage)
        for setting in fields(config):
            what, value = setting.metadata.get("reaches"), getattr(config, setting.name)
            if what is None or value == default_of(setting):
                continue
            reached = _reached(value, setting.metadata["kind"], project)
            if reached is not None:
                found.append(Reach(stage, setting.name, reached, what))
    return found


def _reached(value: Any, kind: str, project: Path) -> str | None:
    """What a value that is not the default reaches, as it is remembered; None: nothing outside."""
    if kind == DICTIONARY and value in (OWN, PRETRAINED):
        return None
    if kind == PATH and is_remote(value):  # an address, whatever folder this process stands in
        return str(value)
    if kind == PATH or (kind in (HUB, DICTIONARY) and Path(value).exists()):
        whole = os.path.realpath(value)
        inside = Path(whole).is_relative_to(os.path.realpath(project))
        return None if inside else whole
    if kind == HUB and (value == PRECOMPUTED or not is_fetched(value)):
        return None
    if kind == DICTIONARY and not is_repository(value):
        return None
    return str(value)


def unconfirmed(reaches: Iterable[Reach], project: Path, given: Collection[str]) -> list[Reach]:
    """What the user has not given their word for.

    Args:
        given: the names of settings that they gave themselves, as an option or in Python.
    """
    asked = [reach for reach in reaches if reach.name not in given]
    if not asked:
        return []
    remembered = _read(trust_file()).get(_key(project), {})
    return [reach for reach in asked if remembered.get(reach.name) != reach.value]


def remember(reaches: Iterable[Reach], project: Path) -> None:
    """Keep the user's word for these values of this project.

    Raises:
        OSError: the user's configuration cannot be written.
        BadData: it is damaged.
    """
    import tomlkit

    words = {reach.name: reach.value for reach in reaches}
    if not words:
        return
    path = trust_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with held(path.with_name(f".{FILE}.unweave-lock")):
        known = _read(path)
        mine = known.setdefault(_key(project), {})
        if words.items() <= mine.items():
            return
        mine.update(words)
        write_atomically(path, lambda p: p.write_text(_SAYS + tomlkit.dumps(known), encoding="utf-8"))


def trust_file() -> Path:
    """Where the user's word is kept: below XDG_CONFIG_HOME, or the home folder's .config; on Windows below APPDATA."""
    given = os.environ.get("APPDATA" if os.name == "nt" else "XDG_CONFIG_HOME", "")
    folder = Path(given) if Path(given).is_absolute() else Path.home() / ".config"
    return folder / "unweave" / FILE


def _key(project: Path) -> str:
    return Path(os.path.realpath(project)).as_uri()


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return {}
    try:
        if len(content) > _MOST_BYTES:
            raise ValueError(f"over {_MOST_BYTES:,} bytes")
        known = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadData(f"{path}: not valid TOML ({plain(str(error), 100)}); mend it, or remove it") from error
    return {project: dict(words) for project, words in known.items() if isinstance(words, Mapping)}
