"""Embeddings and latents on disk, embeddings brought from elsewhere, and what names an encoder."""

import hashlib
import io
import os
import pickle
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from conftest import save_latents
from unweave.base.artifact import read_manifest
from unweave.base.records import Passage, Query
from unweave.config import PRECOMPUTED, EncoderConfig
from unweave.encode import embeddings as module
from unweave.encode.embeddings import Embeddings, digests_of
from unweave.encode.encoder import Remembering
from unweave.encode.encoders import NoEncoder, SentenceTransformerEncoder, open_encoder
from unweave.errors import BadData, CorruptArtifact, UnweaveError
from unweave.project import Project
from unweave.sae import latents
from unweave.sae.latents import load_latents, write_latents
from unweave.stages.embed import bring_embeddings
from unweave.texts.collection import Collection

# Ten rows of two; with four rows a shard they lie in shards of 4, 4 and 2.
ROWS = np.arange(1, 21, dtype=np.float32).reshape(10, 2)


@pytest.fixture(scope="module", autouse=True)
def four_rows_a_shard():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SHARD_ROWS", 4)
        yield


@pytest.fixture(scope="module")
def ten_rows(tmp_path_factory, four_rows_a_shard) -> Embeddings:
    return write(tmp_path_factory.mktemp("embeddings") / "e", ROWS)


def write(folder, rows) -> Embeddings:
    return Embeddings.write(
        folder, numbered(len(rows)), rows.__getitem__, label="embedding passages", settings={}, made_from={}
    )


def numbered(n: int) -> np.ndarray:
    """Digests of n texts, none twice."""
    return np.arange(n, dtype=np.uint64)


def replaced(position: int, row) -> np.ndarray:
    rows = ROWS.copy()
    rows[position] = row
    return rows


# --- reading what was written ---------------------------------------------------------------------


def test_rows_go_to_shards_that_numpy_can_open(ten_rows):
    shards = [np.load(path) for path in sorted(ten_rows.folder.glob("0*.npy"))]
    assert [shard.shape for shard in shards] == [(4, 2), (4, 2), (2, 2)]
    np.testing.assert_array_equal(np.concatenate(shards), ROWS)


def test_loaded_embeddings_are_those_that_were_written(ten_rows):
    loaded = Embeddings.load(str(ten_rows.folder))
    assert (len(loaded), loaded.d_in, loaded.rows().dtype) == (10, 2, np.float32)
    np.testing.assert_array_equal(loaded.rows(), ROWS)


@given(start=st.integers(0, 12), end=st.none() | st.integers(0, 12))
def test_rows_equal_a_slice_of_the_array(ten_rows, start, end):
    np.testing.assert_array_equal(ten_rows.rows(start, end), ROWS[start:end])


@given(positions=st.lists(st.integers(0, 9)))
def test_taken_rows_come_in_the_order_asked_with_repeats(ten_rows, positions):
    np.testing.assert_array_equal(ten_rows.take(positions), ROWS[np.array(positions, dtype=int)])


@given(size=st.integers(1, 12))
def test_batches_are_full_but_for_the_last_and_hold_all_rows_in_order(ten_rows, size):
    batches = list(ten_rows.batches(size))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    np.testing.assert_array_equal(np.concatenate(batches), ROWS)


def test_a_position_past_the_end_is_an_error(ten_rows):
    with pytest.raises(IndexError):
        ten_rows.take([10])


def test_half_precision_comes_back_in_single_precision(tmp_path):
    stored = write(tmp_path / "e", ROWS.astype(np.float16)).rows()
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(stored, ROWS)


def test_no_texts_have_no_rows(tmp_path):
    nothing = write(tmp_path / "e", ROWS[:0])
    assert (len(nothing), list(nothing.batches())) == (0, [])
    assert nothing.rows().shape == nothing.take([]).shape == (0, 0)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ([np.nan, 1], "holds NaN or infinite values"),
        ([1, np.inf], "holds NaN or infinite values"),
        ([0, 0], "is a zero vector, which has no direction"),
    ],
)
@pytest.mark.parametrize("position", [0, 3, 5, 9])
def test_an_unusable_vector_is_named_by_its_row(tmp_path, position, row, said):
    with pytest.raises(BadData, match=f"embedding passages: row {position} {said}"):
        write(tmp_path / "e", replaced(position, row))
    assert not (tmp_path / "e").exists()


def test_the_first_of_several_unusable_vectors_is_named(tmp_path):
    with pytest.raises(BadData, match="row 1 holds NaN"):
        write(tmp_path / "e", np.array([[1, 1], [np.nan, 1], [1, 1], [1, np.nan]]))


def test_an_unusable_vector_in_the_first_shard_leaves_nothing(tmp_path):
    with pytest.raises(BadData):
        write(tmp_path / "e", replaced(2, np.nan))
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_shard_is_named(tmp_path):
    folder = write(tmp_path / "e", ROWS).folder
    whole = (folder / "000001.npy").stat().st_size
    os.truncate(folder / "000001.npy", whole - 1)
    with pytest.raises(CorruptArtifact, match=rf"000001\.npy has {whole - 1} bytes, expected {whole}"):
        Embeddings.load(folder)


def test_a_shard_that_is_not_an_array_is_refused(tmp_path, tamper):
    folder = write(tmp_path / "e", ROWS).folder
    tamper(folder / "000001.npy", pickle.dumps(["no array"]))
    with pytest.raises(CorruptArtifact, match="is not a whole array"):
        Embeddings.load(folder)


# --- kill -9 --------------------------------------------------------------------------------------


def test_a_killed_run_embeds_only_the_shards_that_are_missing(tmp_path):
    # Ten texts in shards of four; the first run dies while it embeds texts 8 and 9.
    script = """
        import os, signal, sys
        from pathlib import Path
        import numpy as np
        from unweave.encode import embeddings

        embeddings.SHARD_ROWS = 4
        folder, last_start = Path(sys.argv[1]), int(sys.argv[2])

        def rows(at):
            print(at[0], at[-1] + 1, flush=True)
            if at[0] > last_start:
                os.kill(os.getpid(), signal.SIGKILL)
            return np.stack([2 * at + 1, 2 * at + 2], axis=1)

        digests = np.arange(10, dtype=np.uint64)
        embeddings.Embeddings.write(folder, digests, rows, label="", settings={}, made_from={})
    """

    def run(last_start: int) -> tuple[int, list[str]]:
        command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "e"), str(last_start)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60)
        return done.returncode, done.stdout.splitlines()

    assert run(last_start=4) == (-signal.SIGKILL, ["0 4", "4 8", "8 10"])
    assert run(last_start=10) == (0, ["8 10"])
    np.testing.assert_array_equal(Embeddings.load(tmp_path / "e").rows(), ROWS)
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


# --- texts that were embedded before ---------------------------------------------------------------


def by_number(asked: list[int]):
    """Text number i has the row (i + 1, -i); what is made is noted."""

    def rows(at):
        asked.extend(at.tolist())
        return np.stack([at + 1, -at], axis=1).astype(np.float32)

    return rows


@given(before=st.lists(st.integers(0, 15), max_size=14), now=st.lists(st.integers(0, 15), max_size=14))
def test_only_texts_that_are_not_known_are_embedded_and_each_has_its_own_row(tmp_path_factory, before, now):
    folder = tmp_path_factory.mktemp("e")
    known_rows = np.stack([np.array(before) + 1, np.array(before) * 10.0], axis=1) if before else np.ones((0, 2))
    of = {"label": "", "settings": {}, "made_from": {}}
    known = Embeddings.write(folder / "old", np.array(before, np.uint64), known_rows.__getitem__, **of)
    asked: list[int] = []
    rows = by_number(asked)
    texts = np.array(now, np.uint64)
    written = Embeddings.write(folder / "new", texts, lambda at: rows(texts[at].astype(np.int64)), known=known, **of)
    assert sorted(asked) == sorted(text for text in now if text not in before)
    expected = [[text + 1, text * 10.0 if text in before else -text] for text in now]
    np.testing.assert_array_equal(written.rows(), np.array(expected, np.float32).reshape(len(now), written.d_in))
    assert written.manifest.results == {"kept": len(now) - len(asked), "new": len(asked)}


def test_an_encoder_of_another_width_under_the_same_name_is_noticed(tmp_path, ten_rows):
    with pytest.raises(BadData, match="gave rows 3 wide, but 2 wide before"):
        Embeddings.write(
            tmp_path / "e", np.array([3, 99], np.uint64), lambda at: np.ones((len(at), 3)), label="", settings={},
            made_from={}, known=ten_rows,
        )  # fmt: skip


def test_a_text_has_the_digest_of_its_bytes_in_utf_8():
    # blake2b("a", digest_size=8) read from its last byte to its first; a lone surrogate is stored, and read, as "?".
    assert digests_of(["a", "b"]).tolist() != digests_of(["b", "a"]).tolist()
    assert digests_of(["a"])[0] == int.from_bytes(hashlib.blake2b(b"a", digest_size=8).digest(), "little")
    assert digests_of(["\ud800"])[0] == digests_of(["?"])[0]


# --- embeddings brought from elsewhere ------------------------------------------------------------

PASSAGE_ROWS = np.array([[1, 0], [0, 2], [3, 3]], dtype=np.float32)  # of passages a, b and "c d"


@pytest.fixture
def project(tmp_path) -> Project:
    passages = [Passage(name, "", f"text of {name}") for name in ("a", "b", "c d")]
    queries = [Query("q1", "one?"), Query("q2", "two?")]
    return Project.create(tmp_path / "project", Collection(passages=passages, queries=queries))


@pytest.fixture
def bring(project, tmp_path):
    """Bring an array, or the bytes of a file, and give the project's embeddings."""

    def bring(array, ids=None, of="passages"):
        file, id_file = tmp_path / "vectors.npy", tmp_path / "ids.txt"
        file.write_bytes(array) if isinstance(array, bytes) else np.save(file, array)
        if ids is not None:
            id_file.write_text("".join(f"{name}\n" for name in ids))
        bring_embeddings(project, of, file, None if ids is None else id_file)
        return project.embeddings(of).rows()

    return bring


@pytest.mark.parametrize("dtype", ["<f4", "<f2", "<f8", ">f4"])
def test_brought_embeddings_without_ids_are_in_the_projects_order(bring, dtype):
    np.testing.assert_array_equal(bring(PASSAGE_ROWS.astype(dtype)), PASSAGE_ROWS)


def test_brought_embeddings_with_ids_may_come_in_any_order(bring):
    np.testing.assert_array_equal(bring(PASSAGE_ROWS[[2, 0, 1]], ids=["c d", "a", "b"]), PASSAGE_ROWS)


def test_brought_embeddings_of_other_texts_are_left_out(bring):
    more = np.concatenate([[[9, 9]], PASSAGE_ROWS, [[8, 8]]])
    np.testing.assert_array_equal(bring(more, ids=["z", "a", "b", "c d", "y"]), PASSAGE_ROWS)


def test_brought_queries_go_by_the_ids_of_queries(bring):
    np.testing.assert_array_equal(bring(PASSAGE_ROWS[:2], ids=["q2", "q1"], of="queries"), PASSAGE_ROWS[[1, 0]])


def test_brought_embeddings_fill_several_shards_in_the_order_of_their_ids(tmp_path):
    names = [f"p{i}" for i in range(10)]
    texts = Collection(passages=[Passage(name, "", name) for name in names])
    np.save(tmp_path / "reversed.npy", ROWS[::-1])
    (tmp_path / "ids.txt").write_text("\n".join(reversed(names)))
    project = Project.create(tmp_path / "project", texts)
    bring_embeddings(project, "passages", tmp_path / "reversed.npy", tmp_path / "ids.txt")
    np.testing.assert_array_equal(project.embeddings("passages").rows(), ROWS)


@pytest.mark.parametrize(
    ("array", "ids", "said"),
    [
        (PASSAGE_ROWS[:2], None, r"has 2 rows, but the project has 3 passages; give their ids too"),
        (ROWS, None, r"has 10 rows, but the project has 3 passages"),
        (PASSAGE_ROWS, ["a", "b", "z"], r"1 of the project's passages have no embedding, first 'c d'"),
        (PASSAGE_ROWS, ["a", "b", "a"], r"1 id\(s\) occur more than once"),
        (PASSAGE_ROWS[:2], ["a", "b", "c d"], r"3 ids, but the embeddings have 2 rows"),
        (PASSAGE_ROWS[0], None, r"expected floats of shape \(n, d_in\), got float32 of shape \(2,\)"),
        (PASSAGE_ROWS.astype(int), None, r"expected floats of shape \(n, d_in\), got int64 of shape \(3, 2\)"),
        (PASSAGE_ROWS.astype(object), None, r"vectors\.npy: not a whole \.npy array .*Python objects"),
        (b"", None, r"vectors\.npy: not a whole \.npy array"),
        (b"no array at all", None, r"vectors\.npy: not a whole \.npy array"),
        (PASSAGE_ROWS * [[1], [np.nan], [1]], None, r"reading passages from vectors\.npy: row 1 holds NaN"),
        (PASSAGE_ROWS * [[1], [1], [0]], None, r"reading passages from vectors\.npy: row 2 is a zero vector"),
    ],
)
def test_brought_embeddings_that_do_not_fit_are_refused_and_nothing_is_left(project, bring, array, ids, said):
    with pytest.raises(BadData, match=said):
        bring(array, ids)
    assert not list((project.path / "embeddings").glob("*"))


def test_a_truncated_array_is_refused(bring, tmp_path):
    np.save(tmp_path / "whole.npy", PASSAGE_ROWS)
    with pytest.raises(BadData, match=r"vectors\.npy: not a whole \.npy array"):
        bring((tmp_path / "whole.npy").read_bytes()[:-1])


class RunsWhenUnpickled:
    def __reduce__(self):
        return os.mkdir, (self.trap,)

    def __init__(self, trap: str) -> None:
        self.trap = trap


def test_nothing_that_a_brought_file_holds_is_run(bring, tmp_path):
    trap = RunsWhenUnpickled(str(tmp_path / "trap"))
    with pytest.raises(BadData, match=r"vectors\.npy: not a whole \.npy array"):
        bring(pickle.dumps(trap))
    with pytest.raises(BadData, match=r"vectors\.npy: not a whole \.npy array"):
        bring(np.array([[trap]], dtype=object))
    assert not (tmp_path / "trap").exists()


# --- latents --------------------------------------------------------------------------------------

# The second text activates nothing, and nothing activates latent 1.
LATENTS = csr_array(np.array([[0, 0, 2.5, 1], [0, 0, 0, 0], [0.5, 0, 0, 3]], dtype=np.float32))


@pytest.mark.parametrize("latents", [LATENTS, csr_array((3, 4), dtype=np.float32), csr_array((0, 4), dtype=np.float32)])
def test_latents_come_back_as_they_were_written(tmp_path, latents):
    save_latents(tmp_path / "l", latents)
    loaded = load_latents(tmp_path / "l")
    assert (loaded.shape, loaded.dtype, loaded.nnz) == (latents.shape, np.float32, latents.nnz)
    np.testing.assert_array_equal(loaded.toarray(), latents.toarray())


def test_latents_that_a_killed_run_found_are_not_looked_for_again(tmp_path, monkeypatch):
    monkeypatch.setattr("unweave.sae.latents._TEXTS_AT_ONCE", 1)
    asked = []

    def latents_of(start, end, *, broken):
        asked.append(start)
        if start == broken:
            raise KeyboardInterrupt
        return LATENTS[start:end]

    made = {"label": "", "settings": {"n_latents": 4}, "made_from": {}}
    with pytest.raises(KeyboardInterrupt):
        write_latents(tmp_path / "l", 3, lambda a, b: latents_of(a, b, broken=2), **made)
    write_latents(tmp_path / "l", 3, lambda a, b: latents_of(a, b, broken=None), **made)
    assert asked == [0, 1, 2, 2]
    np.testing.assert_array_equal(load_latents(tmp_path / "l").toarray(), LATENTS.toarray())
    assert sorted(p.name for p in (tmp_path / "l").glob("*.np*")) == [
        "activations.npy", "latents.npy", "offsets.npy", "sums.npy",
    ]  # fmt: skip


def test_latents_are_described_by_their_mean_number(tmp_path):
    save_latents(tmp_path / "l", LATENTS)
    results = read_manifest(tmp_path / "l", "latents").results
    assert results == {"n_texts": 3, "l0": 4 / 3}


@pytest.mark.parametrize(("name", "change"), [("latents.npy", 2), ("latents.npy", -4), ("offsets.npy", 1)])
def test_latents_whose_arrays_do_not_fit_together_are_refused(tmp_path, tamper, name, change):
    # Latent 3 + 2 is none of four, and latent 3 - 4 none at all; 4 + 1 is not the number of activations.
    save_latents(tmp_path / "l", LATENTS)
    stored = np.load(tmp_path / "l" / name)
    file = io.BytesIO()
    np.save(file, stored + stored.dtype.type(change))
    tamper(tmp_path / "l" / name, file.getvalue(), latents._FILES)
    with pytest.raises(CorruptArtifact, match="its three arrays do not fit together"):
        load_latents(tmp_path / "l")


# --- what names an encoder ------------------------------------------------------------------------


@pytest.fixture
def model_folder(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"abc")
    return tmp_path / "model"


def identity(model, **settings) -> dict:
    return SentenceTransformerEncoder(EncoderConfig(model=str(model), **{"precision": "float32"} | settings)).identity


def test_a_local_encoder_is_named_by_its_folder_its_weights_and_its_prefixes(model_folder, monkeypatch):
    # SHA-256 of "abc", as FIPS 180-2 gives it in its first example.
    weights = "sha256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    prefixes = {"query_prefix": "query: ", "passage_prefix": ""}
    expected = {"model": str(model_folder), "weights": weights, "normalize": True, **prefixes}
    assert identity(model_folder, query_prefix="query: ") == expected
    monkeypatch.chdir(model_folder.parent)
    assert identity("model", query_prefix="query: ") == expected


def test_what_only_changes_speed_does_not_name_an_encoder(model_folder):
    assert identity(model_folder, device="cuda", batch_size=64) == identity(model_folder)


@pytest.mark.parametrize("settings", [{"query_prefix": "q: "}, {"passage_prefix": "p: "}, {"normalize": False}])
def test_what_changes_embeddings_names_another_encoder(model_folder, settings):
    assert identity(model_folder, **settings) != identity(model_folder)


def test_other_weights_in_the_same_folder_are_another_encoder(model_folder):
    before = identity(model_folder)
    (model_folder / "model.safetensors").write_bytes(b"abd")
    assert identity(model_folder) != before


def test_a_project_with_brought_embeddings_embeds_no_text():
    encoder = open_encoder(EncoderConfig(model=PRECOMPUTED))
    assert isinstance(encoder, NoEncoder)
    for encode in (encoder.encode_queries, encoder.encode_passages):
        with pytest.raises(UnweaveError, match=r"not known what made them.* --query-id or --query-vector"):
            encode(["a text"])


def test_naming_an_encoder_loads_nothing():
    script = (
        "import sys, unweave.encode.encoders as e; e.open_encoder(e.EncoderConfig()); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"


def test_a_remembering_encoder_embeds_each_text_once_and_keeps_the_order():
    asked = []

    class Counting:
        identity = {"model": "counting"}  # noqa: RUF012

        def encode_queries(self, texts):
            return self.encode_passages(texts)

        def encode_passages(self, texts):
            asked.extend(texts)
            return np.array([[len(text)] for text in texts], np.float32)

    encoder = Remembering(Counting())
    assert encoder.encode_passages(["a", "bb", "a"]).ravel().tolist() == [1, 2, 1]
    assert encoder.encode_passages(["ccc", "bb"]).ravel().tolist() == [3, 2]
    assert asked == ["a", "bb", "ccc"]
    assert encoder.identity == {"model": "counting"}
