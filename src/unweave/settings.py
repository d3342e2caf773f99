"""A project's settings: one table of `unweave.toml` a stage, the same fields as the options of its command."""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Self

from unweave.artifact import write_atomically
from unweave.concepts.evidence import EvidenceConfig
from unweave.concepts.keyphrases import KeyphraseConfig
from unweave.concepts.lexicon import LexiconConfig
from unweave.encoders import EncoderConfig
from unweave.errors import BadData, at_least
from unweave.language_model import LanguageModelConfig
from unweave.sae.recipe import TEXTS_PER_LATENT

FILE = "unweave.toml"


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """Which texts are embedded beside passages and queries."""

    sentences: int = 16_000
    """Sentences of the passages to embed too, at most, drawn evenly: an SAE learns more from short texts; 0: none."""
    language: str = "en"
    """Language of the passages, as an ISO 639 code; it decides where sentences end."""

    def __post_init__(self) -> None:
        at_least(self, 0, "sentences")


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How the SAE is trained; what is not set is chosen from the number of texts and their width."""

    variant: str = "batch_topk"
    """Which kind of SAE: batch_topk, topk, nested_topk, matryoshka, jumprelu or matching_pursuit."""
    k: int = 32
    """Active latents per text, on average."""
    n_latents: int | None = None
    """Size of the dictionary; by default a power of two times the embedding's width, by the number of texts."""
    texts_per_latent: float = TEXTS_PER_LATENT
    """Texts for each latent of the default size, about; at 1 concepts retrieve better, and vary more with the seed."""
    steps: int | None = None
    """Batches to train on; by default twenty passes over the texts, fewer over millions, at least 300."""
    batch_size: int | None = None
    """Texts in a batch; by default sixty times the fourth root of the number of texts, 256 to 4,096."""
    lr: float | None = None
    """Adam's highest step size; by default chosen from the size and number of the batches."""
    warmup_steps: int | None = None
    """Steps over which the step size rises; by default 100, or a quarter of a short training."""
    decay: float = 0.5
    """Share of the steps, the last, over which the step size falls to 0."""
    aux_alpha: float = 1 / 32
    """Weight of the auxiliary loss that revives dead latents."""
    dead_after: int | None = None
    """A latent silent for so many texts is dead; by default while an average one was active 40 times."""
    sparsity: float = 1.0
    """JumpReLU's weight of (L0 / k - 1)^2 in the loss."""
    retrieval_loss: str = "kl"
    """Which loss keeps neighbours, if it has a weight: kl or infonce."""
    retrieval_weight: float = 0.0
    """Weight of the retrieval loss; 0: none."""
    temperature: float = 0.05
    """What similarities are divided by in the retrieval loss."""
    patience: int = 0
    """Stop after so many of the dozen reports without a lower held-out NMSE; 0: train to the end."""
    tensorboard: str = ""
    """Folder for TensorBoard events; empty: none."""
    held_out: float = 0.05
    """Share of the passages that, with their sentences, are never trained on, to measure NMSE."""
    seed: int = 0
    """Decides initial directions, the order of texts and which are held out."""
    device: str = "cpu"
    """Where to train: cpu, cuda, cuda:1."""

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out must lie between 0 and 1, got {self.held_out}")
        at_least(self, 1, "k", "n_latents", "steps", "batch_size", "dead_after")
        at_least(self, 0, "seed", "warmup_steps", "aux_alpha", "sparsity", "retrieval_weight", "patience")
        if self.lr is not None and not 0 < self.lr < math.inf:
            raise ValueError(f"lr must be a number above 0, got {self.lr}")
        if not 0 < self.texts_per_latent < math.inf:
            raise ValueError(f"texts_per_latent must be a number above 0, got {self.texts_per_latent}")
        if self.n_latents is not None and self.k > self.n_latents:
            raise ValueError(f"k must be at most n_latents={self.n_latents}, got {self.k}")


@dataclass(frozen=True, kw_only=True)
class TokensConfig:
    """How concepts of single tokens are learned."""

    k: int = 8
    """Active latents per token, on average; a text has those of all its tokens."""
    n_latents: int | None = None
    """Size of the dictionary; by default 32 times the width of a token."""
    sample: int = 600_000
    """Tokens to train on, at most, those of passages drawn at random; they are held in memory."""
    steps: int = 300
    """Batches to train on."""
    batch_size: int = 2048
    """Tokens in a batch."""
    seed: int = 0
    """Decides initial directions, the order of tokens and which passages they are of."""
    device: str = "cpu"
    """Where to train: cpu, cuda, cuda:1."""

    def __post_init__(self) -> None:
        at_least(self, 1, "k", "n_latents", "steps", "batch_size")
        at_least(self, 2, "sample")
        at_least(self, 0, "seed")


@dataclass(frozen=True, kw_only=True)
class IndexConfig:
    """What search reads beside the inverted lists."""

    code_k: int = 32
    """Latents in the code that each passage is rescored from: three bytes each."""

    def __post_init__(self) -> None:
        at_least(self, 1, "code_k")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What is measured."""

    split: str = "test"
    """Which judgements to evaluate against."""
    cutoff: int = 100
    """Depth of every ranking."""
    candidates: int = 1000
    """Hits by concepts that rescoring orders anew."""
    fusions: str = ""
    """Systems to fuse, each by normalised score, e.g. "BM25 + dense, tokens + concept codes"; empty: none."""

    def __post_init__(self) -> None:
        at_least(self, 1, "cutoff", "candidates")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All stages of a project."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    embed: EmbedConfig = field(default_factory=EmbedConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    name: KeyphraseConfig = field(default_factory=KeyphraseConfig)
    lexicon: LexiconConfig = field(default_factory=LexiconConfig)
    model: LanguageModelConfig = field(default_factory=LanguageModelConfig)
    tokens: TokensConfig = field(default_factory=TokensConfig)
    index: IndexConfig = field(default_factory=IndexConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a project's settings; what the file leaves out has its default.

        Raises:
            BadData: the file is not TOML, or has a table, key or type that is not known.
        """
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadData(f"{path}: not valid TOML ({error})") from error
        stages = {f.name: typing.get_type_hints(cls)[f.name] for f in fields(cls)}
        unknown = [name for name in tables if name not in stages]
        if unknown:
            raise BadData(f"{path}: unknown table [{unknown[0]}]; expected {', '.join(stages)}")
        return cls(**{name: _stage(stages[name], table, f"{path}, [{name}]") for name, table in tables.items()})

    def changed(self, changes: Mapping[str, Mapping[str, Any]]) -> Self:
        """A copy with some settings of some stages changed.

        Raises:
            ValueError: a value is out of its range.
        """
        return replace(self, **{stage: replace(getattr(self, stage), **changes[stage]) for stage in changes})


def write_default(path: Path) -> None:
    """Write settings for a new project: every field with its default and its meaning."""
    lines = []
    for stage in fields(Settings):
        config = typing.get_type_hints(Settings)[stage.name]
        lines += [f"# {inspect.getdoc(config)}", f"[{stage.name}]"]
        for setting in fields(config):
            meaning = documentation(config)[setting.name]
            lines += textwrap.wrap(meaning, 110, initial_indent="# ", subsequent_indent="# ")
            value = _default(setting)
            lines.append(f"# {setting.name} =" if value is None else f"{setting.name} = {_toml(value)}")
        lines.append("")
    write_atomically(path, lambda p: p.write_text("\n".join(lines), encoding="utf-8"))


def update(path: Path, stage: str, changes: dict[str, Any]) -> Settings:
    """Change some settings of one stage in the file, comments kept, and return all settings.

    Raises:
        BadData: a value is not of the setting's type or out of its range; the file is as it was.
    """
    import tomlkit

    Settings.read(path)  # what is broken already is reported as it is on every other occasion
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    table = document.setdefault(stage, tomlkit.table())
    table.update(changes)
    config = typing.get_type_hints(Settings)[stage]
    _stage(config, table.unwrap(), f"{path}, [{stage}]")
    if changes:
        write_atomically(path, lambda p: p.write_text(tomlkit.dumps(document), encoding="utf-8"))
    return Settings.read(path)


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


def value_type(config: type, name: str) -> type:
    """The plain type of a field: int for `int | None`."""
    hint = typing.get_type_hints(config)[name]
    if isinstance(hint, types.UnionType):
        hint = next(t for t in typing.get_args(hint) if t is not types.NoneType)
    return typing.cast(type, hint)


def _stage(config: type, table: Any, where: str) -> Any:
    if not isinstance(table, dict):
        raise BadData(f"{where}: expected a table of settings, got {table!r}")
    known = {f.name for f in fields(config)}
    for name, value in table.items():
        if name not in known:
            raise BadData(f"{where}: unknown setting {name!r}; expected {', '.join(sorted(known))}")
        expected = value_type(config, name)
        fits = isinstance(value, expected) or (expected is float and isinstance(value, int))
        if not fits or (isinstance(value, bool) and expected is not bool):
            raise BadData(f"{where}: {name} = {value!r} should be of type {expected.__name__}")
    try:
        return config(**table)
    except ValueError as error:
        raise BadData(f"{where}: {error}") from error


def _default(setting: Field[Any]) -> Any:
    return setting.default if setting.default is not MISSING else None


def _toml(value: Any) -> str:
    import tomlkit

    return str(tomlkit.item(value).as_string())
