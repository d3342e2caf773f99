"""The contract, in short, before a real server: skipped unless its address is in the environment, for none is here."""

from __future__ import annotations

import os

import engines_here as here
import pytest

from unweave.engines import sending
from unweave.engines.agreement import agreement
from unweave.engines.catalogue import ENGINES
from unweave.engines.rehearsal import Rehearsal
from unweave.engines.sending import send, shape_of

SERVERS = {"elasticsearch": "UNWEAVE_ELASTICSEARCH", "opensearch": "UNWEAVE_OPENSEARCH", "vespa": "UNWEAVE_VESPA",
           "qdrant": "UNWEAVE_QDRANT"}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SERVERS)
def test_a_real_server_finds_what_was_predicted(name, tmp_path, monkeypatch):
    address = os.environ.get(SERVERS[name])
    if not address:
        pytest.skip(f"not run: no server of {name} can be had here; give the address of one in {SERVERS[name]}")
    monkeypatch.setattr(sending, "BATCH", 64)
    index, engine, rounding = here.index_of(tmp_path / "index"), ENGINES[name].open(address), ENGINES[name].rounding
    send(index, engine, shape_of(index, f"the tests, {os.getpid()}"))
    assert send(index, engine, shape_of(index, f"the tests, {os.getpid()}")) == index.n_passages == engine.count()
    found = agreement(index, engine, here.queries())
    assert found.share == 1 if rounding is None else found.share >= 0.99, found
    if rounding is not None:
        predicted = Rehearsal(index, shape_of(index, ""), rounding, engine.numbers)
        assert found.error == pytest.approx(agreement(index, predicted, here.queries()).error, rel=0.01)
    for row, passage_id in enumerate(here.HARD_IDS):
        assert passage_id in engine.search(here.rows_of_latents(300)[[row]], 300)[0].ids
    engine.close()
