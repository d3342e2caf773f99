"""unweave makes dense retrieval readable.

It learns what a retriever's embeddings are made of, names it, and explains each score as a sum of named concepts.
Names are imported when first used: `import unweave` loads neither torch nor a model.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unweave.base.records import Contribution, Explanation, Hit, Passage, Query
    from unweave.errors import UnweaveError
    from unweave.explaining.accounting import explain
    from unweave.index.concept_index import ConceptIndex
    from unweave.index.scoring import Scoring
    from unweave.index.writer import IndexWriter
    from unweave.project import Project
    from unweave.retrieval.steering import Steering
    from unweave.sae.formats import export_sae, import_sae
    from unweave.sae.hub import from_pretrained, push_to_hub
    from unweave.sae.model import SAE, pursue
    from unweave.texts.open import open_collection

__version__ = "0.1.0"
__all__ = [
    "SAE",
    "ConceptIndex",
    "Contribution",
    "Explanation",
    "Hit",
    "IndexWriter",
    "Passage",
    "Project",
    "Query",
    "QueryId",
    "Scoring",
    "Steering",
    "UnweaveError",
    "explain",
    "export_sae",
    "from_pretrained",
    "import_sae",
    "open_collection",
    "pursue",
    "push_to_hub",
]

_HOME = {
    "ConceptIndex": "unweave.index.concept_index",
    "Contribution": "unweave.base.records",
    "Explanation": "unweave.base.records",
    "Hit": "unweave.base.records",
    "IndexWriter": "unweave.index.writer",
    "Passage": "unweave.base.records",
    "Project": "unweave.project",
    "Query": "unweave.base.records",
    "QueryId": "unweave.stages.asked",
    "SAE": "unweave.sae.model",
    "Scoring": "unweave.index.scoring",
    "Steering": "unweave.retrieval.steering",
    "UnweaveError": "unweave.errors",
    "explain": "unweave.explaining.accounting",
    "export_sae": "unweave.sae.formats",
    "from_pretrained": "unweave.sae.hub",
    "import_sae": "unweave.sae.formats",
    "open_collection": "unweave.texts.open",
    "pursue": "unweave.sae.model",
    "push_to_hub": "unweave.sae.hub",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'unweave' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
