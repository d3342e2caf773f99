"""A corpus in shards, from files to answers: the same as a project that holds it whole."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from invoked import refused, unweave
from unweave.base.records import Passage
from unweave.cluster.sharded import Sharded, create
from unweave.cluster.shards import Catalogue
from unweave.cluster.store import Store
from unweave.errors import BadData
from unweave.index.concept_index import ConceptIndex
from unweave.project import Project
from unweave.texts.collection import Collection

TEXTS = [
    f"{thing} {does} {where}"
    for thing in ("A heron", "The engine", "Her lawyer", "The cake", "A virus", "The telescope")
    for does in ("stands still", "was seen again", "needs more time")
    for where in ("in the river", "at the court", "in the kitchen", "near the star")
]
SIZE = 20


def write_files(folder: Path, texts: list[str], first: int = 0) -> None:
    """Half of the texts in one file, half in another, of another format."""
    folder.mkdir(exist_ok=True)
    rows = [{"_id": f"p{first + i}", "text": text} for i, text in enumerate(texts)]
    half = len(rows) // 2
    (folder / f"{first}-a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:half]), encoding="utf-8")
    with gzip.open(folder / f"{first}-b.csv.gz", "wt", encoding="utf-8") as file:
        file.write("id,text\n" + "".join(f"{row['_id']},{row['text']}\n" for row in rows[half:]))


def open_with(folder: Path, store: Path) -> Project:
    shards = create(folder, {"store": str(store), "size": SIZE, "sample": 40, "strongest": 3})
    return Project.open(folder, {"shards": shards, "embed": {"sentences": 0}, "fit": {"own_latents": 0}})


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Project:
    """A project in four shards, embedded, encoded and indexed."""
    folder = tmp_path_factory.mktemp("shards")
    write_files(folder / "files", TEXTS)
    project = open_with(folder / "project", folder / "store")
    project.sharded().cut([str(folder / "files")])
    project.embed()
    project.fit()
    project.index()
    return project


def store_of(project: Project) -> Store:
    return Store(project.settings.shards.store)


def test_shards_are_the_corpus_in_its_order(made, tmp_path) -> None:
    catalogue = Catalogue.read(store_of(made))
    assert [shard.name for shard in catalogue.shards] == [
        "000000-000000", "000000-000001", "000001-000000", "000001-000001"
    ]  # fmt: skip
    assert [shard.n_passages for shard in catalogue.shards] == [20, 16, 20, 16]
    assert {name: rows.tolist() for name, rows in catalogue.split(np.array([0, 19, 20, 71])).items()} == {
        "000000-000000": [0, 19], "000000-000001": [0], "000001-000001": [15]
    }  # fmt: skip


def test_the_hits_of_all_shards_are_those_of_one_index(made, tmp_path) -> None:
    searcher = made.sharded().searcher()
    parts = [ConceptIndex.open(folder) for folder in sorted(_indexes(made))]
    ids = [name for part in parts for name in part.ids(range(part.n_positions))]
    whole = ConceptIndex.from_batches(
        (batch for part in parts for segment in part.segments for batch in segment.live_batches()),
        searcher.scoring, parts[0].n_latents, folder=tmp_path / "whole",
    )  # fmt: skip
    sae = made.sharded()._sae
    for text in ("a bird by the water", "a trial", "baking", "illness"):
        query = searcher.read(sae.encode(made.named_encoder.encode_queries([text])))
        expected = whole.hits(*query, 10)
        answer = searcher.search(query, 10)
        assert not answer.is_partial and answer.n_passages == len(ids) == 72
        assert [hit.passage_id for hit in answer.hits] == whole.ids(expected.passages.tolist())
        assert [hit.score for hit in answer.hits] == expected.scores.tolist()
    np.testing.assert_array_equal(searcher.idf, whole.idf)


def _indexes(project: Project) -> list[Path]:
    return list(Path(project.settings.shards.store).glob("shards/*/index/default"))


def test_what_is_done_is_not_done_again(made) -> None:
    for outcome in (*made.embed(), *made.index()):
        assert not outcome.fresh and outcome.results["n_fresh"] == 0 and outcome.results["n_passages"] == 72
    assert not made.sharded().cut([])[0].fresh


def test_a_hit_comes_with_its_passage_and_its_reasons(made) -> None:
    hits = made.search("a bird by the water", 3, explain=True)
    assert hits[0].passage.text.startswith("A heron") and hits[0].passage.metadata["shard"] == "000000-000000"
    assert hits[0].explanation is not None
    total = sum(one.value for one in hits[0].explanation.contributions)
    assert total == pytest.approx(hits[0].score, abs=1e-4)


@pytest.mark.slow  # judging loads another encoder; what is gathered for it is in test_strongest.py
def test_names_are_given_from_the_passages_that_show_each_latent(made) -> None:
    outcomes = made.name()
    reading = Project.open(made.path / "reading")
    passage = reading.corpus[0]
    assert passage.passage_id == f"{passage.metadata['shard']}/{passage.passage_id.partition('/')[2]}"
    assert {outcome.artifact for outcome in outcomes} >= {"reading/concepts", "reading/index/default"}
    whys = made.search("a trial", 3, explain=True)[0].explanation
    assert whys is not None and any(one.name for one in whys.contributions)


def test_files_that_are_added_become_shards_after_the_others(tmp_path, made) -> None:
    write_files(tmp_path / "files", TEXTS[:30])
    project = open_with(tmp_path / "project", tmp_path / "store")
    project.sharded().cut([str(tmp_path / "files")])
    project.embed()
    project.fit()
    project.index()
    searcher = project.sharded().searcher()
    write_files(tmp_path / "more", TEXTS[30:40], first=100)
    project.sharded().cut([str(tmp_path / "more" / "*.jsonl")])
    assert project.embed()[0].results == {"n_passages": 35, "n_shards": 3, "n_fresh": 1}
    project.fit()
    project.index()
    before = searcher.n_passages
    searcher.refresh()
    assert (before, searcher.n_passages) == (30, 35)


def test_shards_of_a_file_are_taken_out(tmp_path) -> None:
    write_files(tmp_path / "files", TEXTS[:30])
    project = open_with(tmp_path / "project", tmp_path / "store")
    project.sharded().cut([str(tmp_path / "files")])
    (left,) = project.sharded().remove([str(tmp_path / "files" / "*.csv.gz")])
    store = Path(project.settings.shards.store)
    assert left.results == {"n_shards": 1, "n_passages": 15}
    assert [path.name for path in (store / "shards").iterdir() if any(path.rglob("*.json"))] == ["000000-000000"]
    with pytest.raises(BadData, match=r"no shard was cut from .*csv\.gz; the files are .*jsonl"):
        project.sharded().remove([str(tmp_path / "files" / "*.csv.gz")])
    write_files(tmp_path / "more", TEXTS[30:40], first=100)
    project.sharded().cut([str(tmp_path / "more")])  # under numbers that no file had before
    assert Catalogue.read(store_of(project)).names == ["000000-000000", "000002-000000", "000003-000000"]


@pytest.mark.slow  # reading tokens takes the model over every passage again
def test_tokens_are_learned_from_the_sample_and_read_in_every_shard(made) -> None:
    few = {"n_latents": 64, "steps": 20, "sample": 2000, "batch_size": 64}
    project = Project.open(made.path, {**made._changes, "tokens": few})
    outcomes = {outcome.artifact: outcome for outcome in project.tokens()}
    assert outcomes["shards/index-tokens"].results["n_passages"] == 72
    hits = project.search("a heron in the river", 3, system="tokens", explain=True)
    assert hits[0].passage.text.startswith("A heron") and hits[0].explanation is not None
    assert any(one.name for one in hits[0].explanation.contributions)


def test_the_command_line_searches_shards_and_says_what_is_missing(made) -> None:
    asked = ["search", made.path, "a bird by the water", "-k", 2]
    assert "unweave trust" in refused(unweave(*asked)), "the settings of the fixture are not in its file yet"
    made.keep_changes()
    found = unweave(*asked, "--explain")
    assert "A heron" in found.stdout and "concept score" in found.stdout and "PARTIAL" not in found.stderr
    index = Path(made.settings.shards.store) / "shards" / "000000-000000" / "index" / "default"
    index.rename(index.with_name("aside"))
    try:
        found = unweave(*asked)
        assert "PARTIAL: the shard 000000-000000 was not searched: " in found.stderr and "A heron" not in found.stdout
    finally:
        index.with_name("aside").rename(index)
    wrong = unweave(*asked, "--query-k", "3", "--boost", "3=0")
    assert wrong.exit_code == 2 and "is searched unsteered; leave --boost, --query-k out" in wrong.stderr
    assert "shards are searched by CL-SR or tokens, not by dense" in refused(unweave(*asked, "--system", "dense"))


def test_a_project_that_holds_its_passages_itself_has_no_shards(tmp_path) -> None:
    whole = Project.create(tmp_path / "whole", Collection(passages=[Passage("a", "", "a text")]))
    with pytest.raises(BadData, match=r"holds its passages itself.*unweave init"):
        Sharded(whole)


def test_a_store_of_nothing_says_what_to_do(tmp_path) -> None:
    project = open_with(tmp_path / "project", tmp_path / "store")
    with pytest.raises(BadData, match="no file of passages; expected files that end in"):
        project.sharded().cut([str(tmp_path)])
    with pytest.raises(Exception, match="holds no shards yet; cut a corpus"):
        project.embed()
    with pytest.raises(BadData, match="keys come from the environment"):
        create(tmp_path / "other", {"store": "s3://name:secret@bucket/prefix"})
    with pytest.raises(BadData, match="is a project already"):
        create(tmp_path / "project", {"store": str(tmp_path / "store")})
