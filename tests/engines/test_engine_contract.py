"""What every engine has to do, the local index being the truth: each of those that are installed here is run."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import engines_here as here
import numpy as np
import pytest

from unweave.engines import sending
from unweave.engines.agreement import agreement
from unweave.engines.catalogue import ENGINES, opened
from unweave.engines.sending import rows_of, send, shape_of
from unweave.errors import BadData, MissingExtra
from unweave.index.concept_index import ConceptIndex

pytestmark = pytest.mark.filterwarnings("ignore")  # what clients say of their own
RUN = [
    pytest.param(name, marks=pytest.mark.skipif(here.missing(name) is not None, reason=str(here.missing(name))))
    for name in ENGINES
    if name in here.NEEDED
]
PLACES = [one for one in RUN if ENGINES[str(one.values[0])].place and ENGINES[str(one.values[0])].files is None]
"""Those that keep their data themselves."""
IN_A_FOLDER = [one for one in PLACES if one.values[0] in ("qdrant-edge", "qdrant")]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(sending, "BATCH", 64)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return here.index_of(tmp_path_factory.mktemp("index") / "index")


@pytest.mark.parametrize("name", RUN)
def test_it_finds_what_the_index_finds(name, index, tmp_path):
    with here.running(name, tmp_path) as engine:
        assert send(index, engine, shape_of(index, "")) == 0
        found = agreement(index, engine, here.queries())
    assert found.share == 1 if name not in here.WHOLE else found.share >= 0.98, found
    assert found.error < 1e-5 if name not in here.WHOLE else found.error < 0.02, found
    assert found.n_queries == 40


@pytest.mark.parametrize("name", RUN)
def test_every_id_comes_back_as_it_was(name, index, tmp_path):
    rows = next(rows_of(index))
    with here.running(name, tmp_path) as engine:
        send(index, engine, shape_of(index, ""))
        for i, passage_id in enumerate(here.HARD_IDS):
            assert passage_id in engine.search(rows.impacts[[i]], 300)[0].ids


@pytest.mark.parametrize("name", RUN)
def test_an_export_that_comes_again_doubles_nothing(name, index, tmp_path):
    with here.running(name, tmp_path) as engine:
        send(index, engine, shape_of(index, ""))
        before = engine.search(here.queries(5), 10)
        assert send(index, engine, shape_of(index, "")) == index.n_passages
        for rows in rows_of(index):
            engine.add(rows)
        engine.finish()
        assert engine.count() == index.n_passages
        assert np.allclose([f.scores for f in engine.search(here.queries(5), 10)], [f.scores for f in before])


@pytest.mark.parametrize("name", [one for one in RUN if one not in PLACES])
def test_an_export_that_is_killed_goes_on_and_loses_nothing(name, index, tmp_path):
    killed(name, index, tmp_path, "between")
    with here.running(name, tmp_path) as engine:
        assert 128 <= send(index, engine, shape_of(index, "")) < index.n_passages
        assert engine.count() == index.n_passages
        found = agreement(index, engine, here.queries())
    assert found.share == 1 if name not in here.WHOLE else found.share >= 0.98, found


@pytest.mark.parametrize("name", PLACES)
def test_killed_within_a_batch_and_then_in_mid_search_nothing_is_lost_or_doubled(name, index, tmp_path):
    killed(name, index, tmp_path, "within")
    killed(name, index, tmp_path, "searching")
    with here.running(name, tmp_path) as engine:
        assert send(index, engine, shape_of(index, "")) == index.n_passages
        assert engine.count() == index.n_passages
        assert agreement(index, engine, here.queries()).share == 1


def killed(name: str, index: ConceptIndex, folder: Path, moment: str) -> None:
    """Send or search in a process of its own, which is killed."""
    command = [sys.executable, Path(__file__).with_name("killed_export.py"), name, index.folder, folder, moment]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("name", RUN)
def test_an_index_that_changed_takes_the_place_of_the_earlier_one(name, index, tmp_path):
    smaller = here.index_of(tmp_path / "index", n=100)
    with here.running(name, tmp_path) as engine:
        send(index, engine, shape_of(index, ""))
    if ENGINES[name].place == "" or ENGINES[name].files is not None:
        pytest.skip("a folder of another state is emptied by `base.building`")
    with here.running(name, tmp_path) as engine:
        assert send(smaller, engine, shape_of(smaller, "")) == 0
        assert engine.count() == 100


@pytest.mark.parametrize("name", RUN)
def test_a_query_without_concepts_finds_nothing(name, index, tmp_path):
    with here.running(name, tmp_path) as engine:
        send(index, engine, shape_of(index, ""))
        (found,) = engine.search(here.queries(1) * 0, 10)
    assert found.ids == [] and found.scores == []


@pytest.mark.parametrize("name", list(ENGINES))
def test_it_says_what_it_will_do(name, index, tmp_path):
    kind = ENGINES[name]
    place = "postgresql://me@localhost:1/mine" if name == "postgresql" else tmp_path
    try:
        engines = [kind.files(tmp_path), kind.open("http://localhost:1")] if kind.files else [kind.open(place)]
    except MissingExtra as missing:
        pytest.skip(str(missing))
    shape = shape_of(index, "")
    for engine in engines:
        assert engine.mapping(shape) and engine.numbers and engine.posting_bytes > 0
        assert engine.request(here.queries(1), 10)


@pytest.mark.parametrize("name", IN_A_FOLDER)
def test_a_folder_that_is_not_ours_is_left_alone(name, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    index = here.index_of(tmp_path / "index", 20)
    with pytest.raises(BadData, match="in the way"):
        send(index, opened(name, tmp_path / "passages", str(tmp_path / "mine")), shape_of(index, ""))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
