"""Which concepts return: what another run found again, how it is kept, and where it is shown."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.numpy import load_file, save
from scipy.sparse import csr_array

import unweave as uw
from unweave import report
from unweave.base.artifact import MANIFEST, Manifest, write_manifest
from unweave.base.building import build
from unweave.base.contributions import contributions
from unweave.base.records import RETURNS, Contribution, Explanation, Hit, Part, Trust, marks
from unweave.cli import main, show
from unweave.concepts import store
from unweave.concepts.concept import Related
from unweave.concepts.relations.prevalent import Prevalent, prevalent_latents
from unweave.concepts.relations.stored import FAMILY
from unweave.config import SAEConfig, TrainConfig
from unweave.errors import BadData, CorruptArtifact
from unweave.project import Project
from unweave.sae.agreement import returning, with_twin
from unweave.sae.formats import export_sae, import_sae
from unweave.sae.given import fingerprint, joined
from unweave.sae.hub import model_card
from unweave.sae.model import RETURNING, SAE, WEIGHTS
from unweave.sae.training import run, twin
from unweave.sae.training.run import run_training
from unweave.sae.training.twin import run_with_twin

SMALL = SAEConfig(d_in=16, n_latents=32, k=2)
SHORT = TrainConfig(steps=60, batch_size=64, lr=1e-2)
EVERY_AXIS = np.eye(3, dtype=np.float32)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Steps this small take ten times as long when threads wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def by_axes(rows: Any) -> SAE:
    """An SAE of these directions on three dimensions, that reads what it writes, from .1 on."""
    directions = np.array(rows, np.float32)
    n = len(directions)
    return SAE(
        SAEConfig(d_in=3, n_latents=n, k=1), directions, np.zeros(n, np.float32), directions, np.zeros(3, np.float32),
        np.array([0.1], np.float32),
    )  # fmt: skip


# --- the agreement with a twin ---------------------------------------------------------------------


def test_the_agreement_with_a_twin_by_hand():
    # The twin has the first two axes in another order; its third direction has a cosine of .8 with the third axis.
    first = by_axes(EVERY_AXIS)
    found = with_twin(first, by_axes([[0, 1, 0], [1, 0, 0], [0.6, 0, 0.8]]), EVERY_AXIS)
    np.testing.assert_allclose(found, [1, 1, 0.8], atol=1e-6)
    assert replace(first, twin=found).returns == {0: True, 1: True, 2: False}


def test_the_lower_of_both_cosines_counts():
    other = by_axes(EVERY_AXIS)
    reads_otherwise = replace(other, W_enc=np.array([[1, 0, 0], [0, 1, 0], [0, 0.8, 0.6]], np.float32))
    np.testing.assert_allclose(with_twin(other, reads_otherwise, EVERY_AXIS), [1, 1, 0.6], atol=1e-6)


def test_a_latent_that_no_text_activates_is_not_known_and_one_without_a_partner_does_not_return():
    # No text lies along the third axis; of the twin only the first direction is ever active, and it is the first axis.
    texts = EVERY_AXIS[:2]
    found = with_twin(by_axes(EVERY_AXIS), by_axes([[1, 0, 0], [0, 0, -1]]), texts)
    np.testing.assert_array_equal(found, np.float32([1, 0, np.nan]))
    assert replace(by_axes(EVERY_AXIS), twin=found).returns == {0: True, 1: False}


def test_a_twin_that_is_silent_found_nothing_again():
    found = with_twin(by_axes(EVERY_AXIS), by_axes(-EVERY_AXIS), EVERY_AXIS)
    np.testing.assert_array_equal(found, np.float32([0, 0, 0]))


def test_latents_of_a_given_dictionary_are_not_matched():
    # Behind the given first axis each has one of its own; the given ones are the same in both, which says nothing.
    one, other = by_axes([[1, 0, 0], [0, 1, 0]]), by_axes([[1, 0, 0], [0, 0.8, 0.6]])
    np.testing.assert_allclose(with_twin(one, other, EVERY_AXIS, first=1), [np.nan, 0.8], atol=1e-6)


def test_a_latent_returns_from_the_threshold_on():
    below = np.nextafter(np.float32(RETURNING), np.float32(0))
    above = np.nextafter(np.float32(RETURNING), np.float32(1))
    assert replace(by_axes(EVERY_AXIS), twin=np.float32([above, below, np.nan])).returns == {0: True, 1: False}
    assert by_axes(EVERY_AXIS).returns == {}


def test_how_much_of_the_texts_returning_latents_make_up_by_hand():
    # Of the texts (3, 1, 0) and (0, 2, 0): the first axis adds 3 * 3 = 9, the second 1 + 4 = 5 of 14.
    sae = replace(by_axes(EVERY_AXIS), twin=np.float32([1, 0.5, np.nan]))
    found = returning(sae, np.float32([[3, 1, 0], [0, 2, 0]]))
    assert (found.known, found.latents, found.contribution) == (2, 1, pytest.approx(9 / 14))


# --- kept with the weights -------------------------------------------------------------------------


@pytest.fixture
def marked() -> SAE:
    return replace(by_axes(EVERY_AXIS), twin=np.float32([0.95, 0.5, np.nan]))


def test_it_is_kept_and_read_with_the_weights(marked, tmp_path):
    marked.save(tmp_path / "sae")
    np.testing.assert_array_equal(SAE.load(tmp_path / "sae").twin, marked.twin)
    np.testing.assert_array_equal(uw.from_pretrained(tmp_path / "sae").sae.twin, marked.twin)
    marked.write_weights(tmp_path / "half", half=True)
    np.testing.assert_array_equal(load_file(tmp_path / "half")["twin"], marked.twin)  # as it is, in single precision
    replace(marked, twin=None).save(tmp_path / "without")
    assert SAE.load(tmp_path / "without").twin is None
    assert "twin" not in load_file(tmp_path / "without" / WEIGHTS)


@pytest.mark.parametrize(
    "value",
    [
        np.float32([1, 1]), np.float32([[1], [1], [1]]), np.float64([1, 1, 1]), np.float32([1, 1, 1.01]),
        np.float32([-2, 0, 0]), np.float32([np.inf, 0, 0]), np.array([1, 1, 1], np.int64), np.float32(1),
    ],
    ids=["short", "matrix", "double", "above 1", "below -1", "infinite", "whole numbers", "one number"],
)  # fmt: skip
def test_what_is_no_agreement_of_each_latent_is_refused(marked, tmp_path, tamper, value):
    marked.save(tmp_path / "sae")
    tensors = load_file(tmp_path / "sae" / WEIGHTS)
    tamper(tmp_path / "sae" / WEIGHTS, save({**tensors, "twin": np.asarray(value)}))
    with pytest.raises(
        CorruptArtifact, match=rf"{WEIGHTS}: twin is .*; expected a cosine or NaN of each of the 3 latents"
    ):
        SAE.load(tmp_path / "sae")


def test_it_is_no_part_of_what_an_sae_computes(marked):
    assert fingerprint(marked) == fingerprint(replace(marked, twin=None))


def test_joined_dictionaries_keep_what_is_known_of_each(marked):
    own = by_axes([[0, 0.6, 0.8]])
    np.testing.assert_array_equal(joined(marked, own).twin, np.float32([0.95, 0.5, np.nan, np.nan]))
    known = replace(own, twin=np.float32([0.99]))
    np.testing.assert_array_equal(joined(replace(marked, twin=None), known).twin, np.float32([np.nan] * 3 + [0.99]))
    assert joined(replace(marked, twin=None), own).twin is None


def test_other_tools_have_no_place_for_it_and_that_is_said(marked, tmp_path, caplog):
    export_sae(marked, tmp_path / "theirs", "saelens")
    assert "saelens has no place for which latents another run found again" in caplog.text
    assert import_sae(tmp_path / "theirs").twin is None
    caplog.clear()
    export_sae(replace(marked, twin=None), tmp_path / "plain", "saelens")
    assert not caplog.text


def test_the_model_card_says_how_many_return(marked, tmp_path):
    marked.save(tmp_path / "sae")
    assert "from another seed, found again (agreement of 0.93 at least) | 1 of 2 |" in model_card(tmp_path / "sae")
    replace(marked, twin=None).save(tmp_path / "without")
    assert "second run" not in model_card(tmp_path / "without")


# --- the second run --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def texts(sparse_data):
    return sparse_data(n=1200).embeddings


@pytest.fixture(scope="module")
def with_a_twin(texts):
    return run_with_twin(texts[:1000], texts[1000:], SMALL, SHORT)


def assert_same(a: Any, b: Any) -> None:
    for name in ("W_enc", "b_enc", "W_dec", "b_pre", "threshold", "twin"):
        np.testing.assert_array_equal(getattr(a.sae, name), getattr(b.sae, name), err_msg=name)
    assert a.history == b.history


def test_the_first_run_is_as_without_a_twin_bit_for_bit(texts, with_a_twin):
    alone = run_training(texts[:1000], texts[1000:], SMALL, SHORT)
    assert alone.sae.twin is None
    assert_same(with_a_twin._replace(sae=replace(with_a_twin.sae, twin=None)), alone)


def test_the_agreement_is_with_a_run_from_another_seed(texts, with_a_twin):
    other = run_training(texts[:1000], texts[1000:], SMALL, replace(SHORT, seed=1 << 20)).sae
    np.testing.assert_array_equal(with_a_twin.sae.twin, with_twin(with_a_twin.sae, other, texts[:1000]))


def test_latents_that_found_what_the_texts_are_made_of_return(sparse_data):
    # Every text is the sum of two of twenty directions; twenty-four latents have to find them, and some find mixtures.
    data = sparse_data(n=3000, active=2)
    sae = uw.train(data.embeddings, 2, n_latents=24, steps=800, batch_size=256, twin=True)
    nearest = (sae.W_dec @ data.dictionary.T).max(axis=1)
    returns = np.array([sae.returns.get(latent, False) for latent in range(24)])
    assert returns.sum() >= 8
    assert (nearest[returns] > 0.9).mean() > 0.9
    assert (nearest[~returns] > 0.9).mean() < 0.7


def test_a_kill_during_the_second_run_loses_nothing(texts, with_a_twin, tmp_path, monkeypatch):
    np.save(tmp_path / "texts.npy", texts)
    killed = subprocess.run([sys.executable, "-c", _KILLED_IN_THE_TWIN, str(tmp_path)], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    place = tmp_path / ".sae.unweave-build"
    assert {path.name for path in place.glob("*.safetensors")} == {
        "first-checkpoint.safetensors", "twin-checkpoint.safetensors",
    }  # fmt: skip
    steps: list[int] = []
    learn = run.Run.learn
    monkeypatch.setattr(
        run.Run, "learn", lambda self, x, number, hint: steps.append(number) or learn(self, x, number, hint)
    )
    with build(tmp_path / "sae", "sae", settings={}, made_from={}) as made:
        resumed = run_with_twin(texts[:1000], texts[1000:], SMALL, SHORT, checkpoint=made)
        assert not list(made.path.glob("*.safetensors"))
    assert_same(resumed, with_a_twin)
    assert steps == list(range(37, 60))  # the first run is not done again, nor what the second had done


_KILLED_IN_THE_TWIN = """
import os, pathlib, signal, sys
import numpy as np
from unweave.base.artifact import MANIFEST, Manifest, write_manifest
from unweave.base.building import build
from unweave.config import SAEConfig
from unweave.sae.training import run
from unweave.sae.training.twin import run_with_twin

learn = run.Run.learn

def learn_until_killed(run, x, number, hint):
    if number == 37 and run.config.seed:
        os.kill(os.getpid(), signal.SIGKILL)
    return learn(run, x, number, hint)

run.Run.learn = learn_until_killed
run._CHECKPOINT_SECONDS = 0
folder = pathlib.Path(sys.argv[1])
texts = np.load(folder / "texts.npy")
config = run.TrainConfig(steps=60, batch_size=64, lr=1e-2)
with build(folder / "sae", "sae", settings={}, made_from={}) as made:
    run_with_twin(texts[:1000], texts[1000:], SAEConfig(d_in=16, n_latents=32, k=2), config, checkpoint=made)
"""


def test_a_run_that_is_kept_is_there_at_once_until_it_is_forgotten(texts, tmp_path, monkeypatch):
    patient = replace(SHORT, patience=1)
    with build(tmp_path / "sae", "sae", settings={}, made_from={}) as made:
        first = run_training(texts[:1000], texts[1000:], SMALL, patient, checkpoint=made, kept_as="first")
        monkeypatch.setattr(run.Run, "learn", None)  # nothing is learned any more
        again = run_training(texts[:1000], texts[1000:], SMALL, patient, checkpoint=made, kept_as="first")
        assert_same(again, first)
        run.forget(made, "first")
        assert not list(made.path.glob("first-*"))


def test_beside_a_given_dictionary_its_latents_keep_what_is_known_of_them(texts):
    given = run_training(texts[:500], texts[500:600], SAEConfig(d_in=16, n_latents=12, k=2), SHORT).sae
    known = np.linspace(-1, 1, 12, dtype=np.float32)
    own = SAEConfig(d_in=16, n_latents=8, k=1)
    both = run_with_twin(texts[:1000], texts[1000:], own, SHORT, given=replace(given, twin=known)).sae
    np.testing.assert_array_equal(both.twin[:12], known)
    assert (~np.isnan(both.twin[12:])).any()
    unknown = run_with_twin(texts[:1000], texts[1000:], own, SHORT, given=given).sae
    assert np.isnan(unknown.twin[:12]).all()
    np.testing.assert_array_equal(unknown.twin[12:], both.twin[12:])


def test_a_matching_that_does_not_fit_into_memory_is_refused_before_any_training(texts, monkeypatch):
    monkeypatch.setattr(twin, "run_training", None)
    with pytest.raises(BadData, match="--no-twin"):
        run_with_twin(texts[:1000], texts[1000:], replace(SMALL, n_latents=10_000_000), SHORT)


def test_two_processes_train_both_runs_together(texts, tmp_path):
    # The same batches, so the same gradients but for the order of their sums; ten steps keep the difference small.
    np.save(tmp_path / "texts.npy", texts)
    script = tmp_path / "train.py"
    script.write_text(_TRAINED_UNDER_TORCHRUN)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*launch, str(script), str(tmp_path)], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    alone = run_with_twin(texts[:1000], texts[1000:], SMALL, replace(SHORT, steps=10)).sae
    together = SAE.load(tmp_path / "sae-0")
    np.testing.assert_allclose(together.W_dec, alone.W_dec, atol=2e-5)
    np.testing.assert_allclose(together.twin, alone.twin, atol=1e-3)
    assert SAE.load(tmp_path / "sae-1").twin is None  # a helper leaves the matching to the first


_TRAINED_UNDER_TORCHRUN = """
import os, pathlib, sys
import numpy as np
from unweave.config import SAEConfig, TrainConfig
from unweave.sae.training.twin import run_with_twin

folder = pathlib.Path(sys.argv[1])
texts = np.load(folder / "texts.npy")
config = TrainConfig(steps=10, batch_size=64, lr=1e-2)
sae = run_with_twin(texts[:1000], texts[1000:], SAEConfig(d_in=16, n_latents=32, k=2), config).sae
sae.save(folder / f"sae-{os.environ['RANK']}")
"""


def test_in_python_a_twin_is_asked_for(texts):
    assert uw.train(texts, 2, n_latents=32, steps=30).returns == {}
    assert len(uw.train(texts, 2, n_latents=32, steps=30, twin=True).returns) > 20


# --- the share of a score --------------------------------------------------------------------------


def contribution(value: float, returns: bool | None, latent: int = 0, name: str | None = "sea") -> Contribution:
    return Contribution(latent, name, 1.0, value, value, Trust.UNSCORED if name else None, returns)


def test_the_share_of_concepts_that_return_by_hand():
    # 3 and -1 return, of 3 + 1 + 2 of concepts, 1 of the bias and 1 of the residual: 8 in all.
    parts = (contribution(3, True), contribution(2, False), contribution(-1, True))
    why = Explanation("dense", 6.0, parts, bias=1.0, residual=1.0)
    assert why.returning_share == pytest.approx(4 / 8)
    why.check()


@pytest.mark.parametrize(
    ("parts", "share"),
    [
        ([], None),
        ([contribution(1, None)], None),
        ([contribution(1, None), contribution(3, True)], 0.75),
        ([contribution(1, False), contribution(3, None)], 0.0),
        ([contribution(0, True)], None),
    ],
    ids=["none", "not known", "partly known", "none returns", "nothing is added"],
)
def test_where_it_is_known_of_none_there_is_no_share(parts, share):
    assert Explanation("concepts", sum(c.value for c in parts), tuple(parts)).returning_share == share


def test_of_a_sum_each_part_has_its_own_share():
    part = Explanation("concepts", 4.0, (contribution(3, True), contribution(1, False)))
    whole = Explanation("sum", 8.0, (), parts=(Part("CL-SR", 8.0, 1, part),))
    assert whole.returning_share is None
    assert whole.to_dict()["parts"][0]["explanation"]["returning_share"] == 0.75


def test_it_survives_json_and_older_records_know_nothing_of_it():
    why = Explanation("concepts", 4.0, (contribution(3, True), contribution(1, None, 1, None)))
    record = json.loads(json.dumps(why.to_dict()))
    assert Explanation.from_dict(record) == why
    assert record["returning_share"] == 0.75
    for part in record["contributions"]:
        del part["returns"]
    assert Explanation.from_dict(record).returning_share is None


def test_every_account_of_an_sae_says_which_latents_return(marked):
    why = uw.explain(np.ones(3), np.float64([3, 2, 1]), marked)
    assert {c.latent: c.returns for c in why.contributions} == {0: True, 1: False, 2: None}
    found = contributions(np.array([2, 0]), np.ones(2), np.array([1.0, 2.0]), np.ones(2), {}, marked.returns)
    assert [(c.latent, c.returns) for c in found] == [(0, True), (2, None)]


# --- how it is shown -------------------------------------------------------------------------------


def test_the_sign_stands_behind_the_mark_and_names_stand_below_each_other():
    assert show.named(12, "wind", Trust.HOLDS, True) == "●↻ wind  #12"
    assert show.named(12, "wind", Trust.HOLDS, False) == "●  wind  #12"
    assert show.named(12, "wind", Trust.HOLDS, None) == "● wind  #12"
    assert show.named(12, None, None, True) == " ↻ (unnamed)  #12"
    assert show.named(12, None, None, False) == "   (unnamed)  #12"
    assert show.named(12, None, None, None) == "(unnamed)  #12"
    assert marks(Trust.VAGUE, True) == f"◐{RETURNS}"


def test_an_explanation_tells_its_share_and_what_the_sign_means():
    why = Explanation("concepts", 4.0, (contribution(3, True, 12, "wind"), contribution(1, False, 9)))
    assert list(show.explain(why)) == [
        "concept score 4.0000 (↻ 75%) =", "    +3.0000  ·↻ wind  #12", "    +1.0000  ·  sea  #9",
        "    +0.0000  residual: nothing is left over",
    ]  # fmt: skip
    (said,) = show.legend([None, why])
    assert said.startswith("↻: another run, on the same texts from another seed, found the concept again; ↻ 50%: such")
    whole = Explanation("sum", 8.0, (), parts=(Part("CL-SR", 8.0, 1, why),))
    assert list(show.legend([whole])) == [said]
    judged = contribution(1, None)._replace(trust=Trust.HOLDS)
    of_names, of_shares = show.legend([Explanation("concepts", 1.0, (judged,))])
    assert of_names == "●: the name holds on texts that it was not made from; ◐: it is vague; ○: no name holds"
    assert of_shares.startswith("named 50%: names that hold at so strong an activation")
    assert list(show.legend([Explanation("concepts", 1.0, (contribution(1, None, 9, None),))])) == []


def test_notebooks_show_the_sign():
    why = Explanation("concepts", 3.0, (contribution(2, True, 12, "wind"), contribution(1, False, 9)))
    assert "wind ·↻ #12" in why._repr_html_() and "sea · #9" in why._repr_html_()


# --- no finding ------------------------------------------------------------------------------------


def test_prevalent_concepts_that_do_not_return_come_last():
    # As in test_prevalent: latents 2, 0 and 1, the first of which no other run found again.
    rows = np.zeros((100, 3), np.float32)
    rows[:20, 0] = rows[:5, 1] = rows[:10, 2] = 1
    found = prevalent_latents(csr_array(rows), np.arange(10), returning={2: False, 0: True})
    assert [(one.latent, one.returns) for one in found] == [(0, True), (1, None), (2, False)]
    assert [one.latent for one in prevalent_latents(csr_array(rows), np.arange(10), top=2, returning={2: False})] == [
        0,
        1,
    ]


@pytest.fixture(scope="module")
def project(tiny_project_folder, tamper, tmp_path_factory) -> Path:
    """The small project, of whose latents the even ones return, and the odd ones do not, whatever its twin says."""
    folder = shutil.copytree(tiny_project_folder, tmp_path_factory.mktemp("returns") / "project")
    weights = load_file(folder / "sae" / WEIGHTS)
    weights["twin"] = np.where(np.arange(len(weights["twin"])) % 2, 0.5, 0.95).astype(np.float32)
    tamper(folder / "sae" / WEIGHTS, save(weights))
    for command in ("fit", "name", "index build", "evaluate"):
        unweave(*command.split(), folder)
    return folder


def unweave(*words: Any) -> str:
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return str(done.stdout)


def as_json(*words: Any) -> Any:
    return json.loads(unweave(*words, "--json"))


def is_even(one: Mapping[str, Any]) -> bool:
    return bool(one["latent"] % 2 == 0)


def test_every_command_that_shows_concepts_says_which_return(project):
    listed = as_json("concepts", "list", project)["concepts"]
    assert len(listed) > 8 and all(one["returns"] == is_even(one) for one in listed)
    for one in listed[:4]:
        assert as_json("concepts", "show", project, one["latent"])["returns"] == is_even(one)
        said = "↻ found again by another run" if is_even(one) else "\nnot found again by another run"
        assert said in unweave("concepts", "show", project, one["latent"])
    steps = [step for path in as_json("paths", project, "p0")["paths"] for step in path["concepts"]]
    assert steps and all(step["returns"] == is_even(step) for step in steps)
    lines = unweave("concepts", "list", project).splitlines()
    assert all(("↻" in line) == (int(line.rpartition("#")[2].split()[0]) % 2 == 0) for line in lines)


def test_the_explanations_of_a_search_say_which_concepts_return(project):
    opened = Project.open(project)
    query = opened.embedded("queries").rows(0, 1)[0]
    for system in ("CL-SR", "CL-SR rescored", "codes", "dense"):
        why = opened.search(query, 1, system=system, explain=True)[0].explanation
        assert why.contributions and all(c.returns == (c.latent % 2 == 0) for c in why.contributions)
        even = sum(abs(c.value) for c in why.contributions if c.latent % 2 == 0)
        of_none = abs(why.bias) + abs(why.residual)
        assert why.returning_share == pytest.approx(even / (sum(abs(c.value) for c in why.contributions) + of_none))


def test_concepts_know_which_return_and_a_table_has_them(project, tmp_path):
    names = Project.open(project).concepts
    assert all(c.returns == (c.latent % 2 == 0) for c in names.by_document_frequency())
    first = names.by_document_frequency()[0]
    assert names.concept(first.latent).returns == names.returns(first.latent) == first.returns
    assert names.returns(10**6) is None
    unweave("concepts", "export", project, tmp_path / "names.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "names.jsonl").read_text().splitlines()]
    assert rows and all(row["returns"] == is_even(row) for row in rows)
    assert "↻" in names.concept(first.latent)._repr_html_() or not first.returns


def test_families_whose_head_does_not_return_come_last(project):
    store.replace_related(
        Project.open(project).concepts.database, [FAMILY],
        [(4, Related(FAMILY, 1, 0.9)), (6, Related(FAMILY, 1, 0.8)), (5, Related(FAMILY, 2, 0.7))],
    )  # fmt: skip
    found = as_json("families", project)["families"]
    assert [family["head"]["latent"] for family in found] == [2, 1]  # though that of 1 is larger
    assert all(one["returns"] == is_even(one) for family in found for one in (family["head"], *family["members"]))
    lines = unweave("families", project).splitlines()
    assert [n for n, line in enumerate(lines) if line == show.NOT_FOUND_AGAIN] == [2]


def test_prevalent_concepts_that_do_not_return_are_set_apart(project, monkeypatch):
    found = [Prevalent(latent, 3, 0.5, 2.0, 0.01, (0,), (1.0,), latent % 2 == 0) for latent in (2, 4, 3, 1)]
    monkeypatch.setattr(Project, "prevalent", lambda *_: found)
    monkeypatch.setattr(Project, "search", lambda *_: [])
    lines = [line for line in unweave("prevalent", project, "moon").splitlines() if "[p0]" not in line]
    assert [line == show.NOT_FOUND_AGAIN for line in lines] == [False, False, True, False, False, False]
    assert [one["returns"] for one in as_json("prevalent", project, "moon")["concepts"]] == [True, True, False, False]


def test_the_prevalent_concepts_of_a_project_know_which_return(project):
    opened = Project.open(project)
    hits = [Hit(rank, 1.0, opened.corpus[rank]) for rank in range(1, 9)]
    found = opened.prevalent(hits, 16)
    assert found == sorted(found, key=lambda one: not one.returns)
    assert all(one.returns == (one.latent % 2 == 0) for one in found)


def test_the_report_sets_apart_what_does_not_return_among_what_stands_out(project, monkeypatch):
    monkeypatch.setattr(report, "_CONCEPTS_SHOWN", 12)  # of sixteen: eight even ones, and room for four others
    opened = Project.open(project)
    query = opened.embedded("queries").rows(0, 1)[0]
    page = report.write_report(opened, [("moon", opened.search(query, 3, explain=True))]).read_text(encoding="utf-8")
    stand_out, sums = page.split("<h2>Searches, explained</h2>")
    for section in re.split("<h3>", stand_out)[1:]:
        findings, _, rest = section.partition("so not to be taken for findings")
        for cards, even in ((findings, True), (rest, False)):
            shown = re.findall(r"<h4>(.*?)</h4>", cards, flags=re.DOTALL)
            assert shown or not even
            assert all(("↻" in card) == even for card in shown)
            assert all((int(card.rpartition("#")[2].split("<")[0]) % 2 == 0) == even for card in shown)
    assert "so not to be taken for findings" in stand_out
    assert re.search(r"from another seed, found again: \d+ of \d+, which make up \d+ %", stand_out)
    assert re.search(r"concept score, (named \d+%, )?↻ \d+%", sums)
    assert re.search(r"% explained, (named \d+%, )?↻ \d+%", sums)
    shown = [int(latent) for latent in re.findall(r"#(\d+)</small>", sums)]
    assert any(latent % 2 for latent in shown)  # in a sum they stay: it has to add up


# --- a project -------------------------------------------------------------------------------------


def test_a_fit_says_how_many_return_and_its_manifest_knows(tiny_project_folder):
    fitted = Project.open(tiny_project_folder).manifest("sae")
    sae = SAE.load(tiny_project_folder / "sae")
    assert fitted.settings["twin"] is True
    found = fitted.results["returning"]
    assert (found["known"], found["latents"]) == (len(sae.returns), sum(sae.returns.values()))
    assert 0 <= found["contribution"] <= 1


@pytest.fixture
def copied(tiny_project_folder, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_project_folder, tmp_path / "project"))


def test_without_a_twin_nothing_is_known_and_nothing_shown(copied):
    unweave("fit", copied, "--no-twin")
    for command in ("name", "index build", "evaluate", "report"):
        unweave(*command.split(), copied)
    fitted = Project.open(copied).manifest("sae")
    assert fitted.settings["twin"] is False and fitted.results["returning"] is None
    assert all(one["returns"] is None for one in as_json("concepts", "list", copied)["concepts"])
    shown = CliRunner().invoke(main, ["concepts", "list", str(copied)]).output
    assert "↻" not in shown and "↻" not in (copied / "report.html").read_text(encoding="utf-8")


def test_asking_for_a_twin_afterwards_trains_one(copied):
    unweave("fit", copied, "--no-twin")
    without = SAE.load(copied / "sae")
    done = CliRunner().invoke(main, ["fit", str(copied), "--twin"])
    assert "live latents return: another run found them again; they make up" in done.output
    again = SAE.load(copied / "sae")
    assert again.returns and fingerprint(again) == fingerprint(without)


def test_a_consensus_is_asked_for_of_a_dictionary_of_its_own(copied, tmp_path):
    before = SAE.load(copied / "sae")
    done = CliRunner().invoke(main, ["fit", str(copied), "--consensus", "3", "--no-twin"])
    assert "latents are of at least half of the runs" in done.output
    assert "live latents return: another run found them again; they make up" in done.output
    fitted = Project.open(copied).manifest("sae")
    assert (fitted.settings["twin"], fitted.settings["consensus"]) == (False, 3)
    assert fingerprint(SAE.load(copied / "sae")) != fingerprint(before)
    assert not list((copied / "sae").glob("*checkpoint*"))
    sae, _latents = Project.open(copied).fit()
    assert not sae.fresh
    unweave("fit", copied, "--consensus", 0, "--twin")
    assert fingerprint(SAE.load(copied / "sae")) == fingerprint(before)
    before.save(tmp_path / "given")  # beside a given dictionary there is none
    unweave("fit", copied, "--dictionary", tmp_path / "given", "--own-latents", 4, "--consensus", 3)
    assert len(SAE.load(copied / "sae").b_enc) == 20


def test_a_given_dictionary_brings_what_is_known_of_it(copied, tmp_path):
    given = SAE.load(copied / "sae")
    given.save(tmp_path / "given")
    unweave("fit", copied, "--dictionary", tmp_path / "given", "--own-latents", 0)
    np.testing.assert_array_equal(SAE.load(copied / "sae").twin, given.twin)
    assert Project.open(copied).manifest("sae").results["returning"]["known"] == len(given.returns)
    unweave("fit", copied, "--own-latents", 4)
    both = SAE.load(copied / "sae")
    np.testing.assert_array_equal(both.twin[:16], given.twin)
    assert len(both.twin) == 20


def test_a_project_from_before_there_were_twins_is_not_made_anew_for_one(copied, tamper):
    weights = load_file(copied / "sae" / WEIGHTS)
    tamper(copied / "sae" / WEIGHTS, save({name: of for name, of in weights.items() if name != "twin"}))
    stated = json.loads((copied / "sae" / MANIFEST).read_text())
    del stated["settings"]["twin"], stated["results"]["returning"]
    write_manifest(copied / "sae", Manifest(**stated))
    settings = copied / "unweave.toml"
    settings.write_text(settings.read_text().replace("twin = true", "twin = false"))
    sae, _latents = Project.open(copied).fit()
    assert not sae.fresh
    for command in ("name", "index build", "evaluate", "report"):
        unweave(*command.split(), copied)
    opened = Project.open(copied)
    assert opened.sae.returns == {} and opened.unapplied() == []
