"""Named sets of collections that systems are compared over, as ids of ir_datasets; or the collections in a folder."""

from __future__ import annotations

from pathlib import Path

from unweave.errors import BadData
from unweave.texts.open import IRDS

_BEIR_SMALL = {
    "arguana": "beir/arguana",
    "fiqa": "beir/fiqa/test",
    "nfcorpus": "beir/nfcorpus/test",
    "scidocs": "beir/scidocs",
    "scifact": "beir/scifact/test",
}
SUITES = {
    "beir-small": _BEIR_SMALL,
    "beir": _BEIR_SMALL
    | {
        "climate-fever": "beir/climate-fever",
        "dbpedia-entity": "beir/dbpedia-entity/test",
        "fever": "beir/fever/test",
        "hotpotqa": "beir/hotpotqa/test",
        "nq": "beir/nq",
        "quora": "beir/quora/test",
        "touche": "beir/webis-touche2020/v2",
        "trec-covid": "beir/trec-covid",
    },
    "trec-dl": {
        "dl-2019": "msmarco-passage/trec-dl-2019/judged",
        "dl-2020": "msmarco-passage/trec-dl-2020/judged",
    },
    "classic": {"cranfield": "cranfield", "vaswani": "vaswani"},
}
"""By suite and collection, the id in ir_datasets."""


def collections_of(suite: str) -> dict[str, str]:
    """The sources of a suite's collections, as `open_collection` takes them, by name.

    Args:
        suite: one of `SUITES`, or a folder with judged BEIR collections in it.

    Raises:
        BadData: it is neither.
    """
    if suite in SUITES:
        return {name: f"{IRDS}{identifier}" for name, identifier in SUITES[suite].items()}
    folder = Path(suite)
    found = {qrels.parent.name: str(qrels.parent) for qrels in sorted(folder.glob("*/qrels"))}
    if not found:
        raise BadData(
            f"{suite} is no suite ({', '.join(SUITES)}), nor a folder of collections in BEIR's layout with qrels"
        )
    return found
