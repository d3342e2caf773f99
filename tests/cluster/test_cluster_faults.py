"""Kills, damage and full disks while shards are worked on: afterwards the same bytes as without any."""

from __future__ import annotations

import errno
import itertools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import small
from click.testing import CliRunner
from prepared import begun, faultless, made, toy_encoder  # noqa: F401 - fixtures

from unweave.cli import main
from unweave.cluster import gathering, store
from unweave.cluster.scratch import Scratch
from unweave.errors import BadData, CorruptArtifact, MissingArtifact


def same(one, other) -> bool:
    return small.contents(one.store) == small.contents(other.store)


def put_in_vain(monkeypatch, after: int, error: BaseException, times: int = 1) -> None:
    """Let the putting of files fail so many times, when so many were put."""
    done, failed, put = [], [], store._Folder.put

    def puts(self, name: str, source: Path) -> None:
        if len(done) == after and len(failed) < times:
            failed.append(name)
            raise error
        put(self, name, source)
        done.append(name)

    monkeypatch.setattr(store._Folder, "put", puts)


# --- killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 13, 14, 40, 61, 80, 100])
def test_killed_while_a_file_is_put_and_begun_again(faultless, begun, after, monkeypatch) -> None:
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        put_in_vain(patched, after, KeyboardInterrupt())
        small.make_all(begun.project, begun.files)
    small.make_all(begun.project, begun.files)
    assert same(begun, faultless)


def test_killed_while_an_artefact_is_replaced_and_asked_for_as_it_was(faultless, made, monkeypatch) -> None:
    # other settings, stopped in the middle of replacing a shard's index; then the first settings again
    (made.store / "statistics-dictionary.json").unlink()
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(type(made.project.sharded()), "_mean_latents", lambda *_: 3.25)
        put_in_vain(patched, 2, KeyboardInterrupt())
        made.project.index()
    made.project.index()
    assert same(made, faultless)


# --- damaged ----------------------------------------------------------------------------------------------------------


def ways(content: bytes) -> dict[str, bytes | None]:
    middle = len(content) // 2
    return {
        "flip": content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :] if content else b"x",
        "cut short": content[:middle],
        "take away": None,
    }


FILES = [
    "shards.json", "sources/000000.json", "statistics-dictionary.json", "dictionary/config.json",
    "dictionary/model.safetensors",
    *(f"shards/000001-000000/{name}" for name in (
        "corpus/config.json", "corpus/passages.jsonl", "queries/config.json", "embed.json",
        "embeddings/passages/config.json", "embeddings/passages/000000.npy", "encode.json", "latents/config.json",
        "latents/activations.npy", "index.json", "index/default/config.json", "codes/config.json",
    )),
    *(f"gathered/sample/shards/000001-000000/{name}" for name in ("corpus/config.json", "embeddings/000000.npy")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "how"), list(zip(FILES, itertools.cycle(["flip", "take away", "cut short"]), strict=False))
)
def test_what_was_damaged_is_found_and_made_again(faultless, made, file, how) -> None:
    content = ways((made.store / file).read_bytes())[how]
    if content is None:
        (made.store / file).unlink()
    else:
        (made.store / file).write_bytes(content)
    if file.startswith("gathered/"):  # which is read only where the sample is gathered anew
        shutil.rmtree(made.project.path / "sample" / "corpus")
    for _ in range(3):  # a person who does what errors say
        try:
            made.project.sharded().cut([str(made.files)])
            assert made.project.sharded().verify()
            small.make_all(made.project, made.files)
            break
        except (BadData, CorruptArtifact, MissingArtifact) as error:
            assert "unweave" in str(error)
    assert same(made, faultless)


def test_a_sample_is_not_taken_from_a_shard_twice(made, monkeypatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(store._Folder, "put", lambda *_: pytest.fail("a file is put"))
        shutil.rmtree(made.project.path / "sample" / "corpus")  # what was taken is still in the store
        sharded, settings = made.project.sharded(), made.project.settings
        rows = gathering.drawn(int(sharded.catalogue.first[-1]), settings.shards.sample, settings.fit.seed)
        sharded._gathered("sample", sharded.catalogue, rows, {})


def test_a_flipped_digit_in_what_was_taken_is_said_and_taken_anew(faultless, made) -> None:
    file = made.store / "gathered/sample/shards/000001-000000/embeddings/000000.npy"
    file.write_bytes(ways(file.read_bytes())["flip"])
    shutil.rmtree(made.project.path / "sample" / "corpus")
    with pytest.raises(CorruptArtifact, match="to have it taken anew, run: unweave fit"):
        made.project.fit()
    made.project.fit()
    assert same(made, faultless)


@pytest.mark.parametrize("name", ["index/default/config.json", "codes/config.json"])
def test_every_byte_is_read_by_verify(faultless, made, name) -> None:
    folder = (made.store / "shards/000001-000000" / name).parent
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        content = path.read_bytes()
        path.write_bytes(ways(content)["flip"])
        found = [one for one in made.project.verify() if one.state == "damaged"]
        assert len(found) == 1 and "unweave index build" in found[0].said
        made.project.index()
        assert path.read_bytes() == content and same(made, faultless)


@pytest.mark.parametrize("what", ["corpus/sums.npy", "corpus/passages.jsonl", "embeddings/000000.npy"])
def test_what_was_taken_is_read_by_verify_too(faultless, made, what) -> None:
    path = made.store / "gathered/sample/shards/000001-000000" / what
    path.write_bytes(ways(path.read_bytes())["flip"])
    (found,) = [one for one in made.project.verify() if one.state == "damaged"]
    assert found.artifact == f"gathered/sample/shards/000001-000000/{what.partition('/')[0]}"
    assert "to have it taken anew, run: unweave fit PROJECT" in found.said
    made.project.fit()
    assert same(made, faultless)
    assert {one.state for one in made.project.verify()} == {"whole"}


def test_a_stage_makes_again_what_it_finds_damaged(faultless, made) -> None:
    file = made.store / "shards/000001-000000/embeddings/passages/000000.npy"
    file.write_bytes(ways(file.read_bytes())["flip"])
    for name in ("latents/config.json", "encode.json"):
        (made.store / "shards/000001-000000" / name).unlink()
    made.project.fit()
    assert same(made, faultless)


def test_a_damaged_index_is_named_in_answers_until_it_is_made_again(faultless, made) -> None:
    file = made.store / "shards/000001-000000/index/default/config.json"
    file.write_bytes(b"")
    whole = faultless.project.sharded().search("moon sea", cutoff=20)
    found = made.project.sharded().search("moon sea", cutoff=20)
    assert list(found.missing) == ["000001-000000"] and "unweave index build" in found.missing["000001-000000"]
    assert {hit.passage.passage_id for hit in found.hits} < {hit.passage.passage_id for hit in whole.hits}
    made.project.index()
    found = made.project.sharded().search("moon sea", cutoff=20)
    assert not found.missing and [h.passage.passage_id for h in found.hits] == [
        h.passage.passage_id for h in whole.hits
    ]


# --- machines ---------------------------------------------------------------------------------------------------------


def test_what_a_full_disk_stopped_is_tried_again(faultless, begun, monkeypatch) -> None:
    with monkeypatch.context() as patched:
        put_in_vain(patched, 30, OSError(errno.ENOSPC, "No space left on device"), times=2)
        small.make_all(begun.project, begun.files)
    assert same(begun, faultless)


def test_a_disk_that_stays_full_is_said(begun, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store._Folder, "put", full)
    with pytest.raises(BadData, match=r"2 of 2 shards failed, first .*No space left on device.*run the same command"):
        begun.project.sharded().cut([str(begun.files)])


def test_the_folder_of_a_killed_process_is_taken_away_and_no_other(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "unweave-shard-somebodys").mkdir()  # without a lock: not known to be ours
    code = (
        "import os, signal, sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
        "from unweave.cluster.scratch import Scratch\n"
        "held = Scratch(); (held.path / 'large').write_bytes(bytes(1000)); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    assert killed.returncode == -9 and len(list(tmp_path.iterdir())) == 2
    with Scratch() as living:
        with Scratch() as other:
            assert {living, other, tmp_path / "unweave-shard-somebodys"} == set(tmp_path.iterdir())
        assert living.is_dir() and not other.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["unweave-shard-somebodys"]


def test_an_error_within_the_block_is_not_swallowed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(FileNotFoundError), Scratch() as folder:
        (folder / "nothing").read_bytes()
    assert not list(tmp_path.iterdir())


def test_verify_is_a_command(made) -> None:
    made.project.trust()
    done = CliRunner().invoke(main, ["verify", str(made.project.path)])
    assert done.exit_code == 0, done.output
    assert "shards/*/codes" in done.output
