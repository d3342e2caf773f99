"""Kill a process that names concepts, again and again, while its server misbehaves; nothing is lost or paid twice.

    python tests/killed_namers.py FOLDER KILLS

A child names concepts by a language model and is killed with SIGKILL at a random moment. After each kill the
database opens and has every name that it had before; the server, which keeps its own books, was never asked again
about a concept whose name was stored; and by its books no more was paid than the journal of spending says, which is
never above the cap.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unweave.concepts import store
from unweave.concepts.concept import Concept
from unweave.concepts.database import writing
from unweave.concepts.namers import base
from unweave.concepts.namers.language_model import Asked, LanguageModelNamer
from unweave.concepts.prompts import Shown
from unweave.config import EvidenceConfig, LanguageModelConfig
from unweave.language import client, spending

TESTS = Path(__file__).parent
A_KILL = 25
"""Concepts for each kill, so that there is work left at the last."""
INPUT_PRICE, OUTPUT_PRICE = 1.0, 1.0  # an answer, 100 tokens read and 20 written, costs 120e-6
PAID = 120e-6


def show(latents: Sequence[int]) -> Iterator[tuple[int, Asked]]:
    for latent in latents:
        yield latent, asked(Shown([f"A text about concept-{latent}."], [], [], ["Another text."], [], None))


def asked(*prompts: Shown) -> Asked:
    """Prompts about a latent of which no further text is known."""
    return Asked(prompts, np.empty(0, np.int64), np.empty(0, np.int64))


def longest(names: Sequence[str], active: NDArray[np.int64], silent: NDArray[np.int64]) -> list[float]:
    """Of several names the longest is told best."""
    return [float(len(name)) for name in names]


def namer(database: Path, base_url: str, cap: float) -> LanguageModelNamer:
    config = LanguageModelConfig(
        base_url=base_url, timeout=0.3, concurrency=4, input_price=INPUT_PRICE, output_price=OUTPUT_PRICE, cap=cap
    )
    return LanguageModelNamer(database, show, config, EvidenceConfig(), longest)


def name_all(database: Path, base_url: str, cap: float) -> None:
    client._FIRST_WAIT = 0.01
    base.run(database, namer(database, base_url, cap), sorted(store.stored_latents(database)))


def stored(database: Path) -> dict[int, str]:
    with writing(database) as db:
        return dict(db.execute("SELECT latent, name FROM names WHERE name IS NOT NULL").fetchall())


def spent(database: Path) -> spending.Spent:
    with writing(database) as db:
        return spending.spent(db)


def made(folder: Path, n: int) -> Path:
    """A database of concepts without names."""
    database = folder / store.DATABASE
    store.create(database)
    store.add(database, [Concept(latent, 1, 1.0) for latent in range(n)])
    return database


def killed(folder: Path, kills: int, cap: float, seed: int = 0) -> tuple[int, float]:
    """Kill so many namers, then let one finish; returns how many requests were paid, and what the journal says."""
    n = A_KILL * kills
    database, journal = made(folder, n), folder / "billed.txt"
    journal.touch()
    rng = random.Random(seed)
    command = [sys.executable, TESTS / "misbehaving_server.py", "--journal", journal, "--trouble", "0.4"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        base_url = server.stdout.readline().strip()
        for _ in range(kills):
            before, billed_before = stored(database), len(journal.read_text().splitlines())
            assert len(before) < n, "nothing was left to name"
            child = os.fork()
            if child == 0:
                os.setsid()
                name_all(database, base_url, cap)
                os._exit(0)
            time.sleep(rng.uniform(0.02, 0.4))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            check(database, journal, before, billed_before, cap)
        time.sleep(0.5)  # what the server still works on is written to its books
        while len(stored(database)) < n:
            before, billed_before = stored(database), len(journal.read_text().splitlines())
            name_all(database, base_url, cap)
            check(database, journal, before, billed_before, cap)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    assert set(stored(database)) == set(range(n))
    return len(journal.read_text().splitlines()), spent(database).cost


def check(database: Path, journal: Path, before: dict[int, str], billed_before: int, cap: float) -> None:
    with sqlite3.connect(database) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    after = stored(database)
    assert before.items() <= after.items(), "a name is lost"
    assert all(name == f"about concept-{latent}" for latent, name in after.items())
    billed = journal.read_text().splitlines()
    again = {f"concept-{latent}" for latent in before} & set(billed[billed_before:])
    assert not again, f"paid again for what is stored: {again}"
    so_far = spent(database).cost
    assert len(billed) * PAID <= so_far * (1 + 1e-9), "more was paid than is entered"
    assert so_far <= cap, "the cap was passed"


if __name__ == "__main__":
    paid, entered = killed(Path(sys.argv[1]), int(sys.argv[2]), cap=5.0)
    sys.stdout.write(f"{paid} requests paid for {A_KILL * int(sys.argv[2])} concepts; entered {entered:.6f}\n")
