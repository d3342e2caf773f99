"""unweave makes dense retrieval readable.

It learns what a retriever's embeddings are made of, names it, and explains each score as a sum of named concepts.
Names are imported when first used: `import unweave` loads neither torch nor a model.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unweave.base.records import Contribution, Explanation, Hit, HitList, Passage, Query
    from unweave.concepts.concept import Concept
    from unweave.concepts.naming import name
    from unweave.concepts.store import Concepts
    from unweave.dictionaries.dictionary import Dictionary, from_pretrained
    from unweave.errors import UnweaveError
    from unweave.explaining.accounting import explain
    from unweave.index.concept_index import ConceptIndex
    from unweave.index.hits import IndexHit
    from unweave.index.scoring import Scoring
    from unweave.index.writer import IndexWriter
    from unweave.project import Project
    from unweave.retrieval.query_reader import QueryReader
    from unweave.retrieval.steering import Steering
    from unweave.sae.agreement import agreement
    from unweave.sae.formats import export_sae, import_sae
    from unweave.sae.hub import push_to_hub
    from unweave.sae.model import SAE, pursue
    from unweave.sae.training.from_array import train
    from unweave.stages.across import adopt_names, contrast, merge_indexes
    from unweave.stages.asked import QueryId
    from unweave.stages.models import compare_models
    from unweave.texts.open import open_collection
    from unweave.texts.pool import read_pool

__version__ = "0.1.0"
__all__ = [
    "SAE",
    "Concept",
    "ConceptIndex",
    "Concepts",
    "Contribution",
    "Dictionary",
    "Explanation",
    "Hit",
    "HitList",
    "IndexHit",
    "IndexWriter",
    "Passage",
    "Project",
    "Query",
    "QueryId",
    "QueryReader",
    "Scoring",
    "Steering",
    "UnweaveError",
    "adopt_names",
    "agreement",
    "compare_models",
    "contrast",
    "explain",
    "export_sae",
    "from_pretrained",
    "import_sae",
    "merge_indexes",
    "name",
    "open_collection",
    "pursue",
    "push_to_hub",
    "read_pool",
    "train",
]

_HOME = {
    "Concept": "unweave.concepts.store",
    "ConceptIndex": "unweave.index.concept_index",
    "Concepts": "unweave.concepts.store",
    "Contribution": "unweave.base.records",
    "Dictionary": "unweave.dictionaries.dictionary",
    "Explanation": "unweave.base.records",
    "Hit": "unweave.base.records",
    "HitList": "unweave.base.records",
    "IndexHit": "unweave.index.hits",
    "IndexWriter": "unweave.index.writer",
    "Passage": "unweave.base.records",
    "Project": "unweave.project",
    "Query": "unweave.base.records",
    "QueryId": "unweave.stages.asked",
    "QueryReader": "unweave.retrieval.query_reader",
    "SAE": "unweave.sae.model",
    "Scoring": "unweave.index.scoring",
    "Steering": "unweave.retrieval.steering",
    "UnweaveError": "unweave.errors",
    "agreement": "unweave.sae.agreement",
    "adopt_names": "unweave.stages.across",
    "compare_models": "unweave.stages.models",
    "contrast": "unweave.stages.across",
    "explain": "unweave.explaining.accounting",
    "export_sae": "unweave.sae.formats",
    "from_pretrained": "unweave.dictionaries.dictionary",
    "import_sae": "unweave.sae.formats",
    "merge_indexes": "unweave.stages.across",
    "name": "unweave.concepts.naming",
    "open_collection": "unweave.texts.open",
    "read_pool": "unweave.texts.pool",
    "pursue": "unweave.sae.model",
    "push_to_hub": "unweave.sae.hub",
    "train": "unweave.sae.training.from_array",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'unweave' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
