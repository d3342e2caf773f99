"""What people edited and what was paid for outlives rebuilds, damage and strangers' databases."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner

from unweave.base import progress
from unweave.base.artifact import MANIFEST, read_manifest, write_manifest
from unweave.base.files import is_aside
from unweave.cli import main
from unweave.concepts import edits, store
from unweave.concepts.concept import PERSON, Concept, Naming
from unweave.concepts.database import DATABASE, KIND, check, lock_of, reading, writing
from unweave.concepts.store import SCHEMA, Concepts
from unweave.errors import ArtifactInUse, BadData, CorruptArtifact
from unweave.project import Project

ANEW = {"evidence": {"examples": 4}}
"""Settings that the kept project's concepts were not made with."""


def live(folder: Path) -> list[int]:
    return [concept.latent for concept in Project.open(folder).concepts.by_document_frequency()]


def people(folder: Path) -> dict[int, str]:
    """The names that people gave."""
    concepts = Project.open(folder).concepts.by_document_frequency()
    return {c.latent: c.name for c in concepts if c.namer == PERSON}


class Editing:
    """Edits whenever a certain piece of work begins."""

    def __init__(self, label: str, edit) -> None:
        self.label, self.edit, self.done = label, edit, 0

    def steps(self, label, total, unit, done):
        if label.startswith(self.label):
            self.edit()
            self.done += 1
        return nullcontext(lambda _: None)

    def say(self, line):
        pass


# --- while concepts are made anew -------------------------------------------------------------------


@pytest.mark.parametrize("label", ["examples", "naming by keyphrases"])
def test_an_edit_made_while_concepts_are_named_anew_is_kept(kept_copy, label):
    first, second, third, *_ = live(kept_copy)
    database = kept_copy / "concepts" / DATABASE
    edits.rename(database, first, "before")

    def edit() -> None:
        edits.rename(database, second, "meanwhile")
        edits.flag(database, first, "doubtful")
        edits.merge(database, third, second)

    watch = Editing(label, edit)
    with progress.watched(watch):
        Project.open(kept_copy, ANEW).name()
    assert watch.done == 1
    assert people(kept_copy) | {first: "before", second: "meanwhile"} == people(kept_copy)
    assert Project.open(kept_copy).concepts.concept(first).flag == "doubtful"
    assert Project.open(kept_copy).concepts.concept(third).merged_into == second
    assert len(edits.history(database)) == 4


def test_a_hundred_renames_beside_a_rebuild_are_all_there(kept_copy):
    script = """
        import sys
        from pathlib import Path
        from unweave.project import Project
        print("ready", flush=True)
        sys.stdin.readline()
        for examples in (4, 5, 6):
            Project.open(sys.argv[1], {"evidence": {"examples": examples}}).name()
    """
    latents = live(kept_copy)
    command = [sys.executable, "-c", textwrap.dedent(script), str(kept_copy)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as namer:
        assert namer.stdout.readline() == "ready\n"
        namer.stdin.write("go\n")
        namer.stdin.flush()
        made = {}
        while namer.poll() is None or len(made) < 20:
            latent = latents[len(made) % len(latents)]
            name = f"person {len(made)}"
            assert edits.rename(kept_copy / "concepts" / DATABASE, latent, name) is not None
            made[latent] = name
            if len(made) == len(latents):
                break
        assert namer.wait(timeout=120) == 0
    assert people(kept_copy).items() >= made.items()
    assert len(edits.history(kept_copy / "concepts" / DATABASE)) == len(made)


def test_two_namers_at_once_are_told_of_each_other(kept_copy):
    def name_too() -> None:
        script = "import sys; from unweave.cli import main; main()"
        command = [sys.executable, "-c", script, "name", str(kept_copy)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 1
        said = f"(process {os.getpid()}, since "
        assert said in done.stderr
        assert "is naming or judging the concepts of" in done.stderr

    watch = Editing("naming by keyphrases", name_too)
    with progress.watched(watch):
        Project.open(kept_copy, ANEW).name()
    assert watch.done == 1
    with (
        pytest.raises(ArtifactInUse, match="is naming or judging"),
        progress.watched(Editing("naming by keyphrases", lambda: Project.open(kept_copy).judge())),
    ):
        Project.open(kept_copy, {"evidence": {"examples": 5}}).name()


# --- damage -----------------------------------------------------------------------------------------


def edited(folder: Path) -> dict[int, str]:
    """Rename five concepts and remark on one; what is to be there afterwards."""
    names = {latent: f"my name {latent}" for latent in live(folder)[:5]}
    for latent, name in names.items():
        edits.rename(folder / "concepts" / DATABASE, latent, name)
    return names


def test_a_kill_between_a_change_and_its_checksum_is_no_damage(kept_copy):
    # SQLite's own counter stands still where a transaction leaves the first page alone.
    database, manifest = kept_copy / "concepts" / DATABASE, kept_copy / "concepts" / MANIFEST
    before = manifest.read_bytes()
    with writing(database) as db:
        db.execute("UPDATE names SET name = upper(name)")
    assert manifest.read_bytes() != before
    manifest.write_bytes(before)
    names = Concepts.load(kept_copy / "concepts")
    assert any(name.isupper() for name in names.values())


def test_no_page_of_the_database_is_free_since_undoing_would_not_restore_it(tmp_path):
    database = tmp_path / DATABASE
    store.create(database)
    many = [(latent, Naming("keyphrases", "tides" * 100)) for latent in range(500)]
    store.add(database, [Concept(latent=latent, document_frequency=1, strongest=1.0) for latent, _ in many])
    store.add_namings(database, many)
    with writing(database) as db:
        db.execute("DELETE FROM names WHERE latent > 3")
    with reading(database) as db:
        assert db.execute("PRAGMA freelist_count").fetchone() == (0,)


def test_what_a_killed_edit_left_goes_with_the_next_naming(kept_copy):
    left = [kept_copy / ".concepts.unweave-edits", kept_copy / "concepts" / f".config.json.{'0' * 16}.unweave"]
    for path in left:
        path.write_text("{}")
    assert is_aside(left[1], "config.json")
    Project.open(kept_copy).name()
    assert not any(path.exists() for path in left)


@pytest.mark.parametrize("damage", ["flipped", "lost", "empty"])
def test_edits_outlive_the_loss_of_the_manifest_beside_them(kept_copy, damage):
    names = edited(kept_copy)
    manifest = kept_copy / "concepts" / MANIFEST
    content = manifest.read_bytes()
    if damage == "lost":
        manifest.unlink()
    else:
        manifest.write_bytes(content.replace(b"examples", b"exampleS", 1) if damage == "flipped" else b"")
    Project.open(kept_copy).name()
    assert people(kept_copy).items() >= names.items()
    assert len(edits.history(kept_copy / "concepts" / DATABASE)) == 5


def test_a_database_that_cannot_be_read_is_not_replaced_without_a_word(kept_copy):
    edited(kept_copy)
    database = kept_copy / "concepts" / DATABASE
    database.write_bytes(b"\0" * 4096 + database.read_bytes()[4096:])
    before = database.read_bytes()
    with pytest.raises(BadData, match=r"cannot be read, and people may have edited it .* unweave name .* --discard"):
        Project.open(kept_copy).name()
    assert database.read_bytes() == before
    Project.open(kept_copy).name(discard=True)
    (copy,) = kept_copy.glob("concepts-*.sqlite")
    assert copy.read_bytes() == before
    assert {one.state for one in Project.open(kept_copy).verify() if one.artifact == "concepts"} == {"whole"}


def test_edits_of_another_sae_are_copied_beside_before_they_are_given_up(kept_copy, caplog):
    names = edited(kept_copy)
    with writing(kept_copy / "concepts" / DATABASE) as db:
        db.execute("UPDATE made_from SET fingerprint = 'another' WHERE source = 'sae'")
    (kept_copy / "concepts" / MANIFEST).unlink()
    with pytest.raises(BadData, match=r"has 5 edit\(s\) by people, of another SAE's concepts"):
        Project.open(kept_copy).name()
    Project.open(kept_copy).name(discard=True)
    (copy,) = kept_copy.glob("concepts-*.sqlite")
    assert f"what people edited before is in {copy}" in caplog.text
    with closing(sqlite3.connect(copy)) as db:
        assert dict(db.execute("SELECT latent, name FROM names WHERE namer = 'person'").fetchall()) == names


def test_every_flipped_byte_of_the_database_is_found(kept_copy):
    folder = kept_copy / "concepts"
    database = folder / DATABASE
    edits.rename(database, live(kept_copy)[0], "a person's name")
    whole, manifest = database.read_bytes(), read_manifest(folder, KIND)
    check(database, SCHEMA, manifest)
    shown = dict(Concepts.load(folder))
    for position in [*range(100), *range(100, len(whole), 997)]:
        damaged = bytearray(whole)
        damaged[position] ^= 0x20
        database.write_bytes(damaged)
        try:
            assert dict(Concepts.load(folder)) == shown, position  # only what nobody reads may change unseen
            assert position in range(24, 28), position  # the counter: SQLite's own check was made in place of ours
        except CorruptArtifact:
            pass


def test_a_change_by_another_program_is_accepted_if_the_database_is_whole(kept_copy):
    database = kept_copy / "concepts" / DATABASE
    latent = live(kept_copy)[0]
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("UPDATE names SET name = 'by hand' WHERE latent = ?", (latent,))
    assert "by hand" in {naming.name for naming in Project.open(kept_copy).concepts.concept(latent).namings}


# --- a stranger's database --------------------------------------------------------------------------

ENDLESS = """
    ALTER TABLE names RENAME TO n2;
    CREATE VIEW names AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT n2.* FROM n2, c;
"""
HOSTILE = {
    "a view that never ends": ENDLESS,
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON edits BEGIN DELETE FROM names; END;",
    "a calculated column": "ALTER TABLE names ADD COLUMN x GENERATED ALWAYS AS (randomblob(1000000)) VIRTUAL;",
    "an index on an expression": "CREATE INDEX i ON names (length(name));",
    "a virtual table": "CREATE VIRTUAL TABLE v USING fts5(x);",
    "a table too few": "DROP TABLE edits;",
    "another journal mode": "PRAGMA journal_mode = WAL; INSERT INTO made_from VALUES ('x', 'y');",
}


@pytest.mark.parametrize("statements", HOSTILE.values(), ids=HOSTILE)
def test_a_database_with_more_in_it_than_names_is_not_read(kept_copy, statements):
    database = kept_copy / "concepts" / DATABASE
    with closing(sqlite3.connect(database)) as db:
        try:
            db.executescript(statements)
        except sqlite3.OperationalError as error:
            pytest.skip(str(error))
    with pytest.raises(CorruptArtifact, match=r"name the concepts again"):
        _ = Project.open(kept_copy).concepts


@pytest.mark.parametrize("value", ["'no number'", "x'ff'", "1e999", "NULL"])
def test_values_of_another_type_are_damage(kept_copy, value):
    database = kept_copy / "concepts" / DATABASE
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute(f"UPDATE names SET provenance = coalesce({value}, 'null')")
    done = CliRunner().invoke(main, ["concepts", "list", str(kept_copy)])
    assert done.exit_code in (0, 1)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception


def test_a_journal_that_names_another_file_is_not_played_back(kept_copy, tmp_path):
    """SQLite deletes the file that such a journal names."""
    victim = tmp_path / "thesis.tex"
    victim.write_text("years of work")
    name = str(victim).encode()
    header = bytes.fromhex("d9d505f920a163d7") + b"\0" * 504
    tail = (1).to_bytes(4, "big") + name + len(name).to_bytes(4, "big") + sum(name).to_bytes(4, "big")
    journal = kept_copy / "concepts" / f"{DATABASE}-journal"
    journal.write_bytes(header + tail + bytes.fromhex("d9d505f920a163d7"))
    with pytest.raises(CorruptArtifact, match="is no journal of unweave's: it names another file; remove it"):
        _ = Project.open(kept_copy).concepts
    assert victim.read_text() == "years of work"


@pytest.mark.parametrize("ending", ["", "-journal", "-wal", "-shm"])
def test_a_database_that_is_a_link_is_not_opened(kept_copy, tmp_path, ending):
    database = kept_copy / "concepts" / DATABASE
    shutil.copy(database, tmp_path / "others.sqlite")
    path = database.with_name(database.name + ending)
    path.unlink(missing_ok=True)
    path.symlink_to(tmp_path / "others.sqlite")
    with pytest.raises((BadData, CorruptArtifact)):
        edits.rename(Project.open(kept_copy).concepts.database, 0, "mine")


def test_who_waits_for_an_edit_is_told_for_whom(kept_copy, caplog, monkeypatch):
    from threading import Thread

    from unweave.base import locks

    monkeypatch.setattr(locks, "_PATIENCE", 0.05)
    database = kept_copy / "concepts" / DATABASE
    latent = live(kept_copy)[0]
    with locks.held(lock_of(kept_copy / "concepts")):
        other = Thread(target=edits.rename, args=(database, latent, "late"))
        other.start()
        other.join(timeout=0.5)
        assert other.is_alive()
    other.join(timeout=20)
    assert "waiting for " in caplog.text
    assert f"(process {os.getpid()}, since " in caplog.text
    with reading(database) as db:
        assert db.execute("SELECT name FROM names WHERE namer = 'person'").fetchall() == [("late",)]


def test_a_changed_manifest_of_concepts_keeps_its_fingerprint(kept_copy):
    before = read_manifest(kept_copy / "concepts", KIND)
    edits.rename(kept_copy / "concepts" / DATABASE, live(kept_copy)[0], "mine")
    after = read_manifest(kept_copy / "concepts", KIND)
    assert after.fingerprint == before.fingerprint
    assert after.state["transactions"] == before.state["transactions"] + 1
    write_manifest(kept_copy / "concepts", after)
