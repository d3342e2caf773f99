"""An edit: what a person changed of a concept, and which edits build on which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from unweave.base.plain import plain

RENAME, LOCK, UNLOCK, FLAG, MERGE = "rename", "lock", "unlock", "flag", "merge"
CONFIRMED = "confirmed"
"""Field of the provenance of a name that a person confirmed: whose name it was."""
State = Mapping[str, Any]
"""What an edit changes, as JSON: `naming` and `scores` of a person's name, or `flag`, or `merged_into` of latents."""


class Edit(NamedTuple):
    """One change that a person made."""

    number: int
    """1 for the first of a database."""
    made: str
    """When, UTC, ISO 8601."""
    action: str
    """`rename`, `lock`, `unlock`, `flag` or `merge`."""
    latent: int
    before: State
    """What undoing brings back."""
    after: State
    undone: bool


def in_words(edit: Edit, state: State) -> str | None:
    """What an edit found, or left, of its latent; None: nothing."""
    if "flag" in state:
        said = state["flag"]
    elif "merged_into" in state:
        into = state["merged_into"][str(edit.latent)]
        said = None if into is None else f"#{into}"
    else:
        naming = state["naming"]
        said = naming and ": ".join(filter(None, (naming["name"], naming["description"])))
    return plain(said, 80) if said else None


def builds_on(later: Edit, edit: Edit) -> bool:
    """Whether an edit would have been another, or must be undone first, because of an earlier one."""
    if edit.action == MERGE:
        asked = {later.after["asked"]} if later.action == MERGE else set()
        written = _merged(edit)
        return bool(
            written & (_merged(later) | _targets(later.after) | asked) or _targets(edit.before) & _merged(later)
        )
    if later.action == MERGE or later.latent != edit.latent:
        return False
    return (later.action == FLAG) == (edit.action == FLAG)


def _merged(edit: Edit) -> set[int]:
    """Latents that a merge gave another name."""
    return {int(latent) for latent in edit.before.get("merged_into", {})}


def _targets(state: State) -> set[int]:
    return {into for into in state.get("merged_into", {}).values() if into is not None}
