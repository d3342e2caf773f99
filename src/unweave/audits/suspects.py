"""Text that should not decide what is found: boilerplate, markup, personal data, leaked test questions.

Each kind is found in the texts themselves, by rules that are stated here, and tested twice: whether scores change when
it is cut out and the rest is embedded anew (see `experiments`), and whether a concept stands for it, that is, whether a
concept's passages hold it more often than others (Fisher's exact test). The counterfactual of a concept: it is cut out
of the concept's strongest passages, and the mean activation has to fall to half at least. Personal data is never shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.audits.audited import Audited, Positions
from unweave.audits.claims import ALPHA, RETRIEVER, Confirmation, Counterfactual, Subject, Tested
from unweave.audits.experiments import FEWEST, Pair, experiment, one_a_query
from unweave.audits.repeated import repeated
from unweave.base.plain import plain
from unweave.evaluation.significance import interval

PAIRS = 80
"""Pairs of a query and a passage that are embedded anew for one test, at most."""
FEWEST_ACTIVE, STRONGEST = 10, 50
"""Passages of a concept that is tested, at least, and how many of its strongest are looked at."""
SMALLEST_SHARE = 0.5
"""Half of a concept's strongest passages beyond the corpus's share: then the concept is about it more than not."""
CUT = 30
"""Passages that are embedded anew to check one concept, at most."""
SHORTEST_QUESTION = 6
"""Words of a test question that is looked for; shorter ones stand in texts by chance."""
BOILERPLATE, MARKUP, PERSONAL, LEAK = "boilerplate", "markup", "personal data", "leaked question"
Spans = list[tuple[int, int]]
_WORD = re.compile(r"\w+")
_MARKUP = re.compile(
    r"</?[a-z][^<>]{0,300}>|&(?:[a-z]{2,8}|#\d{1,6});|\{\{[^{}]{0,300}\}\}|\[\[[^\[\]]{0,300}\]\]"
    r"|https?://[^\s<>]{1,500}|\]\([^()\s]{1,500}\)|```|^={2,6}[^=\n]{1,200}={2,6}$",
    re.IGNORECASE | re.MULTILINE,
)
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}")
_PHONE = re.compile(
    r"(?<![\w.])(?:\+\d{1,3}(?:[ .-]?\(?\d{2,4}\)?){2,5}|(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4})(?![\w-]|\.\d)"
)
_SOCIAL = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
_CARD = re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")


class Suspect(NamedTuple):
    """One text, or kind of text, and the passages that hold it."""

    kind: str
    name: str
    """What is shown of it."""
    spans: Callable[[str], Spans]
    """Where it stands in a text."""
    passages: Positions


def tests(of: Audited, suspects: Sequence[Suspect]) -> Iterator[Tested]:
    """Both tests of each suspect, and one of leaked questions."""
    for suspect in suspects:
        yield from (one for one in (_scores(of, suspect), _most_tied(of, suspect)) if one is not None)


def found_in(of: Audited) -> list[Suspect]:
    """What the texts hold that is suspect."""
    texts = [passage.content for passage in of.passages]
    found = [
        Suspect(BOILERPLATE, plain(masked(run.text), 160), run.spans, np.array(run.passages, np.int64))
        for run in repeated(texts, of.random("repeated"))
    ]
    for kind, name, spans in ((MARKUP, "markup and links", markup), (PERSONAL, "personal data", personal)):
        held = np.array([at for at, text in enumerate(texts) if spans(text)], np.int64)
        found += [Suspect(kind, name, spans, held)] if len(held) else []
    return found


def markup(text: str) -> Spans:
    """Where a text has tags, entities, templates, wiki links, fences or addresses of the web."""
    return [found.span() for found in _MARKUP.finditer(text)]


def personal(text: str) -> Spans:
    """Where a text has addresses of mail, telephone numbers, and numbers of accounts, cards or social security."""
    found = [match.span() for pattern in (_MAIL, _PHONE, _SOCIAL) for match in pattern.finditer(text)]
    found += [match.span() for match in _CARD.finditer(text) if _luhn(match.group())]
    found += [match.span() for match in _IBAN.finditer(text) if _mod97(match.group())]
    return sorted(found)


def masked(text: str) -> str:
    """A text whose personal data is not shown."""
    for start, end in reversed(personal(text)):
        text = f"{text[:start]}…{text[end:]}"
    return text


def _luhn(number: str) -> bool:
    """Whether a card's check digit is right (ISO/IEC 7812)."""
    digits = [int(c) for c in number if c.isdigit()][::-1]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return len(set(digits)) > 1 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _mod97(account: str) -> bool:
    """Whether an account's check digits are right (ISO 13616)."""
    code = account.replace(" ", "")
    return int("".join(str(int(c, 36)) for c in code[4:] + code[:4])) % 97 == 1


def cut(text: str, spans: Spans) -> str:
    """A text without some parts."""
    kept, end = [], 0
    for start, stop in sorted(spans):
        kept.append(text[end : max(start, end)])
        end = max(end, stop)
    return " ".join(" ".join([*kept, text[end:]]).split())


def leaks(of: Audited) -> list[tuple[int, int, Spans]]:
    """Queries that stand word for word in a passage: query, passage and where."""
    begin: dict[tuple[str, ...], list[int]] = {}
    for number, query in enumerate(of.queries):
        question = tuple(_WORD.findall(query.text.casefold()))
        if len(question) >= SHORTEST_QUESTION:
            begin.setdefault(question[:SHORTEST_QUESTION], []).append(number)
    found: list[tuple[int, int, Spans]] = []
    for at, passage in enumerate(of.passages):
        words = _WORD.findall(passage.content.casefold())
        starts = set(zip(*(words[i:] for i in range(SHORTEST_QUESTION)), strict=False)) & begin.keys()
        asked = sorted(number for start in starts for number in begin[start])
        places = ((number, at, _places(of.queries[number].text, passage.content)) for number in asked)
        found.extend(one for one in places if one[2])
    return found


def _places(words: str, text: str) -> Spans:
    pattern = r"\W+".join(map(re.escape, _WORD.findall(words)))
    return [found.span() for found in re.finditer(rf"\b{pattern}\b\W*", text, re.IGNORECASE)]


def leaked(of: Audited, found: Sequence[tuple[int, int, Spans]]) -> Iterator[Tested]:
    """Whether passages are found because the question itself stands in them."""
    spans = {(query, at): where for query, at, where in found}
    chosen = one_a_query(of, list(spans), PAIRS, LEAK)
    pairs = [
        Pair(query, at, left)
        for query, at in chosen
        if (left := cut(of.passages[at].content, spans[query, at]))
    ]  # fmt: skip
    ids = sorted(of.ids(sorted({at for _, at, _ in found})))

    def said(effect: float, n: int) -> str:
        return (
            f"{len({query for query, _, _ in found})} of the {len(of.queries)} questions stand word for word in "
            f"{len(ids)} passages, which score {abs(effect):.2f} spreads {'more' if effect < 0 else 'less'} by that "
            f"({n} pairs)."
        )

    subject = Subject("passages", "test questions", None, tuple(ids))
    one = experiment(of, LEAK, subject, pairs, "the question cut out of the passage", said)
    if one is not None:
        yield one


def _scores(of: Audited, suspect: Suspect) -> Tested | None:
    """Whether scores change when a suspect text is cut out."""
    held = np.zeros(len(of.passages), np.bool_)
    held[suspect.passages] = True
    chosen = []
    for query, hits in enumerate(of.found):
        first = [at for at in of.relevant[query] if held[at]] or hits[held[hits]][:1].tolist()
        chosen += [(query, int(at)) for at in first]
    pairs = [
        Pair(query, at, left)
        for query, at in one_a_query(of, chosen, PAIRS, suspect.name)
        if (left := cut(of.passages[at].content, suspect.spans(of.passages[at].content)))
    ]

    def said(effect: float, n: int) -> str:
        share = len(suspect.passages) / len(of.passages)
        how = "lowers" if effect > 0 else "raises"
        return (
            f"{_what(suspect)} stands in {len(suspect.passages):,} passages ({share:.1%}) and {how} their scores: "
            f"without it {n} of them score {abs(effect):.2f} spreads {'more' if effect > 0 else 'less'}."
        )

    subject = Subject("text", suspect.name)
    return experiment(of, suspect.kind, subject, pairs, "it was cut out of the passage", said)


def _what(suspect: Suspect) -> str:
    return f"The text “{suspect.name}”" if suspect.kind == BOILERPLATE else suspect.name.capitalize()


def _most_tied(of: Audited, suspect: Suspect) -> Tested | None:
    """Whether a concept stands for a suspect text: one test, of the concept that does most.

    Of all concepts of enough passages that is the one whose strongest passages hold it most, among those that Fisher's
    exact test finds tied to it, its p times their number (Bonferroni), or the one of the least p if it finds none. As p
    is corrected for the concepts already, the test is one of the few of the retriever.
    """
    from scipy.stats import hypergeom

    held = np.zeros(len(of.passages), np.bool_)
    held[suspect.passages] = True
    active = np.diff(of.columns.indptr)
    both = np.bincount(of.latents.indices, np.repeat(held, np.diff(of.latents.indptr)), minlength=len(active))
    live = np.flatnonzero(active >= FEWEST_ACTIVE)
    if not len(live):
        return None
    p = np.minimum(1, len(live) * hypergeom.sf(both[live] - 1, len(held), held.sum(), active[live]))
    tied = np.flatnonzero(p < ALPHA) if (p < ALPHA).any() else np.array([int(np.argmin(p))])
    shares = [held[_strongest(of, int(live[i]))].mean() for i in tied]
    chosen = int(tied[int(np.argmax(shares))])
    return _concept(of, suspect, held, int(live[chosen]), float(p[chosen]))


def _strongest(of: Audited, latent: int) -> Positions:
    """The passages that activate a concept most, at most `STRONGEST`, the strongest first."""
    positions, activations = of.column(latent)
    return positions[np.argsort(-activations, kind="stable")[:STRONGEST]]


def _concept(of: Audited, suspect: Suspect, held: NDArray[np.bool_], latent: int, p: float) -> Tested:
    strongest = _strongest(of, latent)
    share = held[strongest]
    label = of.names.get(latent)

    def confirm() -> Confirmation:
        sentence = (
            f"The concept {of.shown(latent)} stands for {suspect.kind}: {share.mean():.0%} of its {len(strongest)} "
            f"strongest passages hold “{suspect.name}”, and {held.mean():.1%} of the corpus."
        )
        low, high = interval(share.astype(np.float64), of.seed)
        whole = float(held.mean())
        holders = strongest[held[strongest]]
        return Confirmation(
            sentence, low - whole, high - whole, of.ids(holders[:3]), _without(of, suspect, latent, holders[:CUT])
        )

    effect = float(share.mean() - held.mean())
    subject = Subject("concept", label.name if label else "", latent)
    unit = "share of the strongest passages beyond the corpus's"
    return Tested(
        f"concept of {suspect.kind}", RETRIEVER, subject, effect, unit, SMALLEST_SHARE, p, len(strongest), confirm
    )  # fmt: skip


def _without(of: Audited, suspect: Suspect, latent: int, holders: Positions) -> Counterfactual:
    """A concept's mean activation in passages that hold a suspect text, with it and without."""
    texts = {at: cut(of.passages[at].content, suspect.spans(of.passages[at].content)) for at in holders.tolist()}
    texts = {at: text for at, text in texts.items() if text}
    changed = "it was cut out of the concept's strongest passages"
    if len(texts) < FEWEST or of.encoder is None:
        return Counterfactual(changed, "mean activation", 0.0, 0.0, len(texts), False)
    before = of.latents[list(texts)][:, [latent]].toarray()
    after = of.sae.encode(of.embedded(list(texts.values())))[:, [latent]].toarray()
    stands = bool(after.mean() <= before.mean() / 2)
    return Counterfactual(changed, "mean activation", float(before.mean()), float(after.mean()), len(texts), stands)
