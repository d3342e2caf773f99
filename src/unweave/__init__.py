"""unweave makes dense retrieval readable.

It learns what a retriever's embeddings are made of, names it, and explains each score as a sum of named concepts.
Names are imported when first used: `import unweave` loads neither torch nor a model.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unweave.collections import open_collection
    from unweave.errors import UnweaveError
    from unweave.explanation import Contribution, Explanation, explain
    from unweave.project import Project
    from unweave.records import Hit, Passage, Query
    from unweave.sae.model import SAE

__version__ = "0.1.0"
__all__ = [
    "SAE",
    "Contribution",
    "Explanation",
    "Hit",
    "Passage",
    "Project",
    "Query",
    "UnweaveError",
    "explain",
    "open_collection",
]

_HOME = {
    "Contribution": "unweave.explanation",
    "Explanation": "unweave.explanation",
    "Hit": "unweave.records",
    "Passage": "unweave.records",
    "Project": "unweave.project",
    "Query": "unweave.records",
    "SAE": "unweave.sae.model",
    "UnweaveError": "unweave.errors",
    "explain": "unweave.explanation",
    "open_collection": "unweave.collections",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'unweave' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
