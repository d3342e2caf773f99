"""What unweave writes goes where it should and nowhere else, and only what is its own is ever taken away."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from unweave.base.artifact import MANIFEST, MARK, read_manifest, verify, write_manifest
from unweave.base.building import build, in_the_making
from unweave.base.files import is_aside, write_atomically
from unweave.base.locks import held, holder, take
from unweave.errors import BadData, CorruptArtifact
from unweave.index.writer import IndexWriter
from unweave.project import Project

KIND = "words"


def make(folder: Path, text: str = "new") -> None:
    with build(folder, KIND, settings={}, made_from={}) as made:
        (made.path / "words.txt").write_text(text)


def tree(folder: Path) -> dict[str, str]:
    """All files below a folder, links not followed."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


@pytest.fixture
def victim(tmp_path) -> Path:
    """A folder of the user, outside of everything that unweave was given."""
    folder = tmp_path / "victim"
    (folder / "sub").mkdir(parents=True)
    (folder / "thesis.tex").write_text("years of work")
    (folder / "sub" / "data.csv").write_text("1,2")
    return folder


# --- folders ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.old", "a.partial", "a.bak", ".a.old"])
def test_folders_that_people_named_after_an_artefact_stay(tmp_path, name):
    make(tmp_path / "a", "first")
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.tex").write_text("years of work")
    make(tmp_path / "a", "second")
    (tmp_path / "a").rename(tmp_path / "moved")  # and no reader brings one of them back in its place
    with pytest.raises(Exception, match="there is no words"):
        read_manifest(tmp_path / "a", KIND)
    assert tree(tmp_path / name) == {"thesis.tex": "years of work"}


def test_a_folder_of_the_user_is_not_replaced(victim):
    before = tree(victim)
    with pytest.raises(BadData, match="is in the way and is not unweave's; move it, or give another folder"):
        make(victim)
    assert tree(victim) == before


def test_an_artefact_that_came_meanwhile_is_not_replaced_unless_that_is_wanted(tmp_path):
    make(tmp_path / "a", "first")
    with (
        pytest.raises(BadData, match="is there already"),
        build(tmp_path / "a", KIND, settings={}, made_from={}, replace=False),
    ):
        pass
    assert tree(tmp_path) == {"a/words.txt": "first"} | {
        name: text for name, text in tree(tmp_path).items() if name in ("a/config.json", "a/.unweave")
    }


@pytest.mark.parametrize("name", ["a", ".a.unweave-build"])
def test_a_link_in_the_place_of_a_folder_is_refused(tmp_path, victim, name):
    before = tree(victim)
    (tmp_path / name).symlink_to(victim)
    with pytest.raises(BadData, match="is a link, and what is written there would lie elsewhere"):
        make(tmp_path / "a")
    assert tree(victim) == before


def test_a_link_where_the_old_artefact_is_put_aside_is_refused(tmp_path, victim):
    make(tmp_path / "a", "old")
    (tmp_path / ".a.unweave-old").symlink_to(victim)
    before = tree(victim)
    with pytest.raises(BadData, match=r"a\.unweave-old is in the way and is not unweave's"):
        make(tmp_path / "a")
    assert tree(victim) == before
    assert (tmp_path / "a" / "words.txt").read_text() == "old"


def test_an_unfinished_build_with_links_in_it_is_discarded_and_where_they_lead_stays(tmp_path, victim):
    with pytest.raises(KeyboardInterrupt), build(tmp_path / "a", KIND, settings={}, made_from={}) as made:
        made.checkpoint()
        (made.path / "words.txt").symlink_to(victim / "thesis.tex")
        (made.path / "sub").symlink_to(victim / "sub")
        raise KeyboardInterrupt
    before = tree(victim)
    make(tmp_path / "a")
    assert tree(victim) == before
    assert not (tmp_path / "a" / "sub").exists()


def test_a_folder_under_the_name_of_a_build_that_is_not_one_is_left(tmp_path):
    partial = in_the_making(tmp_path / "a")
    partial.mkdir()
    (partial / "thesis.tex").write_text("years of work")
    with pytest.raises(BadData, match="is in the way and is not unweave's"):
        make(tmp_path / "a")
    assert tree(partial) == {"thesis.tex": "years of work"}


def test_an_artefact_whose_manifest_is_lost_is_still_unweaves_and_replaced(tmp_path):
    make(tmp_path / "a", "old")
    (tmp_path / "a" / MANIFEST).write_text("\x00" * 100)
    make(tmp_path / "a")
    assert (tmp_path / "a" / "words.txt").read_text() == "new"


# --- files ------------------------------------------------------------------------------------------


def test_a_file_is_filled_under_a_name_that_nobody_can_foresee(tmp_path):
    names = set()
    for _ in range(3):
        write_atomically(tmp_path / "a.csv", lambda aside: (names.add(aside.name), aside.write_text("x")))
    assert len(names) == 3
    assert all(is_aside(tmp_path / name, "a.csv") for name in names)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_a_link_in_the_place_of_a_file_is_replaced_and_where_it_leads_stays(tmp_path, victim):
    (tmp_path / "a.csv").symlink_to(victim / "thesis.tex")
    write_atomically(tmp_path / "a.csv", lambda aside: aside.write_text("new"))
    assert (victim / "thesis.tex").read_text() == "years of work"
    assert not (tmp_path / "a.csv").is_symlink()


def test_the_mode_of_a_file_stays_and_a_new_one_has_that_of_the_users_umask(tmp_path):
    def for_my_eyes_only(aside: Path) -> None:  # as a writer does that makes a file of its own and moves it there
        own = aside.with_name("own")
        own.touch(mode=0o600)
        own.write_text("new")
        own.replace(aside)

    umask = os.umask(0o027)
    try:
        for name, mode in (("new", None), ("shared", 0o664), ("secret", 0o600)):
            if mode is not None:
                (tmp_path / name).touch()
                (tmp_path / name).chmod(mode)
            write_atomically(tmp_path / name, for_my_eyes_only)
            assert (tmp_path / name).stat().st_mode & 0o777 == (mode or 0o640)
    finally:
        os.umask(umask)


def test_every_file_of_a_project_can_be_read_by_whom_the_umask_says(tmp_path, tiny_project_folder):
    modes = {path.stat().st_mode & 0o777 for path in tiny_project_folder.rglob("*") if path.is_file()}
    umask = os.umask(0)
    os.umask(umask)
    assert modes == {0o666 & ~umask}


def test_an_index_that_was_changed_is_said_to_be_when_it_is_built_again(kept_copy, caplog):
    project = Project.open(kept_copy)
    IndexWriter(kept_copy / "index" / "default").delete(project.corpus.ids[:2])
    outcome = next(one for one in Project.open(kept_copy).index() if one.artifact == "index/default")
    assert (outcome.fresh, outcome.results["n_passages"]) == (False, len(project.corpus) - 2)
    assert "was changed after it was built and has" in caplog.text


def test_what_a_killed_process_left_of_a_file_goes_after_a_day(tmp_path):
    fresh, old = (tmp_path / f".a.csv.{digit * 16}.unweave" for digit in "01")
    others = tmp_path / f".b.csv.{'2' * 16}.unweave"
    for path in (fresh, old, others):
        path.write_text("half")
    for path in (old, others):
        os.utime(path, (0, 0))
    write_atomically(tmp_path / "a.csv", lambda aside: aside.write_text("new"))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([fresh.name, others.name, "a.csv"])


@pytest.mark.parametrize("in_the_way", ["link", "fifo", "folder"])
def test_a_lock_is_a_file_and_nothing_else(tmp_path, victim, in_the_way):
    path = tmp_path / "lock"
    if in_the_way == "link":
        path.symlink_to(victim / "new")
    elif in_the_way == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises((BadData, IsADirectoryError)):
        take(path)
    assert not (victim / "new").exists()


def test_a_lock_says_who_has_it(tmp_path):
    with held(tmp_path / "lock"):
        assert f"(process {os.getpid()}, since " in holder(tmp_path / "lock")
        with pytest.raises(BlockingIOError), held(tmp_path / "lock", wait=False):
            pass
    for foreign in (b"", b"\xff" * 9, b"[" * 5000, b'{"command": 1}', b'{"command": "\x1b[2J", "process": "x"}'):
        (tmp_path / "lock").write_bytes(foreign)
        assert holder(tmp_path / "lock") == "another process"


# --- what a manifest may say ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../victim/thesis.tex", "/etc/passwd", "sub/../../victim/thesis.tex", "..\\thesis"])
def test_a_manifest_that_lists_files_elsewhere_is_refused(tmp_path, victim, name):
    make(tmp_path / "a")
    manifest = read_manifest(tmp_path / "a", KIND)
    write_manifest(tmp_path / "a", replace(manifest, files={name: {"bytes": 13, "sha256": ""}}))
    with pytest.raises(CorruptArtifact, match=r"which is not in its folder; rebuild the words"):
        read_manifest(tmp_path / "a", KIND)


def test_a_link_in_an_artefact_is_read_as_what_was_written_or_not_at_all(tmp_path, victim):
    make(tmp_path / "a")
    manifest = read_manifest(tmp_path / "a", KIND)
    (tmp_path / "a" / "words.txt").rename(tmp_path / "blob")  # as the hub's cache keeps its files
    (tmp_path / "a" / "words.txt").symlink_to(tmp_path / "blob")
    verify(tmp_path / "a", read_manifest(tmp_path / "a", KIND))
    (tmp_path / "a" / "words.txt").unlink()
    (tmp_path / "a" / "words.txt").symlink_to(victim / "sub" / "data.csv")  # of the same size
    with pytest.raises(CorruptArtifact, match=r"words\.txt does not match its checksum"):
        verify(tmp_path / "a", manifest)


@pytest.mark.parametrize("name", ["segments", "segments/000001"])
def test_nothing_is_written_into_an_index_through_a_link(kept_copy, victim, name):
    index = kept_copy / "index" / "default"
    passage = Project.open(kept_copy).corpus.ids[3]
    (index / name).rename(victim / "moved")
    (index / name).symlink_to(victim / "moved")
    before = sorted(victim.rglob("*"))
    with pytest.raises(BadData, match="is a link"):
        IndexWriter(index).delete([passage])
    assert sorted(victim.rglob("*")) == before


@pytest.mark.parametrize(
    "text", ['{"kind": ' + "[" * 100_000, '{"files": {"a": {"bytes": 1e999}}, "kind": "words"}', '{"settings": 3}']
)
def test_manifests_that_break_their_reader_are_damaged_ones(tmp_path, text):
    make(tmp_path / "a")
    (tmp_path / "a" / MANIFEST).write_text(text)
    with pytest.raises(CorruptArtifact, match="is not a manifest of unweave"):
        read_manifest(tmp_path / "a", KIND)


# --- a stranger's project ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["unweave.toml", "sae", "concepts", "index", "index/default", "embeddings", "embeddings/passages", "tokens"]
)
def test_a_project_with_a_link_where_something_is_written_is_not_opened(kept_copy, victim, name):
    path = kept_copy / name
    path.rename(victim / "moved")
    path.symlink_to(victim / "moved")
    with pytest.raises(BadData, match="is a link, and what is written there would lie elsewhere"):
        Project.open(kept_copy)


def test_all_names_that_a_command_writes_are_its_own(kept_copy, victim):
    """Links at the names that earlier versions wrote to, and at those of today's that can be foreseen."""
    before = tree(victim)
    for name in ("sae.partial", "concepts.partial", "codes.old", "sentences.partial", "evaluation.partial"):
        (kept_copy / name).symlink_to(victim)
    for name in ("unweave.toml.writing", "report.html.writing", "report.html", "index/default/config.json.writing"):
        (kept_copy / name).symlink_to(victim / "thesis.tex")
    project = Project.open(kept_copy, {"evidence": {"examples": 4}})
    project.name()
    project.report()
    project.compact()
    project.keep("evaluate", candidates=500)
    project.evaluate()
    assert tree(victim) == before


def test_a_mark_is_all_that_is_left_in_a_project(kept_copy):
    Project.open(kept_copy, {"evidence": {"examples": 4}}).name()
    hidden = [path.name for path in kept_copy.iterdir() if path.name.startswith(".")]
    assert hidden == []
    assert (kept_copy / "concepts" / MARK).is_file()
    assert json.loads((kept_copy / "concepts" / MANIFEST).read_text())["state"]["transactions"] > 0
