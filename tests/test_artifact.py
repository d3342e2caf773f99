"""Artefacts: what a reader sees while one is made, and what is left when making it fails or is killed."""

import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from unweave.base.artifact import MARK, read_manifest, verify, write_manifest
from unweave.base.building import build
from unweave.base.files import write_atomically
from unweave.errors import ArtifactInUse, CorruptArtifact, MissingArtifact

KIND = "words"


def make(folder: Path, text: str, **settings) -> None:
    with build(folder, KIND, settings=settings, made_from={}) as made:
        (made.path / "words.txt").write_text(text)


def words(folder: Path) -> str:
    read_manifest(folder, KIND)
    return (folder / "words.txt").read_text()


def listing(folder: Path) -> list[str]:
    """All that is there, unweave's marks on its folders aside."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.name != MARK)


def run_python(script: str, *arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


# --- what an artefact is --------------------------------------------------------------------------


def test_the_manifest_says_what_the_artefact_is_and_what_it_was_made_from(tmp_path):
    with build(tmp_path / "a", KIND, settings={"pair": (1, 2)}, made_from={"corpus": "f00"}) as made:
        (made.path / "words.txt").write_text("abc")
        made.results["n_words"] = 1
    manifest = read_manifest(tmp_path / "a", KIND)
    assert (manifest.kind, manifest.settings, manifest.made_from) == (KIND, {"pair": [1, 2]}, {"corpus": "f00"})
    # SHA-256 of "abc", as FIPS 180-2 gives it in its first example.
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert manifest.files == {"words.txt": {"bytes": 3, "sha256": sha256}}
    assert (manifest.bytes, manifest.results) == (3, {"n_words": 1})
    assert listing(tmp_path) == ["a", "a/config.json", "a/words.txt"]


def test_the_fingerprint_changes_with_settings_sources_and_contents_and_with_nothing_else(tmp_path):
    def fingerprint(text="abc", source="f00", results=0, **settings):
        with build(tmp_path / "a", KIND, settings=settings, made_from={"corpus": source}) as made:
            (made.path / "words.txt").write_text(text)
            made.results["measured"] = results
        return read_manifest(tmp_path / "a", KIND).fingerprint

    first = fingerprint(k=1)
    assert fingerprint(k=1) == fingerprint(k=1, results=9) == first
    others = {fingerprint(k=2), fingerprint("abd", k=1), fingerprint(source="f01", k=1)}
    assert len(others - {first}) == 3


def test_a_file_that_people_may_edit_carries_no_checksum(tmp_path):
    with build(tmp_path / "a", KIND, settings={}, made_from={}, mutable=frozenset({"names.db"})) as made:
        (made.path / "words.txt").write_text("abc")
        (made.path / "names.db").write_text("before")
    (tmp_path / "a" / "names.db").write_text("after an edit")
    manifest = read_manifest(tmp_path / "a", KIND)
    verify(tmp_path / "a", manifest)
    assert list(manifest.files) == ["words.txt"]


# --- making one -----------------------------------------------------------------------------------


def test_readers_see_the_old_artefact_until_the_new_one_is_whole(tmp_path):
    make(tmp_path / "a", "old")
    with build(tmp_path / "a", KIND, settings={}, made_from={}) as made:
        (made.path / "words.txt").write_text("new")
        assert words(tmp_path / "a") == "old"
    assert words(tmp_path / "a") == "new"


def test_a_rebuild_leaves_no_file_of_the_old_artefact(tmp_path):
    with build(tmp_path / "a", KIND, settings={}, made_from={}) as made:
        (made.path / "shards").mkdir()
        (made.path / "shards" / "0.npy").write_text("old")
    make(tmp_path / "a", "new")
    assert listing(tmp_path) == ["a", "a/config.json", "a/words.txt"]


def test_a_failed_build_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), build(tmp_path / "a", KIND, settings={}, made_from={}) as made:
        (made.path / "words.txt").write_text("half")
        _ = 1 / 0
    assert listing(tmp_path) == []


def test_a_failed_build_keeps_the_old_artefact(tmp_path):
    make(tmp_path / "a", "old")
    with pytest.raises(ZeroDivisionError), build(tmp_path / "a", KIND, settings={}, made_from={}) as made:
        (made.path / "words.txt").write_text("half")
        _ = 1 / 0
    assert words(tmp_path / "a") == "old"
    assert listing(tmp_path) == ["a", "a/config.json", "a/words.txt"]


def test_a_failed_build_goes_on_from_what_was_checkpointed(tmp_path):
    with pytest.raises(ZeroDivisionError), build(tmp_path / "a", KIND, settings={}, made_from={}) as made:
        (made.path / "words.txt").write_text("checkpointed")
        made.checkpoint()
        _ = 1 / 0
    with build(tmp_path / "a", KIND, settings={}, made_from={}) as made:
        assert (made.path / "words.txt").read_text() == "checkpointed"
    assert listing(tmp_path) == ["a", "a/config.json", "a/words.txt"]


def test_two_builders_at_once_are_told_apart(tmp_path):
    script = """
        import sys
        from pathlib import Path
        from unweave.base.building import build
        with build(Path(sys.argv[1]), "words", settings={}, made_from={}) as made:
            (made.path / "words.txt").write_text("the first builder's")
            print("building", flush=True)
            sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "a")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "building\n"
        with pytest.raises(
            ArtifactInUse, match=r"python \(process \d+, since .*\) is writing .*/a; wait for it to end"
        ):
            make(tmp_path / "a", "the second builder's")
        first.stdin.close()
        assert first.wait(timeout=60) == 0
    assert words(tmp_path / "a") == "the first builder's"
    assert listing(tmp_path) == ["a", "a/config.json", "a/words.txt"]


# --- kill -9 --------------------------------------------------------------------------------------

KILLED_BUILD = """
    import os, signal, sys, time
    from pathlib import Path
    from unweave.base.building import build
    from unweave.base.files import write_atomically

    def die(path):
        path.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)

    with build(Path(sys.argv[1]), "words", settings={"k": 1}, made_from={}) as made:
        (made.path / "words.txt").write_text("new")
        time.sleep(0.05)
        made.checkpoint()
        write_atomically(made.path / "more.txt", die)
"""


def test_a_killed_build_keeps_the_old_artefact_and_goes_on_at_its_checkpoint(tmp_path):
    make(tmp_path / "a", "old")
    assert run_python(KILLED_BUILD, tmp_path / "a").returncode == -signal.SIGKILL
    assert words(tmp_path / "a") == "old"
    with build(tmp_path / "a", KIND, settings={"k": 1}, made_from={}) as made:
        assert (made.path / "words.txt").read_text() == "new"  # no need to write it again
        assert not list(made.path.glob("more.txt*"))  # what was being written when it died is gone
    assert words(tmp_path / "a") == "new"
    assert read_manifest(tmp_path / "a", KIND).seconds >= 0.05  # the killed run's time counts
    assert listing(tmp_path) == ["a", "a/config.json", "a/words.txt"]


def test_a_killed_build_of_other_settings_is_discarded(tmp_path):
    assert run_python(KILLED_BUILD, tmp_path / "a").returncode == -signal.SIGKILL
    with build(tmp_path / "a", KIND, settings={"k": 2}, made_from={}) as made:
        assert not (made.path / "words.txt").exists()
        (made.path / "other.txt").write_text("abc")
    assert listing(tmp_path) == ["a", "a/config.json", "a/other.txt"]


def test_a_kill_between_the_two_renames_of_the_swap_loses_nothing(tmp_path):
    make(tmp_path / "a", "old")
    killed = run_python(
        """
        import os, signal, sys
        from pathlib import Path
        from unweave.base.building import build

        def die_at_the_second(event, arguments):  # Python announces every rename; the first is a -> .a.unweave-old
            if event == "os.rename" and str(arguments[0]).endswith("a.unweave-build"):
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(die_at_the_second)
        with build(Path(sys.argv[1]), "words", settings={}, made_from={}) as made:
            (made.path / "words.txt").write_text("new")
        """,
        tmp_path / "a",
    )
    assert killed.returncode == -signal.SIGKILL
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.unweave-build", ".a.unweave-lock", ".a.unweave-old"]
    assert words(tmp_path / "a") == "old"
    make(tmp_path / "a", "newer")
    assert words(tmp_path / "a") == "newer"
    assert listing(tmp_path) == ["a", "a/config.json", "a/words.txt"]


# --- damage ---------------------------------------------------------------------------------------


def test_a_truncated_file_is_named_with_both_sizes(tmp_path):
    make(tmp_path / "a", "abcde")
    (tmp_path / "a" / "words.txt").write_text("abc")
    with pytest.raises(CorruptArtifact, match=r"words\.txt has 3 bytes, expected 5: .* rebuild the words"):
        read_manifest(tmp_path / "a", KIND)


def test_a_missing_file_is_named(tmp_path):
    make(tmp_path / "a", "abcde")
    (tmp_path / "a" / "words.txt").unlink()
    with pytest.raises(CorruptArtifact, match=r"words\.txt is missing"):
        read_manifest(tmp_path / "a", KIND)


def test_a_flipped_bit_is_found_by_its_checksum(tmp_path):
    make(tmp_path / "a", "abcde")
    manifest = read_manifest(tmp_path / "a", KIND)
    verify(tmp_path / "a", manifest)
    (tmp_path / "a" / "words.txt").write_text("abcdd")  # "d" and "e" differ in one bit
    assert read_manifest(tmp_path / "a", KIND) == manifest  # opening compares sizes only
    with pytest.raises(CorruptArtifact, match=r"words\.txt does not match its checksum"):
        verify(tmp_path / "a", manifest)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"kind": "words"}', '{"kind": 1, "surprise": 2}', "\xff"])
def test_a_damaged_manifest_is_refused(tmp_path, text):
    make(tmp_path / "a", "abc")
    (tmp_path / "a" / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(CorruptArtifact, match=r"config\.json is not a manifest of unweave"):
        read_manifest(tmp_path / "a", KIND)


@pytest.mark.parametrize(("changed", "said"), [({"kind": "corpus"}, "holds a corpus"), ({"format": 2}, "of format 2")])
def test_an_artefact_of_another_kind_or_format_is_refused(tmp_path, changed, said):
    make(tmp_path / "a", "abc")
    write_manifest(tmp_path / "a", replace(read_manifest(tmp_path / "a", "words"), **changed))
    with pytest.raises(CorruptArtifact, match=f"{said}.* not a words of format 1"):
        read_manifest(tmp_path / "a", KIND)


def test_a_folder_that_is_not_there_is_missing_not_corrupt(tmp_path):
    with pytest.raises(MissingArtifact, match="there is no words in"):
        read_manifest(tmp_path / "a", KIND)


# --- a full disk ----------------------------------------------------------------------------------


def test_write_atomically_on_a_full_disk_leaves_the_file_as_it_was(small_disk):
    path = small_disk / "settings.txt"
    path.write_text("old")
    with pytest.raises(OSError, match=r"No space left|File too large"):
        write_atomically(path, lambda p: p.write_text("x" * 100_000))
    assert path.read_text() == "old"
    assert listing(small_disk) == ["settings.txt"]


def test_a_build_on_a_full_disk_keeps_the_old_artefact_and_can_be_run_again(small_disk):
    make(small_disk / "a", "old")
    with pytest.raises(OSError, match=r"No space left|File too large"):
        make(small_disk / "a", "x" * 100_000)
    assert words(small_disk / "a") == "old"
    make(small_disk / "a", "smaller")
    assert words(small_disk / "a") == "smaller"
    assert listing(small_disk) == ["a", "a/config.json", "a/words.txt"]
