"""The stages about concepts: name and judge."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

from unweave.base import locks, progress
from unweave.base.artifact import read_manifest
from unweave.base.building import Build, build, in_the_making
from unweave.base.extras import require
from unweave.base.progress import Stopwatch
from unweave.base.records import Passage
from unweave.concepts import identity, store
from unweave.concepts.concept import DETECTION, PERSON, came_with
from unweave.concepts.database import DATABASE, KIND, clear_leftovers, lock_of, state_of
from unweave.concepts.evidence import Evidence
from unweave.concepts.judges.detection import tell
from unweave.concepts.judges.families import judge_families
from unweave.concepts.judges.nulls import Nulls, of_random_directions
from unweave.concepts.judges.verdicts import judge_names
from unweave.concepts.keeping import forget_kept
from unweave.concepts.namers import base
from unweave.concepts.namers.base import Namer
from unweave.concepts.namers.dictionary import DictionaryNamer, Given
from unweave.concepts.namers.keyphrases import KeyphraseNamer
from unweave.concepts.namers.language_model import Forecast, LanguageModelNamer, shown
from unweave.concepts.namers.lexicon import LexiconNamer
from unweave.concepts.namers.lexicon_sources import corpus_phrases, digests, file_phrases
from unweave.concepts.namers.vocabulary import VocabularyNamer, load_head
from unweave.concepts.relations.stored import stored_families
from unweave.concepts.store import Concepts
from unweave.dictionaries.latents import Latent, read_latents
from unweave.encode.encoders import SentenceTransformerEncoder
from unweave.encode.static import PACKAGE
from unweave.errors import BadData, CorruptArtifact
from unweave.language.client import LanguageModel
from unweave.stages.embed import embed_texts
from unweave.stages.ensure import Outcome, ensure, is_stale
from unweave.stages.evidence import evidence_of
from unweave.stages.keep import Kept, changes, kept_of, said_of, take_over, take_over_edits
from unweave.stages.relate import NAMES, names_in, relate
from unweave.stages.workspace import Workspace
from unweave.texts.corpus import Contents, Corpus

logger = logging.getLogger(__name__)

_CONCEPTS_A_TRANSACTION = 500


def run(
    project: Workspace, by: str, most: int | None, below: float | None, *, discard: bool, anew: bool
) -> list[Outcome]:
    """Name every live latent by keyphrases, and those that are chosen by another namer too; then judge the names.

    Args:
        anew: make the names by this namer anew that were kept when the SAE was trained on.

    Raises:
        BadData: there is no such namer, or edits would be lost.
    """
    if by != KeyphraseNamer.namer and by not in _OTHERS:
        raise BadData(f"there is no namer {by!r}; expected {', '.join((KeyphraseNamer.namer, *_OTHERS))}")
    _check(project, by)
    require("naming and judging concepts", "name", "sklearn", "Stemmer", PACKAGE, "tokenizers")
    with alone(project):
        evidence = evidence_of(project)
        keyphrases = KeyphraseNamer(evidence, project.settings.keyphrases)
        outcomes = [name(project, keyphrases, evidence, discard=discard)]
        if anew:
            forget_kept(project.concepts.database, by)
            outcomes = [name(project, keyphrases, evidence)]
        if by in _OTHERS:
            latents = chosen(project, most, below)
            outcomes.append(name_by(project, _OTHERS[by](project), latents))
        beside = cache(partial(of_random_directions, evidence, keyphrases.beside))
        _judge_new(project, evidence, beside)
        _relate_anew(project)
        _judge_new_families(project, evidence, beside)
        found = store.summary(project.concepts.database)._asdict()
        outcomes[0] = outcomes[0]._replace(results={**outcomes[0].results, **found})
    return outcomes


def _judge_new(project: Workspace, evidence: Evidence, beside: Callable[[], Nulls]) -> None:
    """Judge the names that no judge has seen, unless all that are there were put to it already."""
    database = project.concepts.database
    concepts = project.concepts.by_document_frequency()
    names = {f"{c.latent} {n.namer}": n.name for c in concepts for n in c.namings if n.namer != PERSON}
    if store.made_from(database).get(_JUDGED) != base.digest(names):
        _keep_marks(project)
        judge_names(project.concepts, evidence, beside)
        store.note_made_from(database, _JUDGED, base.digest(names))  # last: a killed run begins again


def _judge_new_families(project: Workspace, evidence: Evidence, beside: Callable[[], Nulls]) -> None:
    """Judge the names of families, unless just these were judged."""
    database, families = project.concepts.database, stored_families(project.concepts.database)
    names = [(project.concepts.get(family.head), family) for family in families]
    if store.made_from(database).get(_JUDGED_FAMILIES) != base.digest({"families": names}):
        judge_families(project.concepts, evidence, families, beside)
        store.note_made_from(database, _JUDGED_FAMILIES, base.digest({"families": names}))


_JUDGED, _JUDGED_FAMILIES = "judged names", "judged families"
"""What judgements are made from beside the project's artefacts."""


@contextmanager
def alone(project: Workspace) -> Iterator[None]:
    """Name or judge while no other process does: what one has paid for is not lost to another's rebuild.

    Raises:
        ArtifactInUse: another does; it says which.
    """
    with locks.alone(project.path / ".concepts.unweave-naming", f"naming or judging the concepts of {project.path}"):
        yield


def forecast(project: Workspace, most: int | None, below: float | None, *, discard: bool) -> Forecast:
    """What the language model would be asked, and what that would cost."""
    _check(project, LanguageModelNamer.namer)
    with alone(project):
        evidence = evidence_of(project)
        name(project, KeyphraseNamer(evidence, project.settings.keyphrases), evidence, discard=discard)
        _relate_anew(project)
    latents = chosen(project, most, below)
    return language_model_namer(project).forecast(latents)


def _check(project: Workspace, by: str) -> None:
    """Say what is wrong with a namer's settings, or not allowed, before any work."""
    if by == LexiconNamer.namer:
        project.confirmed("lexicon")
    elif by == LanguageModelNamer.namer:
        LanguageModel(project.confirmed("language_model")).close()


def name(project: Workspace, keyphrases: KeyphraseNamer, evidence: Evidence, *, discard: bool = False) -> Outcome:
    """Name every live latent by keyphrases; where the concepts are made anew, work out how they relate.

    Latents of a dictionary that came with names have these too.

    Names and people's edits are kept of every latent whose directions are those that were named: all if the SAE is the
    same, most if it was trained on.

    Args:
        discard: make the concepts of another SAE anew although people have edited those that are there.

    Raises:
        BadData: the SAE is another one, and edits would be lost.
    """
    config = project.settings.evidence
    sentences = ["embeddings/sentences"] if project.uses("sentences") else []
    made_from = project.made_from("corpus", "sae", "latents", *sentences)
    settings = asdict(config)
    namers: list[Namer] = [keyphrases, *_dictionary_namer(project)]
    if is_stale(project.path / "concepts", KIND, settings, made_from) or not _is_sound(project):
        kept = kept_of(project, made_from, discard=discard)
        _make_concepts(project, evidence, namers, settings, made_from, kept)
        manifest = read_manifest(project.path / "concepts", KIND)
        return Outcome("concepts", True, manifest.seconds, manifest.results)
    clear_leftovers(project.path / "concepts")
    watch = Stopwatch()
    database = project.concepts.database
    named = sum(base.run(database, namer, evidence.live.tolist()) for namer in namers)
    return Outcome("concepts", bool(named), watch.seconds, store.summary(database)._asdict())


def _is_sound(project: Workspace) -> bool:
    try:
        Concepts.load(project.path / "concepts")
    except CorruptArtifact:
        return False
    return True


def _relate_anew(project: Workspace) -> None:
    """Work out relations again if other names are shown than before: names are among what tells duplicates."""
    database = project.concepts.database
    if store.made_from(database).get(NAMES) != names_in(database):
        relate(project)


def _make_concepts(
    project: Workspace,
    evidence: Evidence,
    namers: Sequence[Namer],
    settings: Mapping[str, Any],
    made_from: Mapping[str, str],
    kept: Kept,
) -> None:
    """Make the concepts folder: every live latent with examples, a name and relations, and what is kept of another."""
    folder = project.path / "concepts"
    database = in_the_making(folder) / DATABASE

    @contextmanager
    def with_late_edits(made: Build) -> Iterator[None]:
        """People may have edited meanwhile; from here on, who edits waits until the new concepts are in place."""
        with locks.held(lock_of(folder)):
            take_over_edits(kept, database)
            made.state.update(state_of(database))
            yield

    with build(
        folder, KIND, settings=settings, made_from=made_from, mutable=frozenset({DATABASE}), before_swap=with_late_edits
    ) as made:
        store.create(database, made_from)
        identity.write(made.path, kept.named)
        done = store.stored_latents(database)
        todo = [latent for latent in evidence.live.tolist() if latent not in done]
        with progress.steps("examples", total=len(evidence.live), unit="concepts", done=len(done)) as advance:
            for start in range(0, len(todo), _CONCEPTS_A_TRANSACTION):
                some = todo[start : start + _CONCEPTS_A_TRANSACTION]
                store.add(database, evidence.concepts(some))
                made.checkpoint()
                advance(len(some))
        take_over(kept, database)
        for namer in namers:
            base.run(database, namer, evidence.live.tolist(), made.checkpoint)
        relate(project, database)
        made.results.update(store.summary(database)._asdict())
        if (changed := changes(kept, database)) is not None:
            made.results["changes"] = changed._asdict() | {"renamed": [one._asdict() for one in changed.renamed]}
            for line in said_of(changed):
                progress.say(line)


def _dictionary_namer(project: Workspace) -> Iterator[DictionaryNamer]:
    """What gives latents of a given dictionary the names that it came with, if it has any."""
    if given := [
        Given(one.latent, one.name, one.description, one.namer or "")
        for one in _came_with(project)
        if one.name is not None
    ]:
        yield DictionaryNamer(given, str(project.manifest("sae").settings["given"]["dictionary"]))


def _came_with(project: Workspace) -> tuple[Latent, ...]:
    """What a given dictionary says of its latents; of an SAE of the project's own such words would be a stranger's."""
    if project.manifest("sae").settings.get("given") is None:
        return ()
    return read_latents(project.path / "sae", project.sae.config.n_latents)


def _keep_marks(project: Workspace) -> None:
    """Store how far names held that came with a dictionary, beside what will be found of them here."""
    named = {
        concept.latent for concept in project.concepts.by_document_frequency() if concept.naming(DictionaryNamer.namer)
    }
    held = [(one.latent, came_with(one.over_nulls, one.holds_from, one.median)) for one in _came_with(project)]
    store.add_scores(
        project.concepts.database,
        [(latent, DictionaryNamer.namer, score) for latent, scores in held if latent in named for score in scores],
    )


def name_by(project: Workspace, namer: Namer, latents: Sequence[int] | None = None) -> Outcome:
    """Have another namer name latents, by default all that are live, beside the names that are there."""
    clear_leftovers(project.path / "concepts")
    watch = Stopwatch()
    database = project.concepts.database
    named = base.run(database, namer, sorted(store.stored_latents(database)) if latents is None else latents)
    return Outcome("concepts", bool(named), watch.seconds, store.named_by(database, namer.namer)._asdict())


def chosen(project: Workspace, most: int | None = None, below: float | None = None) -> list[int]:
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


def language_model_namer(project: Workspace) -> LanguageModelNamer:
    """What names latents by the language model that the settings name; nothing is sent."""
    database = project.concepts.database
    config = project.settings.evidence
    evidence = evidence_of(project)
    asked_of = project.confirmed("language_model")
    show = partial(shown, evidence, project.concepts, asked_of.samples)
    return LanguageModelNamer(database, show, asked_of, config, partial(tell, evidence))


def lexicon_namer(project: Workspace) -> LexiconNamer:
    """What names latents by phrases; the phrases are embedded first, unless they are already."""
    config = project.confirmed("lexicon")
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
    embed_texts(project, "lexicon", Contents(entries), project.encoder.encode_passages)
    made_of = project.made_from("sae", "embeddings/lexicon")
    return LexiconNamer(project.sae.W_dec, project.lexicon, config, base.digest(made_of))


def vocabulary_namer(project: Workspace) -> VocabularyNamer:
    """What names latents by words of the encoder's vocabulary.

    Raises:
        ModelUnavailable: the encoder was saved without its masked-language-model head.
        BadData: the passages were embedded by something else, or nobody said what.
    """
    encoder = project.encoder
    if not isinstance(encoder, SentenceTransformerEncoder):
        raise BadData(
            "this project's passages were not embedded by a sentence-transformers model that is known here, so there "
            "is no vocabulary to use; choose another namer"
        )
    model = encoder.config.model
    head, vocabulary = load_head(model, encoder.source)
    return VocabularyNamer(project.sae, head, vocabulary, model, base.digest(project.made_from("sae")))


def _contents(project: Workspace) -> list[str]:
    return [text.content for texts in (project.corpus, project.sentences or ()) for text in texts]


def _write_phrases(
    path: Path, phrases: Callable[[], Iterator[Passage]], settings: Mapping[str, Any], made_from: Mapping[str, str]
) -> None:
    Corpus.write(path, phrases(), settings=settings, made_from=made_from)


# --- judge ----------------------------------------------------------------------------------------


_OTHERS: dict[str, Callable[[Workspace], Namer]] = {
    "lexicon": lexicon_namer,
    "vocabulary": vocabulary_namer,
    "language-model": language_model_namer,
}
"""Namers beside keyphrases, by name."""
