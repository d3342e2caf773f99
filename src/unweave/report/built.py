"""What of the explorer's pages a report holds: their style, the script that draws, and the numbers that it draws.

Vite builds style and script into the folder `built`, which travels in the wheel; a checkout may be without it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from unweave.base.packaged import REPORT
from unweave.base.plain import plain
from unweave.base.records import Hit

_TEXT_SHOWN = 500


class Built(NamedTuple):
    """What is written into the page as it is; `script` and `style` are empty where the pages were not built."""

    searches: str
    """JSON in which no `<` stands, so that it cannot end the element that it is in."""
    script: str
    style: str
    policy: str
    """Which scripts may run: this one, by its digest, or none."""


def drawn(searches: Sequence[tuple[str, Sequence[Hit]]], folder: Path = REPORT) -> Built:
    """The numbers of some searches, and what draws them."""
    script, style = (_read(folder / name) for name in ("report.js", "report.css"))
    numbers = [
        {"query": plain(query), "system": "CL-SR", "hits": [_record(hit) for hit in hits]} for query, hits in searches
    ]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Built(
        json.dumps(numbers, ensure_ascii=False).replace("<", "\\u003c"), script, style,
        f"'sha256-{digest}'" if script else "'none'",
    )  # fmt: skip


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _record(hit: Hit) -> dict[str, Any]:
    record = hit.to_dict()
    record |= {name: plain(record[name], _TEXT_SHOWN) for name in ("passage_id", "title", "text")}
    for account in ("explanation", "dense_explanation"):
        if account in record:
            record[account].setdefault("parts", [])
    return record
