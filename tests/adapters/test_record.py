"""The record that every adapter hands out."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from kept_demo import QUERY, kept

import unweave
from conftest import unit
from unweave.adapters.record import account_of, explained, metadata_of, record_of
from unweave.adapters.source import explainer_of, named, names_of, project_of
from unweave.adapters.sparse import SparseTexts
from unweave.base.records import Contribution, Explanation, Hit, Passage, Trust
from unweave.cli import mcp
from unweave.errors import MissingExtra
from unweave.texts.hits import EngineHit


def test_parts_by_hand():
    # 3 + 2 listed, 1 - 0.5 the rest, 0.25 bias, 0.125 residual: 5.875.
    values = [3.0, 2.0, 1.0, -0.5]
    whole = Explanation(
        "dense", 5.875, tuple(Contribution(j, f"n{j}", 1, v, v) for j, v in enumerate(values)), 0.25, 0.125
    )
    found = account_of(whole, most=2)
    assert [share.value for share in found.concepts] == [3.0, 2.0]
    assert (found.rest, found.bias, found.residual, found.score) == (0.5, 0.25, 0.125, 5.875)


def test_names_are_one_line_without_controls_and_those_that_hold_nowhere_are_left_out():
    names = [("a\x1b[31m\nb\u202e", Trust.HOLDS), ("wrong", Trust.NONE), (None, None), ("x" * 500, Trust.VAGUE)]
    why = Explanation("dense", 4.0, tuple(Contribution(j, n, 1, 1, 1.0, t) for j, (n, t) in enumerate(names)))
    record = record_of(Hit(1, 4.0, Passage("p", "", ""), why)).to_dict()
    shown = [c["name"] for c in record["explanation"]["concepts"]]
    assert shown[:3] == ["a[31m b", None, None] and len(shown[3]) == 60
    assert json.loads(json.dumps(record)) == record


def test_a_sum_of_systems_adds_up():
    for system in ("CL-SR", "dense", "BM25", "BM25 + 2 codes"):
        for hit in kept().search(QUERY, 3, system=system, explain=True):
            found = record_of(hit, most=3)
            why = found.explanation
            parts = [*(c.value for c in why.concepts), why.rest, why.bias, why.residual, *why.systems.values()]
            assert sum(parts) == pytest.approx(hit.score, rel=1e-4)
            assert (why.systems != {}) == ("+" in system)


def test_texts_and_vectors_of_others_are_explained_and_an_empty_text_is_not():
    texts = [p.text for p in kept().corpus][:3]
    hits = [EngineHit("a", text=texts[0]), EngineHit("b"), EngineHit("c", text=texts[2])]
    found = explained(kept(), QUERY, hits)
    assert [one.id for one in found] == ["a", "b", "c"]
    assert found[1].explanation is None and found[1].score is None
    vectors = unit(kept().encoder.encode_passages([texts[0], texts[2]]))
    by_vectors = explained(kept(), QUERY, [EngineHit(str(i), vector=v) for i, v in enumerate(vectors)])
    assert [one.score for one in by_vectors] == pytest.approx([found[0].score, found[2].score], abs=1e-6)
    assert explained(kept(), QUERY, []) == []


def test_a_key_of_the_same_name_gives_way():
    record = record_of(Hit(1, 1.0, Passage("p", "", "")))
    assert metadata_of({"unweave": "mine", "page": 1}, record) == {"unweave": record.to_dict(), "page": 1}


def test_what_reads_is_given_itself_or_by_its_folder():
    assert project_of(kept()) is kept() and explainer_of(kept()) is kept()
    assert explainer_of(kept().path) is project_of(str(kept().path))
    assert named(kept()) == named(kept().path) == str(kept().path)
    packaged = explainer_of("pretrained")
    assert names_of(packaged) == names_of("pretrained")
    folder = Path(unweave.__file__).parent / "pretrained"
    assert explainer_of(folder) is explainer_of(str(folder)) is not packaged
    with pytest.raises(ValueError, match="cannot be written"):
        named(packaged)


def test_sparse_texts_are_what_the_index_holds():
    of, index = SparseTexts(kept()), kept().index_of("default")
    impacts = of.passages_of(kept().embedded("passages").rows())
    for position in range(len(kept().corpus)):
        latents, stored = index.impacts(position)
        assert set(impacts[[position]].indices) == set(latents)
        np.testing.assert_array_equal(impacts[[position]].toarray()[0, latents], stored)
    texts = of.passages([p.content for p in kept().corpus])
    scores = (texts @ of.queries([QUERY]).T).toarray()[:, 0]
    assert sorted(scores)[:-6:-1] == pytest.approx([hit.score for hit in kept().search(QUERY, 5)], rel=0.01)


def test_a_folder_is_told_from_another_of_the_same_name(tmp_path, monkeypatch):
    for name in ("one", "other"):
        shutil.copytree(kept().path, tmp_path / name / "demo")
    found = []
    for name in ("one", "other", "one"):
        monkeypatch.chdir(tmp_path / name)
        found.append(project_of("demo"))
    assert found[0] is found[2] is not found[1]


def test_the_command_for_agents_says_what_it_needs(monkeypatch):
    monkeypatch.setattr("unweave.base.extras.find_spec", lambda _: None)
    done = CliRunner().invoke(mcp.mcp, [str(kept().path)])
    assert str(done.exception) == "serving agents needs an extra: pip install 'unweave[mcp]'"


def test_a_framework_that_is_missing_is_said_with_the_command_that_installs_it():
    hide = "import sys; sys.modules['langchain_core'] = None; import unweave.adapters.langchain"
    done = subprocess.run([sys.executable, "-c", hide], capture_output=True, text=True)
    assert (
        f"{MissingExtra.__name__}: the retriever for LangChain needs an extra: pip install 'unweave[langchain]'"
        in done.stderr
    )
