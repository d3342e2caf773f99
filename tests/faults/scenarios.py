"""Every command that changes something, on a project that it changes."""

from __future__ import annotations

import shutil
from pathlib import Path

from scipy.sparse import csr_array
from toy import FIT, STAGES, Said
from world import Scenario, World

from unweave import settings
from unweave.index.writer import IndexWriter
from unweave.project import Project
from unweave.sae.model import SAE


def every(world: World) -> list[Scenario]:
    """All scenarios; their bases are made."""
    world.base("corpus", lambda case: _keep(case, "corpus", "queries", "unweave.toml"))
    world.base("embedded", lambda case: _keep(case, "corpus", "queries", "unweave.toml", "embeddings", "sentences"))
    world.base("no index", lambda case: _drop(case, "index", "bm25", "codes", "evaluation"))
    world.base("no dictionary", lambda case: _drop(case, "dictionary"))
    world.base("shorter codes", lambda case: _set(case, "index", code_k=2))
    world.base("segments", _with_segments)
    return [
        Scenario("init", STAGES["init"], "nothing"),
        Scenario("embed", STAGES["embed"], "corpus"),
        Scenario("embed anew", ("embed", "{project}", "--passage-prefix", "moon ")),
        Scenario("embed brought", ("embed", "{project}", "--passages", "{inputs}/other.npy")),
        Scenario("fit", STAGES["fit"], "embedded"),
        Scenario("fit anew", ("fit", "{project}", *FIT, "--seed", "1")),
        Scenario("name", ("name", "{project}", "--examples", "11"), in_steps=True),
        Scenario(
            "name by another", ("name", "{project}", "--namer", "lexicon", "--frequent-texts", "3"), in_steps=True
        ),
        Scenario("judge", ("judge", "{project}", "--again", "--controls"), in_steps=True),
        Scenario("index build", STAGES["index build"], "no index"),
        Scenario("index build anew", STAGES["index build"], "shorter codes"),
        Scenario("tokens anew", (*STAGES["tokens"], "--seed", "1")),
        Scenario("add", ("add", "{project}", "--corpus", "{inputs}/more.jsonl")),
        Scenario("pretrain", STAGES["pretrain"], "no dictionary", in_steps=True),
        Scenario("evaluate", ("evaluate", "{project}", "--sums", "BM25 + codes")),
        Scenario("report", ("report", "{project}", "--query", "the tide")),
        Scenario("rename", ("concepts", "rename", "{project}", "2", "another name")),
        Scenario("merge", ("concepts", "merge", "{project}", "8", "9")),
        Scenario("undo", ("concepts", "undo", "{project}"), once=True),
        Scenario("import", ("concepts", "import", "{project}", "{inputs}/names.csv")),
        Scenario("export", ("concepts", "export", "{project}", "{out}/names.csv"), "segments"),
        Scenario("settings", _settings),
        Scenario("search-all", ("search-all", "{project}", "{out}/run.trec", "--system", "BM25")),
        Scenario("sae import", ("sae", "import", "{inputs}/foreign", "{out}/imported"), once=True),
        Scenario("sae export", ("sae", "export", "{project}/sae", "{out}/exported", "--format", "saelens"), once=True),
        Scenario("sae save", _save),
        Scenario("index add", _add, once=True),
        Scenario("index delete", _delete, "segments", once=True),
        Scenario("index compact", ("index", "compact", "{project}"), "segments"),
    ]


def _keep(case: Path, *names: str) -> None:
    _drop(case, *(path.name for path in (case / "project").iterdir() if path.name not in names))


def _drop(case: Path, *names: str) -> None:
    for name in names:
        path = case / "project" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _set(case: Path, stage: str, **values: object) -> None:
    settings.update(case / "project" / "unweave.toml", {stage: dict(values)})


def _settings(case: Path) -> Said:
    settings.update(case / "project" / "unweave.toml", {"fit": {"seed": 7, "patience": 3}})
    return Said(0, "", "")


def _save(case: Path) -> Said:
    sae = SAE.load(case / "project" / "tokens" / "sae")
    sae.save(case / "out" / "sae")
    return Said(0, "", "")


def _rows(case: Path, *passages: int) -> csr_array:
    return csr_array(Project.open(case / "project").latents[list(passages)])


def _add(case: Path) -> Said:
    IndexWriter(case / "project" / "index" / "default").add(["p3", "p4"], _rows(case, 5, 6))
    return Said(0, "", "")


def _delete(case: Path) -> Said:
    IndexWriter(case / "project" / "index" / "default").delete(["p7", "p8"])
    return Said(0, "", "")


def _with_segments(case: Path) -> None:
    _add(case)
    IndexWriter(case / "project" / "index" / "default").delete(["p1"])
    (case / "out" / "names.csv").write_text("an earlier export\n")
