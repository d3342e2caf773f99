"""Explanations and differences as the pages get them.

Concepts are known by their number there. What a term of BM25 or a concept of tokens is called by has a number too, but
of another table: it goes out as a word, by -1 less its number, so that nobody takes it for a concept. What names a
concept of tokens are the words that its tokens are of.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from unweave.base.records import Explanation
from unweave.explaining.difference import Difference
from unweave.server import shapes

_TERMS = "terms"
"""What explanations of BM25's scores are of."""
_TOKENS = "tokens"
"""The system that searches by concepts of tokens."""
_CONTRIBUTIONS = TypeAdapter(list[shapes.Contribution])
"""Makes hundreds of them a search: all at once is a quarter of the time of one by one."""


def explanation_of(found: Explanation, system: str) -> shapes.Explanation:
    """An explanation of a score that a system gave."""
    if _of_words(found.of, system):
        found = replace(found, contributions=tuple(c._replace(**_as_word(c.latent)) for c in found.contributions))
    return shapes.Explanation(
        of=found.of,
        score=found.score,
        contributions=_CONTRIBUTIONS.validate_python(
            [c._asdict() for c in found.contributions]
        ),
        bias=found.bias,
        residual=found.residual,
        explained_share=found.explained_share,
        named_share=found.named_share,
        returning_share=found.returning_share,
        named_returning_share=found.named_returning_share,
        groups={group.value: value for group, value in found.groups.items()},
        parts=[
            shapes.SystemPart(
                system=part.system, value=part.value, rank=part.rank,
                explanation=None if part.explanation is None else explanation_of(part.explanation, part.system),
            )
            for part in found.parts
        ],
    )  # fmt: skip


def difference_of(found: Difference, system: str) -> shapes.Difference:
    """What makes the difference of two scores that a system gave."""
    of_words = _of_words(found.first.of, system)

    def number(latent: int) -> int:
        return _number_of_word(latent) if of_words else latent

    return shapes.Difference(
        of=found.first.of,
        first=found.first.score,
        second=found.second.score,
        difference=found.score,
        bias=found.bias,
        residual=found.residual,
        concepts=[
            shapes.Differing(
                **one._asdict()
                | {"difference": one.difference, "only": one.only}
                | (_as_word(one.latent) if of_words else {})
            )
            for one in found.concepts
        ],
        swap=found.swap and shapes.Swap(latent=number(found.swap.latent), factor=found.swap.factor),
        parts=[
            shapes.PartDiffering(
                system=part.system, first=part.first, second=part.second,
                account=None if part.account is None else difference_of(part.account, part.system),
            )
            for part in found.parts
        ],
    )  # fmt: skip


def _as_word(latent: int) -> dict[str, Any]:
    """What sets a word apart from a concept: no name was given to it that could hold or not."""
    return {"latent": _number_of_word(latent), "group": None}


def _number_of_word(number: int) -> int:
    return -1 - number


def _of_words(of: str, system: str) -> bool:
    return of == _TERMS or system == _TOKENS
