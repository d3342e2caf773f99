"""What Vespa has to be told before it takes passages: an application package, of a schema and the services.

schemas/unweave_passages.sd    the fields of a passage, and how passages are ranked
services.xml                   one container and one content node, for who has no application yet
"""

from __future__ import annotations

from unweave.engines.engine import DEPTH, RANK_CONSTANT

SCHEMA = "unweave_passages"
SERVICES = f"""<?xml version="1.0" encoding="UTF-8"?>
<services version="1.0">
    <container id="default" version="1.0">
        <search></search>
        <document-api></document-api>
        <document-processing></document-processing>
    </container>
    <content id="passages" version="1.0">
        <redundancy>1</redundancy>
        <documents>
            <document type="{SCHEMA}" mode="index"></document>
        </documents>
        <nodes>
            <node distribution-key="0" hostalias="node1"></node>
        </nodes>
    </content>
</services>
"""
RERANKED = 10 * DEPTH
"""Passages that a hybrid query fuses, the best by concepts: Vespa ranks the matches by one score before it fuses."""
_FIELDS = """        field id type string {
            indexing: attribute | summary
        }
        field state type string {
            indexing: attribute
            attribute {
                fast-search
            }
            rank: filter
        }
        field concepts type array<int> {
            indexing: attribute
            attribute {
                fast-search
            }
            rank: filter
        }
        field impacts type tensor<float>(concept{}) {
            indexing: attribute | summary
        }
"""
_TEXTS = """        field title type string {
            indexing: index | summary
            index: enable-bm25
        }
        field text type string {
            indexing: index | summary
            index: enable-bm25
        }
        field metadata type string {
            indexing: summary
        }
"""
_EMBEDDING = """        field embedding type tensor<float>(x[{width}]) {{
            indexing: attribute | index
            attribute {{
                distance-metric: dotproduct
            }}
            index {{
                hnsw {{
                    max-links-per-node: 16
                    neighbors-to-explore-at-insert: 200
                }}
            }}
        }}
"""
_WORDS = """    fieldset default {
        fields: title, text
    }
"""
_CONCEPTS = """    rank-profile concepts {
        inputs {
            query(weights) tensor<float>(concept{})
        }
        function contributions() {
            expression {
                query(weights) * attribute(impacts)
            }
        }
        function by_concepts() {
            expression {
                sum(contributions)
            }
        }
        first-phase {
            expression {
                by_concepts
            }
        }
        match-features {
            contributions
        }
    }
"""


def schema(width: int, texts: bool) -> str:
    """The schema's text.

    Args:
        width: dimensions of the embeddings that travel along; 0: none do.
        texts: whether titles, texts and metadata do.
    """
    fields = _FIELDS + (_TEXTS if texts else "") + (_EMBEDDING.format(width=width) if width else "")
    profiles = _CONCEPTS + (_hybrid(width, texts) if width or texts else "")
    document = f"    document {SCHEMA} {{\n{fields}    }}\n"
    return f"schema {SCHEMA} {{\n{document}{_WORDS if texts else ''}{profiles}}}\n"


def _hybrid(width: int, texts: bool) -> str:
    """A profile that fuses the ranks by concepts, by words and by embedding, as far as they are there."""
    words = _function("by_words", "bm25(title) + bm25(text)") if texts else ""
    nearness = _function("by_embedding", "closeness(field, embedding)") if width else ""
    vector = f"        inputs {{\n            query(embedding) tensor<float>(x[{width}])\n        }}\n" if width else ""
    ranked = ["by_concepts", *(["by_words"] if texts else []), *(["by_embedding"] if width else [])]
    fused = " + ".join(f"reciprocal_rank({one}, {RANK_CONSTANT}.0)" for one in ranked)
    return (
        "    rank-profile hybrid inherits concepts {\n"
        f"{vector}{words}{nearness}"
        f"        global-phase {{\n            expression {{\n                {fused}\n            }}\n"
        f"            rerank-count: {RERANKED}\n        }}\n    }}\n"
    )


def _function(name: str, expression: str) -> str:
    body = f"            expression {{\n                {expression}\n            }}\n"
    return f"        function {name}() {{\n{body}        }}\n"
