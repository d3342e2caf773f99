"""What is read before it is a corpus: passages with their queries and judgements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from unweave.base.records import Passage, Query
from unweave.texts.queries import Qrels


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Passages with, where there are any, queries and judgements."""

    passages: Iterable[Passage]
    """Read lazily, once."""
    queries: Iterable[Query] = ()
    qrels: Mapping[str, Qrels] = field(default_factory=dict)
    """Judgements by split."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Where the texts come from and under what terms."""
