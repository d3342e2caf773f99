"""Whether a family's name, which is its head's, says what all of its concepts have in common.

It is judged as a concept's is: a family is active for a text as strongly as its latents together, and its name has to
tell such texts from silent ones better than names of random directions do. What the head's namer saw is left out, so
that most of the texts are active for the other members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy.sparse import csr_array

from unweave.concepts import store
from unweave.concepts.concept import DETECTION, OF_FAMILY, OVER_NULLS, Score
from unweave.concepts.evidence import Evidence
from unweave.concepts.judges.detection import by_second_encoder, detect
from unweave.concepts.judges.nulls import Nulls
from unweave.concepts.judges.questions import Question, question
from unweave.concepts.relations.stored import Family
from unweave.concepts.store import Concepts


def judge_families(
    known: Concepts, evidence: Evidence, families: Sequence[Family], beside: Callable[[], Nulls]
) -> None:
    """Judge the names of families; what is found is stored with their heads, in place of what was there.

    Args:
        known: the concepts.
        beside: what names are held against, worked out when it is needed.
    """
    concepts = {concept.latent: concept for concept in known.by_document_frequency()}
    named = {
        number: concepts[family.head].namings[0]
        for number, family in enumerate(families)
        if family.head in concepts and concepts[family.head].name is not None
    }
    found: list[tuple[int, str, Score]] = []
    if named:
        grouped = evidence.seen_in_groups(_groups(families, evidence.latents.shape[1]))
        asked = dict(_questions(evidence, grouped, families, list(named)))
        frequencies, against = np.diff(grouped.latents.indptr), beside()
        for number, score in detect(by_second_encoder(evidence), named, asked):
            head, namer = families[number].head, named[number].namer
            over = against.beaten(int(frequencies[number]), score)
            found += [(head, namer, _of_family(one)) for one in (score, over) if one is not None]
    store.replace_scores(known.database, [OF_FAMILY + DETECTION, OF_FAMILY + OVER_NULLS], found)


def _of_family(score: Score) -> Score:
    return score._replace(judge=OF_FAMILY + score.judge)


def _groups(families: Sequence[Family], n_latents: int) -> csr_array:
    """Which latents each family has, heads too, (n_latents, n_families)."""
    of = [(family.head, *family.members) for family in families]
    columns = np.repeat(np.arange(len(of)), [len(latents) for latents in of])
    ones = np.ones(len(columns), np.float32)
    return csr_array((ones, (np.concatenate(of), columns)), shape=(n_latents, len(of)))


def _questions(
    evidence: Evidence, grouped: Evidence, families: Sequence[Family], numbers: Sequence[int]
) -> Iterator[tuple[int, Question]]:
    """What is asked about each family that has enough texts which the head's namer has not seen."""
    seen_of = dict(evidence.for_naming([families[number].head for number in numbers]))
    for number, samples in grouped.for_judging(numbers):
        seen = seen_of[families[number].head]
        fresh = samples.without(np.concatenate([seen.texts, seen.near_misses, seen.random]))
        found = question(fresh, number, evidence.config.seed) if len(fresh.texts) else None
        if found is not None:
            yield number, found
