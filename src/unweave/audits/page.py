"""An audit as one HTML page that opens from disk, asks nothing of the network and runs no script.

Every text is escaped by the template engine and loses what does not print.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from unweave.audits.audit import Audit
from unweave.audits.claims import ALPHA, Claim, Counterfactual
from unweave.base.plain import plain
from unweave.errors import MissingExtra
from unweave.evaluation.significance import shown_p

if TYPE_CHECKING:
    from jinja2 import Template


class Card(NamedTuple):
    """A claim as the page shows it."""

    claim: Claim
    effect: str
    counterfactual: str
    before: float
    after: float
    """Widths of the bars of the counterfactual's two values, percent of the larger."""


def render(audit: Audit) -> str:
    """The page."""
    by_kind: dict[str, list[Card]] = {}
    for claim in audit.claims:
        by_kind.setdefault(claim.kind, []).append(_card(claim))
    return template().render(audit=audit, kinds=by_kind, alpha=ALPHA)


def template() -> Template:
    """What the page is made from.

    Raises:
        MissingExtra: the template engine is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtra("the page of an audit", "report") from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["plain"] = plain
    return environment.get_template("page.html")


def effect_of(claim: Claim) -> str:
    """Effect, interval and corrected p, as a page and a terminal show them."""
    return (
        f"effect {claim.effect:+.2f} {claim.unit} (95 % {claim.low:+.2f} to {claim.high:+.2f}), "
        f"corrected p {shown_p(claim.corrected)}, n = {claim.n:,}"
    )


def counterfactual_of(found: Counterfactual) -> str:
    """What was changed, and what became of the value."""
    return f"{found.changed}: {found.value} {found.before:.4g} → {found.after:.4g} (n = {found.n:,})"


def counts_of(audit: Audit) -> Iterable[str]:
    """What was tested of each kind, and what of it holds, a sentence each."""
    for count in audit.counts:
        yield (
            f"{count.kind}: tested {count.tested:,}, {count.significant:,} significant, "
            f"{count.large:,} of these large enough, {count.confirmed:,} hold"
        )


def _card(claim: Claim) -> Card:
    found = claim.counterfactual
    largest = max(abs(found.before), abs(found.after)) or 1.0
    widths = (100 * abs(value) / largest for value in (found.before, found.after))
    return Card(claim, effect_of(claim), counterfactual_of(found), *widths)
