"""A latent with its words: names side by side, what judges found of each, and the texts that show it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from unweave.base import notebook
from unweave.base.plain import plain
from unweave.base.records import RETURNS, Trust
from unweave.language.client import Receipt

PERSON, CURATED = "person", "curated"
"""Who edits names, which are shown always; and who reads texts and names latents for judges to compare with others."""
NAMERS = (PERSON, CURATED, "language-model", "dictionary", "keyphrases", "lexicon", "vocabulary")
"""Who names latents, and whose name is shown where no judge decides."""
BANDS = ("top", "middle", "low", "near-miss", "random")
"""Kinds of examples: three bands of activation, and texts in which the latent is silent."""
DETECTION = "detection"
"""The judge that decides how far a name is trusted; see `judges.detection`."""
OVER_NULLS = "over-nulls"
"""The share of names of meaningless directions that detection finds worse than a name; see `judges.nulls`."""
OVER_NULLS_ELSEWHERE = "over-nulls-elsewhere"
"""The same of a name that came with a dictionary, on the texts of that one's maker."""
HOLDS_FROM = "holds-from"
"""The activation from which a name holds, if it does at any; see `judges.detection`."""
HOLDS_FROM_ELSEWHERE = "holds-from-elsewhere"
"""The same of a name that came with a dictionary, on the texts of that one's maker."""
OF_FAMILY = "family-"
"""Before a judge, where a name was judged as that of the whole family which its latent heads; see `judges.families`."""
FAILED = "failed"
"""Field of the provenance that says what went wrong."""
KEPT = "kept"
"""Field of the provenance of a name that a latent kept when its SAE was trained on: made, and judged, from the texts of
that time."""
GIVEN_BY = "by"
"""Field of the provenance of a name that came with a dictionary: what made it there."""
ITSELF = ""
"""Stands for a namer where a latent was judged without any name."""


class Example(NamedTuple):
    """A text that shows what a latent is about, or what it is not."""

    source: str
    """`passages` or `sentences`."""
    position: int
    """In that source."""
    activation: float
    """0 where the latent is silent."""
    band: str = "top"
    """One of `BANDS`."""
    text: str | None = None
    """What it says, where the concepts know their texts; None: read it in the source."""


class Related(NamedTuple):
    """A latent that has to do with another."""

    relation: str
    """`neighbour`, `co-occurring`, `duplicate`, `parent` or `family`."""
    other: int
    weight: float


@dataclass(frozen=True)
class Naming:
    """One namer's name for a latent."""

    namer: str
    """What made the name."""
    name: str | None
    """None when it found none."""
    description: str = ""
    """A sentence more, or nothing."""
    coverage: float | None = None
    """Share of the latent's activation, over its strongest texts, in texts that hold a phrase of the name."""
    made_with: str = ""
    """Digest of everything that decides the name: settings, prompts, examples."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Where the name came from: the model, the version of the prompt, tokens, what went wrong."""
    receipts: tuple[Receipt, ...] = ()
    """What it cost, still to be entered; stored with the name, and read from the journal of spending only."""

    @property
    def failed(self) -> bool:
        """Whether there is no name because something went wrong, not because there is none to find."""
        return self.name is None and FAILED in self.provenance

    @property
    def kept(self) -> bool:
        """Whether it was made, and judged, from the texts of an earlier training."""
        return KEPT in self.provenance


class Score(NamedTuple):
    """What a judge found of a name, or of a latent itself."""

    judge: str
    value: float
    low: float
    high: float
    n: int
    """Decisions."""


def came_with(over_nulls: float | None, holds_from: float | None, median: float | None) -> Iterator[Score]:
    """What is known of a name that came with a dictionary.

    Args:
        over_nulls: the share of nulls that it was surely better than there.
        holds_from: the activation from which it held there.
        median: the latent's median activation there. Below it a name is often wrong of texts of another kind, even one
            that was right of such weak ones there; see docs/names.md.
    """
    if over_nulls is not None:
        yield Score(OVER_NULLS_ELSEWHERE, over_nulls, over_nulls, 1.0, 0)
    if holds_from is not None:
        least = max(holds_from, median or 0.0)
        yield Score(HOLDS_FROM_ELSEWHERE, least, least, least, 0)


ABOVE_NULLS = 0.95
"""Share of the nulls that a name which holds is better than, at the low end of its interval."""
CHANCE = 0.5
"""What detection is by luck."""
ENOUGH_AGAINST = 9
"""Active texts that can speak against a name which held elsewhere."""


def trust_of(namer: str | None, scores: Iterable[Score]) -> Trust:
    """The trust in a namer's name, by what judges found of it.

    A name that came with a dictionary and held there holds here too, unless enough texts here say that it does not;
    that it surely does they need not say, for they are fewer.
    """
    if namer == PERSON:
        return Trust.CONFIRMED
    found = {score.judge: score for score in scores}
    detection, here, elsewhere = (found.get(judge) for judge in (DETECTION, OVER_NULLS, OVER_NULLS_ELSEWHERE))
    if elsewhere is not None and elsewhere.low >= ABOVE_NULLS:
        few = detection is None or here is None or detection.n < ENOUGH_AGAINST
        if few or (here is not None and here.value >= ABOVE_NULLS):
            return Trust.HOLDS
    if detection is None or here is None:
        return Trust.UNSCORED if elsewhere is None else Trust.VAGUE
    if here.low >= ABOVE_NULLS:
        return Trust.HOLDS
    return Trust.VAGUE if detection.low > CHANCE else Trust.NONE


def holds_from(namer: str | None, scores: Iterable[Score]) -> float | None:
    """The activation from which a namer's name holds; None: at none, as far as was seen.

    A person's name holds at any, unless it was judged. One that came with a dictionary holds from where it did there,
    unless here it is no better than chance: of the packaged one readers said so, who are right more often than what
    judges texts here; see docs/names.md.
    """
    known = list(scores)
    found = {score.judge: score for score in known}
    if namer == PERSON and DETECTION not in found:
        return 0.0
    here, elsewhere = found.get(HOLDS_FROM), found.get(HOLDS_FROM_ELSEWHERE)
    if elsewhere is not None and trust_of(namer, known) is not Trust.NONE:
        return elsewhere.value
    return here and here.value


@dataclass(frozen=True, repr=False)
class Concept:
    """A latent together with its words."""

    latent: int
    document_frequency: int
    """Passages in which the latent is active."""
    strongest: float
    """Its highest activation over all texts."""
    namings: tuple[Naming, ...] = ()
    """Every namer's name; the one that is shown comes first."""
    examples: tuple[Example, ...] = ()
    """Texts that activate it, strongest first, band after band; then texts that do not."""
    related: tuple[Related, ...] = ()
    """Other latents that have to do with it, relation by relation, the closest first."""
    scores: Mapping[str, tuple[Score, ...]] = field(default_factory=dict)
    """What judges found, by namer; under `ITSELF`, of the latent without a name."""
    flag: str | None = None
    """A remark: generic, boilerplate, hub, or a person's."""
    merged_into: int | None = None
    """The latent that means the same, as a person said."""
    returns: bool | None = None
    """Whether another run found it again; None where that is not known. See `sae.model.SAE.returns`."""

    def __repr__(self) -> str:
        name = "no name" if self.name is None else f"{plain(self.name, LONGEST_NAME)!r} {self.trust.mark}"
        returns = f" {RETURNS}" if self.returns else ""
        return f"Concept({self.latent}, {name}{returns}, {self.document_frequency:,} passages)"

    def _repr_html_(self) -> str:
        """Name, trust, what other namers say, and the examples whose texts are known, for notebooks."""
        facts = [f"#{self.latent}", f"{self.document_frequency:,} passages", f"strongest {self.strongest:.3f}"]
        if self.name is not None:
            facts.insert(0, f"{self.trust.mark} {self.trust} (by {self.namer})")
            facts += [] if self.holds_from is None else [f"holds from {self.holds_from:.3f}"]
        if self.returns is not None:
            facts.append(f"{RETURNS} found again by another run" if self.returns else "not found again by another run")
        facts += [f"{n.namer}: {plain(n.name, LONGEST_NAME)}" for n in self.namings[1:] if n.name is not None]
        facts += [plain(self.flag, LONGEST_NAME)] if self.flag else []
        groups = [(band, [(e.activation, e.text) for e in self.band(band) if e.text is not None]) for band in BANDS]
        return notebook.card(self.name or "no name", facts, [group for group in groups if group[1]])

    @property
    def name(self) -> str | None:
        """The name that is shown; None: no namer found one."""
        return self.namings[0].name if self.namings else None

    @property
    def namer(self) -> str | None:
        """Whose name is shown."""
        return self.namings[0].namer if self.namings else None

    @property
    def coverage(self) -> float | None:
        """Share of the latent's activation that goes with the name that is shown."""
        return self.namings[0].coverage if self.namings else None

    @property
    def trust(self) -> Trust:
        """How far the name that is shown is to be trusted."""
        return trust_of(self.namer, self.scores.get(self.namer or ITSELF, ()))

    @property
    def family_trust(self) -> Trust:
        """How far the name that is shown is to be trusted as that of the family which this latent heads.

        A person who named the latent has not named its family.
        """
        found = self.scores.get(self.namer or ITSELF, ())
        of_family = [s._replace(judge=s.judge.removeprefix(OF_FAMILY)) for s in found if s.judge.startswith(OF_FAMILY)]
        return trust_of(None, of_family)

    @property
    def holds_from(self) -> float | None:
        """The activation from which the name that is shown holds; None: at none, as far as was seen."""
        return None if self.name is None else holds_from(self.namer, self.scores.get(self.namer or ITSELF, ()))

    def naming(self, namer: str) -> Naming | None:
        """What one namer made of it."""
        return next((naming for naming in self.namings if naming.namer == namer), None)

    def score(self, judge: str, namer: str | None = None) -> Score | None:
        """What a judge found of a namer's name; without a namer, of the name that is shown."""
        of = self.namer if namer is None else namer
        return next((score for score in self.scores.get(of or ITSELF, ()) if score.judge == judge), None)

    def band(self, band: str) -> tuple[Example, ...]:
        """The examples of one band."""
        return tuple(example for example in self.examples if example.band == band)


def shown_first(namings: Iterable[Naming], scores: Mapping[str, Sequence[Score]]) -> tuple[Naming, ...]:
    """Namings of a latent: a person's, a reader's, then the most trusted, of these the best told; the nameless last.

    A reader's name comes before others, of a better mark too, unless it is surely told worse than one: names that
    judges find about as good are not as good to read; see docs/names.md.
    """

    def detection(naming: Naming) -> Score | None:
        return next((score for score in scores.get(naming.namer, ()) if score.judge == DETECTION), None)

    given = list(namings)
    most = max((found.low for naming in given if (found := detection(naming)) is not None), default=-1.0)

    def rank(naming: Naming) -> tuple[Any, ...]:
        found = detection(naming)
        by_reader = CURATED in (naming.namer, naming.provenance.get(GIVEN_BY))
        chosen = by_reader and found is not None and found.high >= most
        trust = _RANKS.index(trust_of(naming.namer, scores.get(naming.namer, ())))
        place = NAMERS.index(naming.namer) if naming.namer in NAMERS else len(NAMERS)
        told = -1.0 if found is None else -found.low  # of equal trust without detection is what was judged elsewhere
        return naming.name is None, naming.namer != PERSON, not chosen, trust, told, place, naming.namer

    return tuple(sorted(given, key=rank))


_RANKS = tuple(Trust)
LONGEST_NAME = 60
"""Characters of a name."""
LONGEST_DESCRIPTION = 500
