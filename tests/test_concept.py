"""What a concept says of itself, by what namers made and judges found."""

from __future__ import annotations

from unweave.base.records import Trust
from unweave.concepts.concept import (
    CURATED,
    DETECTION,
    FAILED,
    HOLDS_FROM,
    ITSELF,
    KEPT,
    OF_FAMILY,
    OVER_NULLS,
    OVER_NULLS_ELSEWHERE,
    Concept,
    Example,
    Naming,
    Score,
    came_with,
    shown_first,
    trust_of,
)

TOLD = (
    Score(DETECTION, 0.9, 0.8, 0.95, 40),
    Score(OVER_NULLS, 0.99, 0.97, 1.0, 300),
    Score(HOLDS_FROM, 0.2, 0.2, 0.2, 9),
)
NOT_TOLD = (Score(DETECTION, 0.4, 0.3, 0.5, 40), Score(OVER_NULLS, 0.1, 0.0, 0.2, 300))
RYE, GRAIN = Naming("lexicon", "rye", coverage=0.3), Naming("keyphrases", "grain", coverage=0.2)


def test_what_is_shown_is_of_the_first_namer():
    concept = Concept(7, 12, 0.4, (RYE, GRAIN), scores={"lexicon": TOLD, "keyphrases": NOT_TOLD})
    assert (concept.name, concept.namer, concept.coverage) == ("rye", "lexicon", 0.3)
    assert (concept.trust, concept.holds_from) == (Trust.HOLDS, 0.2)
    assert concept.naming("keyphrases") == GRAIN and concept.naming("person") is None
    assert concept.score(DETECTION) == TOLD[0] and concept.score(DETECTION, "keyphrases") == NOT_TOLD[0]
    other = Concept(7, 12, 0.4, (GRAIN, RYE), scores={"lexicon": TOLD, "keyphrases": NOT_TOLD})
    assert (other.trust, other.holds_from) == (Trust.NONE, None)


def test_without_a_name_judges_may_know_the_latent_itself():
    concept = Concept(8, 3, 0.1, scores={ITSELF: TOLD})
    assert (concept.name, concept.namer, concept.coverage, concept.holds_from) == (None, None, None, None)
    assert concept.trust is Trust.HOLDS and concept.score(DETECTION) == TOLD[0]
    assert Concept(9, 3, 0.1).trust is Trust.UNSCORED


def test_a_family_is_judged_by_what_was_found_of_it_alone():
    of_family = tuple(score._replace(judge=f"{OF_FAMILY}{score.judge}") for score in NOT_TOLD)
    concept = Concept(7, 12, 0.4, (RYE,), scores={"lexicon": (*TOLD, *of_family)})
    assert (concept.trust, concept.family_trust) == (Trust.HOLDS, Trust.NONE)
    assert Concept(7, 12, 0.4, (RYE,), scores={"lexicon": TOLD}).family_trust is Trust.UNSCORED


def test_a_name_failed_if_something_went_wrong_and_there_is_none():
    assert Naming("language-model", None, provenance={FAILED: "no answer"}).failed
    assert not Naming("language-model", None).failed
    assert not Naming("language-model", "rye", provenance={FAILED: "no answer"}).failed
    assert Naming("lexicon", "rye", provenance={KEPT: True}).kept and not RYE.kept


def test_a_dictionarys_name_holds_from_where_it_did_or_from_the_median():
    assert [score.value for score in came_with(None, 0.3, None)] == [0.3]
    assert [score.value for score in came_with(None, 0.3, 0.4)] == [0.4]
    assert list(came_with(None, None, 0.4)) == []


def test_where_no_judge_decides_namers_have_an_order():
    namers = ("lexicon", "somebody's", "keyphrases", "language-model")
    shown = shown_first([Naming(namer, "rye") for namer in namers], {})
    assert [naming.namer for naming in shown] == ["language-model", "keyphrases", "lexicon", "somebody's"]


def test_a_reader_is_surely_worse_only_below_what_another_is_at_least():
    namings = [Naming("keyphrases", "grain"), Naming(CURATED, "rye")]
    least, most = TOLD[0].low, TOLD[0]._replace(value=0.6, low=0.4)
    for high, first in ((least, CURATED), (least - 0.01, "keyphrases")):
        scores = {"keyphrases": TOLD, CURATED: (most._replace(high=high), NOT_TOLD[1])}
        assert shown_first(namings, scores)[0].namer == first


def test_of_names_that_hold_one_that_held_elsewhere_is_shown_before_one_told_here():
    here, elsewhere = Naming("keyphrases", "grain"), Naming("lexicon", "rye")
    scores = {
        "keyphrases": (Score(DETECTION, 1, 0.99, 1, 40), TOLD[1]),
        "lexicon": (Score(OVER_NULLS_ELSEWHERE, 1, 1, 1, 300),),
    }
    assert {trust_of(namer, found) for namer, found in scores.items()} == {Trust.HOLDS}
    assert shown_first([here, elsewhere], scores)[0] == elsewhere


def test_without_a_name_comes_last():
    nameless, named = Naming("language-model", None), Naming("lexicon", "rye")
    assert shown_first([nameless, named], {}) == (named, nameless)


def test_examples_are_told_by_their_band():
    top, near = Example("passages", 3, 0.4), Example("passages", 5, 0.0, "near-miss")
    assert Concept(7, 12, 0.4, examples=(top, near)).band("near-miss") == (near,)
