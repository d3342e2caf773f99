"""A project's settings: one table of `unweave.toml` a stage, the same fields as the options of its command."""

from __future__ import annotations

import ast
import inspect
import textwrap
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Self

from unweave.base.files import write_atomically
from unweave.base.foreign import shown
from unweave.base.locks import held
from unweave.base.plain import plain
from unweave.config import (
    EmbedConfig,
    EncoderConfig,
    EvaluateConfig,
    EvidenceConfig,
    FitConfig,
    IndexConfig,
    KeyphraseConfig,
    LanguageModelConfig,
    LexiconConfig,
    ShardsConfig,
    TokensConfig,
)
from unweave.errors import BadData, EarlierVersion

FILE = "unweave.toml"
LOCK = f".{FILE}.lock"
"""Held, beside the file, by who changes it."""
_MOST_BYTES = 1 << 20
"""Of the file; a new project's has some 7,000."""
_EARLIER = {"name", "model"}
"""What `[keyphrases]` and `[language_model]` were called before."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All stages of a project."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    embed: EmbedConfig = field(default_factory=EmbedConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    keyphrases: KeyphraseConfig = field(default_factory=KeyphraseConfig)
    lexicon: LexiconConfig = field(default_factory=LexiconConfig)
    language_model: LanguageModelConfig = field(default_factory=LanguageModelConfig)
    tokens: TokensConfig = field(default_factory=TokensConfig)
    index: IndexConfig = field(default_factory=IndexConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    shards: ShardsConfig = field(default_factory=ShardsConfig)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a project's settings; what the file leaves out has its default.

        Raises:
            BadData: the file is not TOML, or has a table, key or type that is not known.
            EarlierVersion: it has a table as an earlier version called it.
        """
        try:
            tables = tomllib.loads(_text(path))
        except (ValueError, RecursionError) as error:  # TOML and UTF-8 that are none, numbers of thousands of digits
            raise BadData(f"{path}: not valid TOML ({plain(str(error), 200)})") from error
        stages = {f.name: typing.get_type_hints(cls)[f.name] for f in fields(cls)}
        unknown = [name for name in tables if name not in stages]
        if _EARLIER & set(unknown):
            project = path.parent
            raise EarlierVersion(
                f"{project} was made by an earlier version of unweave; save what people and models named "
                f"(unweave concepts export {project} names.csv), then make another: unweave init"
            )
        if unknown:
            raise BadData(f"{path}: unknown table [{plain(unknown[0], 60)}]; expected {', '.join(stages)}")
        return cls(**{name: _stage(stages[name], table, f"{path}, [{name}]") for name, table in tables.items()})

    def changed(self, changes: Mapping[str, Mapping[str, Any]]) -> Self:
        """A copy with some settings of some stages changed.

        Raises:
            BadData: there is no such setting, or a value is out of its range.
        """
        changed = {}
        for stage, values in changes.items():
            try:
                changed[stage] = replace(getattr(self, stage), **values)
            except (AttributeError, TypeError, ValueError) as error:
                raise BadData(f"[{stage}]: {error}") from error
        return replace(self, **changed)


def write_new(path: Path, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Write settings for a new project: every field with its meaning, and its default unless changed, by stage."""
    lines = []
    for stage in fields(Settings):
        config = typing.get_type_hints(Settings)[stage.name]
        lines += [f"# {inspect.getdoc(config)}", f"[{stage.name}]"]
        for setting in fields(config):
            choices = [choice for choice in choices_of(setting) if choice]
            meaning = documentation(config)[setting.name] + (f" One of: {', '.join(choices)}." if choices else "")
            lines += textwrap.wrap(meaning, 110, initial_indent="# ", subsequent_indent="# ")
            value = changes.get(stage.name, {}).get(setting.name, default_of(setting))
            lines.append(f"# {setting.name} =" if value is None else f"{setting.name} = {_toml(value)}")
        lines.append("")
    write_atomically(path, lambda p: p.write_text("\n".join(lines), encoding="utf-8"))


def update(path: Path, changes: Mapping[str, Mapping[str, Any]]) -> Settings:
    """Change some settings of some stages in the file, all or none, comments kept, and return all settings.

    Who else changes the file meanwhile waits, so that nobody's change is lost.

    Args:
        changes: settings by stage.

    Raises:
        BadData: a value is not of the setting's type or out of its range; the file is as it was.
    """
    import tomlkit

    if not any(changes.values()):
        return Settings.read(path)
    with held(path.with_name(LOCK)):
        Settings.read(path)  # what is broken already is reported as it is on every other occasion
        document = tomlkit.parse(_text(path))
        for stage, values in changes.items():
            if values:
                table = document.setdefault(stage, tomlkit.table())
                table.update(values)
                _stage(typing.get_type_hints(Settings)[stage], table.unwrap(), f"{path}, [{stage}]")
        write_atomically(path, lambda p: p.write_text(tomlkit.dumps(document), encoding="utf-8"))
        return Settings.read(path)


def _text(path: Path) -> str:
    """What the file holds, without the mark that some editors begin it with."""
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise BadData(f"{path}: over {_MOST_BYTES:,} bytes, which no settings have; is it another file?")
    return content.decode("utf-8-sig")


@cache
def documentation(config: type) -> dict[str, str]:
    """The sentence under each field of a settings class, by field name."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(config))).body
    assert isinstance(definition, ast.ClassDef)
    documented = {}
    for statement, after in zip(definition.body, definition.body[1:], strict=False):
        match statement, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(sentence))):
                documented[name] = sentence
    return documented


def choices_of(setting: Field[Any]) -> tuple[str, ...]:
    """The values that a setting may have, if they are few; the empty text among them if it may be left empty."""
    choices: tuple[str, ...] = setting.metadata.get("choices", ())
    return choices


def value_type(config: type, name: str) -> type:
    """The plain type of a field: int for `int | None`."""
    hint = typing.get_type_hints(config)[name]
    if isinstance(hint, types.UnionType):
        hint = next(t for t in typing.get_args(hint) if t is not types.NoneType)
    return typing.cast(type, hint)


def _stage(config: type, table: Any, where: str) -> Any:
    if not isinstance(table, dict):
        raise BadData(f"{where}: expected a table of settings, got {shown(table)}")
    known = {f.name for f in fields(config)}
    for name in table:
        if name not in known:
            raise BadData(f"{where}: unknown setting {shown(name)}; expected {', '.join(sorted(known))}")
    try:
        return config(**table)
    except ValueError as error:
        raise BadData(f"{where}: {error}") from error


def default_of(setting: Field[Any]) -> Any:
    """What a new project has; None: it is chosen when it is needed."""
    return setting.default if setting.default is not MISSING else None


def _toml(value: Any) -> str:
    import tomlkit

    return str(tomlkit.item(value).as_string())
