"""A project that an earlier version made is opened, searched and explained by this one; see `kept_project`."""

from __future__ import annotations

import json
import shutil

import pytest

import kept_project
from kept_project import EXPECTED, KEPT, QUERIES, SYSTEMS
from unweave.project import Project
from unweave.stages.asked import QueryId


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    folder = tmp_path_factory.mktemp("kept") / "project"
    shutil.copytree(KEPT, folder)
    return Project.open(folder)


@pytest.mark.parametrize("system", SYSTEMS)
def test_it_finds_and_explains_what_it_did(project, system):
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))[system]
    for query_id in QUERIES:
        hits = project.search(QueryId(query_id), kept_project.CUTOFF, system=system, explain=True)
        for hit in hits:
            hit.explanation.check()
        assert [hit.passage.passage_id for hit in hits] == [passage for passage, _ in expected[query_id]]
        assert [hit.score for hit in hits] == pytest.approx([score for _, score in expected[query_id]], rel=1e-4)


def test_it_is_whole_and_nothing_of_it_is_made_anew(project):
    found = {one.artifact: one.state for one in project.verify()}
    assert {"corpus", "concepts", "codes", "bm25", "index/default", "index/tokens", "tokens/sae", "evaluation"} <= set(
        found
    )
    assert set(found.values()) == {"whole"}
    assert project.doctor() == []
    for outcome in [*project.fit(), *project.index(), *project.name()]:
        assert not outcome.fresh, outcome
    assert project.evaluate().n_queries == len(QUERIES)


def test_its_concepts_are_named_and_its_metadata_is_read(project):
    assert len(project.concepts) > 20
    assert project.where({"page": "search"}).sum() > 3
