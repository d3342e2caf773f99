"""The stages about concepts: name and judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from unweave import progress
from unweave.artifact import build, read_manifest
from unweave.concepts import edits, judging, naming, store
from unweave.concepts.evidence import Evidence
from unweave.concepts.judging import Verdict
from unweave.concepts.keyphrases import KeyphraseNamer
from unweave.concepts.language_model_namer import LanguageModelNamer, shown
from unweave.concepts.lexicon import LexiconNamer
from unweave.concepts.lexicon_sources import corpus_phrases, digests, file_phrases
from unweave.concepts.naming import Namer
from unweave.concepts.relate import relate
from unweave.concepts.store import DETECTION, Concepts
from unweave.concepts.vocabulary import VocabularyNamer, load_head
from unweave.corpus import Corpus
from unweave.encoders import Encoder, SentenceTransformerEncoder
from unweave.errors import BadData, CorruptArtifact, MissingArtifact
from unweave.language_model import LanguageModel
from unweave.pipeline import Outcome, embed_texts, encode_passages, ensure, is_stale
from unweave.progress import Stopwatch
from unweave.project import Project
from unweave.records import Passage
from unweave.sae.model import SAE

_CONCEPTS_A_TRANSACTION = 500


def name(project: Project, *, discard: bool = False) -> Outcome:
    """Gather the evidence for every live latent, name it by keyphrases, and work out how concepts relate.

    A person's edits are carried over as long as the SAE is the same, and so are names that other namers gave.

    Args:
        discard: make the concepts of another SAE anew although people have edited those that are there.

    Raises:
        BadData: the SAE is another one, and edits would be lost.
    """
    config = project.settings.evidence
    sentences = ["embeddings/sentences"] if project.uses("sentences") else []
    made_from = project.made_from("corpus", "sae", "latents", *sentences)
    settings = asdict(config)
    evidence = Evidence(project, config)
    namer = KeyphraseNamer(evidence, project.settings.name)
    if is_stale(project.path / "concepts", store.KIND, settings, made_from):
        kept = _kept(project, made_from, discard=discard)
        _make_concepts(project, evidence, namer, settings, made_from, kept)
        vars(project).pop("concepts", None)
        manifest = read_manifest(project.path / "concepts", store.KIND)
        return Outcome("concepts", True, manifest.seconds, manifest.results)
    watch = Stopwatch()
    database = project.concepts.database
    named = naming.run(database, namer, evidence.live.tolist())
    if named:
        _renamed(project)
    return Outcome("concepts", bool(named), watch.seconds, store.summary(database)._asdict())


def _renamed(project: Project) -> None:
    relate(project)  # names are among what tells duplicates
    vars(project).pop("concepts", None)


def _make_concepts(
    project: Project,
    evidence: Evidence,
    namer: KeyphraseNamer,
    settings: Mapping[str, Any],
    made_from: Mapping[str, str],
    kept: Path | None,
) -> None:
    """Make the concepts folder: every live latent with examples, a name and relations, and what is kept of another."""
    folder = project.path / "concepts"
    with build(folder, store.KIND, settings=settings, made_from=made_from, mutable=frozenset({store.DATABASE})) as made:
        database = made.path / store.DATABASE
        store.create(database)
        done = store.stored_latents(database)
        todo = [latent for latent in evidence.live.tolist() if latent not in done]
        with progress.steps("examples", total=len(evidence.live), unit="concepts", done=len(done)) as advance:
            for start in range(0, len(todo), _CONCEPTS_A_TRANSACTION):
                some = todo[start : start + _CONCEPTS_A_TRANSACTION]
                store.add(database, evidence.concepts(some))
                made.checkpoint()
                advance(len(some))
        if kept is not None:
            store.carry_names(kept, database)
            edits.carry_over(kept, database)
        naming.run(database, namer, evidence.live.tolist(), made.checkpoint)
        relate(project, database)
        made.results.update(store.summary(database)._asdict())


def _kept(project: Project, made_from: Mapping[str, str], *, discard: bool) -> Path | None:
    """The database whose names and edits are still good; None if there is none.

    Raises:
        BadData: there are edits, of another SAE's concepts.
    """
    folder = project.path / "concepts"
    try:
        there = read_manifest(folder, store.KIND)
        database = Concepts.load(folder).database
    except (MissingArtifact, CorruptArtifact):
        return None
    if there.made_from["sae"] == made_from["sae"]:
        return database
    standing = [edit for edit in edits.history(database) if not edit.undone]
    if standing and not discard:
        raise BadData(
            f"{folder} has {len(standing)} edit(s) by people, of another SAE's concepts than this one's; save them "
            f"(unweave concepts export {project.path}), then: unweave name {project.path} --discard"
        )
    return None


def name_by(project: Project, namer: Namer, latents: Sequence[int] | None = None) -> Outcome:
    """Have another namer name latents, by default all that are live, beside the names that are there."""
    watch = Stopwatch()
    database = project.concepts.database
    named = naming.run(database, namer, sorted(store.stored_latents(database)) if latents is None else latents)
    if named:
        _renamed(project)
    return Outcome("concepts", bool(named), watch.seconds, store.named_by(database, namer.namer)._asdict())


def chosen(project: Project, most: int | None = None, below: float | None = None) -> list[int]:
    """Latents to name, the most frequent first: at most so many, and only those that detection does not trust so far.

    Args:
        below: the detection of the shown name is below this, or was not measured, or there is no name.
    """
    found = []
    for concept in project.concepts.by_document_frequency():
        score = concept.score(DETECTION)
        if below is None or score is None or score.value < below:
            found.append(concept.latent)
    return found[:most]


def language_model_namer(project: Project) -> LanguageModelNamer:
    """What names latents by the language model that the settings name; nothing is sent."""
    database = project.concepts.database
    store.create(database)  # one that is older than the journal of spending has none
    config = project.settings.evidence
    evidence = Evidence(project, config)
    return LanguageModelNamer(database, partial(shown, evidence, project.concepts), project.settings.model, config)


def lexicon_namer(project: Project) -> LexiconNamer:
    """What names latents by phrases; the phrases are embedded first, unless they are already."""
    config = project.settings.lexicon
    source = Path(config.lexicon) if config.lexicon else None
    settings: dict[str, Any]
    if source is None:
        settings, made_from = {"frequent_texts": config.frequent_texts}, project.made_from("corpus")
        phrases = partial(corpus_phrases, _contents(project), config.frequent_texts)
    else:
        settings, made_from = {"files": digests(source)}, {}
        phrases = partial(file_phrases, source)
    path = project.path / "lexicon"
    make = partial(_write_phrases, path, phrases, settings, made_from)
    ensure(project, "lexicon", make, settings=settings, made_from=made_from)
    entries = Corpus.load(path)
    embed_texts(project, "lexicon", len(entries), encode_passages(project, entries))
    vars(project).pop("lexicon", None)
    made_of = project.made_from("sae", "embeddings/lexicon")
    return LexiconNamer(project.sae.W_dec, project.lexicon, config, naming.digest(made_of))


def vocabulary_namer(project: Project) -> VocabularyNamer:
    """What names latents by words of the encoder's vocabulary.

    Raises:
        ModelUnavailable: the encoder was saved without its masked-language-model head.
        BadData: the embeddings were brought along.
    """
    encoder = project.encoder
    if not isinstance(encoder, SentenceTransformerEncoder):
        raise BadData("this project's embeddings were brought along, so there is no encoder whose vocabulary to use")
    model = encoder.config.model
    head, vocabulary = load_head(model, encoder.source)
    return VocabularyNamer(project.sae, head, vocabulary, model, naming.digest(project.made_from("sae")))


def _contents(project: Project) -> list[str]:
    return [text.content for texts in (project.corpus, project.sentences or ()) for text in texts]


def _write_phrases(
    path: Path, phrases: Callable[[], Iterator[Passage]], settings: Mapping[str, Any], made_from: Mapping[str, str]
) -> None:
    Corpus.write(path, phrases(), settings=settings, made_from=made_from)


# --- judge ----------------------------------------------------------------------------------------


def judge(project: Project, *, other: Encoder | None = None, again: bool = False) -> list[Verdict]:
    """Judge every namer's names and every latent, without a language model; see `judging.judge`."""
    project.manifest("concepts")
    return judging.judge(project, Evidence(project, project.settings.evidence), other=other, again=again)


def judge_by_model(project: Project, n: int) -> list[Verdict]:
    """Judge n latents, and each namer's names of them, by the language model; see `judging.judge_by_model`."""
    project.manifest("concepts")
    store.create(project.concepts.database)
    evidence = Evidence(project, project.settings.evidence)
    model = LanguageModel(project.settings.model)
    try:
        return judging.judge_by_model(project, evidence, model, n)
    finally:
        model.close()


def controls(project: Project, n: int = 500) -> list[Verdict]:
    """What the judges find of names of n other latents, and of a random dictionary's names; see `judging.control`."""
    namers: dict[str, Callable[[Evidence, SAE], Namer]] = {
        KeyphraseNamer.namer: lambda evidence, _: KeyphraseNamer(evidence, project.settings.name)
    }
    if project.has("embeddings/lexicon"):
        config = project.settings.lexicon
        namers[LexiconNamer.namer] = lambda _, sae: LexiconNamer(sae.W_dec, project.lexicon, config, made_of="random")
    return judging.control(project, Evidence(project, project.settings.evidence), namers, n)
