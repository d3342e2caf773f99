"""What an artefact was made with, against what the settings ask for now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

from unweave.base.artifact import Manifest
from unweave.base.stored import defaults_of
from unweave.config import (
    CONTINUE,
    OWN,
    PRECOMPUTED,
    EmbedConfig,
    EncoderConfig,
    EvaluateConfig,
    EvidenceConfig,
    FitConfig,
    IndexConfig,
    LexiconConfig,
    ReproduceConfig,
    SAEConfig,
    TokensConfig,
    TrainConfig,
)
from unweave.settings import Settings

ENCODER: Mapping[str, Any] = defaults_of(EncoderConfig) | {"weights": None, "files": None}
"""What an encoder's identity has where it does not say."""
_FREQUENT_TEXTS = defaults_of(LexiconConfig)["frequent_texts"]
BEGAN_FROM = "began_from"
"""Setting of an SAE that was trained on from others: their fingerprints, the last one first."""
DEFAULTS: dict[str, Mapping[str, Any]] = {
    "corpus": defaults_of(EmbedConfig) | {"frequent_texts": _FREQUENT_TEXTS, "files": None, "about": None},
    "queries": {},
    "embeddings": {"encoder": ENCODER},
    "sae": {
        "sae": defaults_of(SAEConfig), "training": defaults_of(TrainConfig), "tokens": defaults_of(TokensConfig),
        "encoder": ENCODER, "held_out": defaults_of(FitConfig)["held_out"], "given": None, "twin": False,
        "consensus": 0, BEGAN_FROM: [],
    },
    "latents": {},
    "concepts": defaults_of(EvidenceConfig),
    "index": {"scoring": {}},
    "codes": defaults_of(IndexConfig),
    "bm25": {"language": defaults_of(EmbedConfig)["language"]},
    "map": {},
    "evaluation": defaults_of(EvaluateConfig),
    "reproduction": defaults_of(ReproduceConfig),
}  # fmt: skip
"""By kind of artefact, the settings that its manifest may lack and what that means. Whatever is added later is listed
with the value that stands for what was done before; but no SAE is trained anew for want of a twin alone."""


class Unapplied(NamedTuple):
    """A setting that was changed after it was used."""

    stage: str
    """Its table in the settings."""
    setting: str
    made_with: Any
    now: Any
    artifact: str
    """What was made with the old value, by its name in the project."""


def unapplied(settings: Settings, manifests: Mapping[str, Manifest]) -> list[Unapplied]:
    """Settings that artefacts were made with other values of; found in the manifests alone.

    What only decides names (`[keyphrases]`, `[language_model]`) is not in a manifest, and nothing is said of it; nor of
    what was left to be chosen from the number of texts.

    Args:
        manifests: those of the artefacts that are there, by name.
    """
    found = []
    for name, manifest in manifests.items():
        for stage, made_with in _recorded(name, manifest, settings):
            now = asdict(getattr(settings, stage))
            found += [
                Unapplied(stage, setting, value, now[setting], name)
                for setting, value in made_with.items()
                if now[setting] != value
            ]
    return found


def _recorded(name: str, manifest: Manifest, settings: Settings) -> Iterator[tuple[str, dict[str, Any]]]:
    """By stage, the settings that a manifest holds and that its command would apply now."""
    stored = manifest.settings
    match name:
        case "embeddings/passages" | "embeddings/sentences" | "embeddings/queries":
            yield "encoder", _of_encoder(stored.get("encoder", {}), settings)
        case "sentences" if settings.embed.sentences:
            yield "embed", _with_defaults(stored, EmbedConfig)
        case "sae":
            yield "fit", _of_training(stored, settings)
            if "embeddings/sentences" in manifest.made_from and not settings.embed.sentences:
                yield "embed", {"sentences": "some"}
        case "tokens/sae":
            yield "encoder", _of_encoder(stored.get("encoder", {}), settings)
            yield "tokens", _with_defaults(stored.get("tokens", {}), TokensConfig)
        case "concepts":
            yield "evidence", _with_defaults(stored, EvidenceConfig)
        case "codes":
            yield "index", _with_defaults(stored, IndexConfig)
        case "evaluation":
            yield "evaluate", _with_defaults(stored, EvaluateConfig)
        case "lexicon" if not settings.lexicon.lexicon and "frequent_texts" in stored:
            yield "lexicon", {"frequent_texts": stored["frequent_texts"]}


def _with_defaults(stored: Mapping[str, Any], config: type) -> dict[str, Any]:
    return {f.name: stored.get(f.name, f.default) for f in fields(config)}


def _of_encoder(identity: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """What the embeddings' encoder was set to, the prefix of other texts and what only decides its speed left out."""
    if PRECOMPUTED in (identity.get("model"), settings.encoder.model):
        return {}
    read = {
        name: identity[name] for name in ("model", "query_prefix", "passage_prefix", "normalize") if name in identity
    }
    folder = Path(settings.encoder.model)
    if folder.is_dir() and read.get("model") == str(folder.resolve()):
        del read["model"]
    return read | {"pooling": identity.get("pooling", "")}


def _of_training(stored: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """What the SAE was fitted with, what was left to be chosen left out; nothing of one that was trained elsewhere."""
    training, sae, given = stored.get("training"), stored.get("sae", {}), stored.get("given")
    if not training:
        return {}
    used = {**training, "held_out": stored.get("held_out"), "dictionary": OWN}
    used |= {"twin": stored.get("twin"), "consensus": stored.get("consensus", 0)}
    used["refit"] = CONTINUE if stored.get(BEGAN_FROM) else None  # anew is what a first fit is, too
    if given is None:
        used |= {"k": sae.get("k"), "n_latents": sae.get("n_latents")}
    else:
        used |= {"dictionary": given["dictionary"], "own_latents": sae["n_latents"] - given["n_latents"]}
        del used["steps" if not training["steps"] else "variant"]  # neither is read there
    return {
        f.name: used[f.name]
        for f in fields(FitConfig)
        if used.get(f.name) is not None and getattr(settings.fit, f.name) is not None
    }
