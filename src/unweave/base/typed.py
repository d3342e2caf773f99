"""Commands as a user would type them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from unweave.base.plain import plain


def as_typed(project: str, options: Sequence[str] = (), arguments: Sequence[str] = ()) -> list[str]:
    """The words of a command, in an order in which no argument is taken for an option."""
    if any(word.startswith("-") for word in (project, *arguments)):
        return [*options, "--", project, *arguments]
    return [project, *arguments, *options]


def shown(words: Sequence[str]) -> str:
    """Words as they are typed; what would not print is left out of them."""
    return shlex.join(map(plain, words))
