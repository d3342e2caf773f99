"""How much of one SAE returns in another: matched one to one, weighed by what it contributes, beside a random floor."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

import unweave as uw
from conftest import unit
from invoked import refused, unweave
from unweave.base import room
from unweave.base.artifact import MANIFEST, Manifest, read_manifest
from unweave.cli import show
from unweave.config import SAEConfig
from unweave.errors import BadData, DimensionMismatch
from unweave.sae.agreement import BANDS, Directions, match, random_directions
from unweave.sae.model import SAE
from unweave.stages.agree import (
    OTHER_TEXTS,
    SAME,
    SAME_SEED,
    SAME_TEXTS,
    SHARED_START,
    SOME_TEXTS,
    UNKNOWN,
    Compared,
    Origin,
    Runs,
    related,
)  # fmt: skip

AXES = np.eye(4)


def sae_of(decoder: ArrayLike, encoder: ArrayLike | None = None, *, encoder_name: str = "") -> SAE:
    """Directions, (n, d_in), as an SAE without biases; activations up to 0.5 count as 0."""
    W_dec = np.array(decoder, np.float32)
    W_enc = W_dec if encoder is None else np.array(encoder, np.float32)
    n, d = W_dec.shape
    config = SAEConfig(d_in=d, n_latents=n, k=1, encoder=encoder_name)
    return SAE(config, W_enc, np.zeros(n, np.float32), W_dec, np.zeros(d, np.float32), np.array([0.5], np.float32))


def random_sae(seed: int, n: int, d: int = 5) -> SAE:
    """Decoder and encoder drawn at random, each latent's two rows near one another."""
    random = np.random.default_rng(seed)
    W = random.normal(size=(n, d))
    return sae_of(W, W + 0.5 * random.normal(size=(n, d)))


# --- the matching ---------------------------------------------------------------------------------


def test_permuted_latents_are_matched_back_whatever_their_lengths():
    order = [2, 0, 3, 1]
    found = uw.agreement(sae_of(AXES), sae_of(3 * AXES[order], 0.1 * AXES[order]))
    assert found.matching.partners.tolist() == [1, 3, 0, 2]  # axis 0 is the other's latent 1
    assert found.matching.agreement.tolist() == [1, 1, 1, 1]
    every = found.found["all"]
    assert (every.n_latents, every.decoder, every.latents_above_07, every.latents_above_09) == (4, 1, 1, 1)
    assert (found.n_texts, found.top5, found.contribution, every.contribution_above_07) == (None,) * 4


def test_an_opposite_direction_is_no_match_be_it_the_decoders_or_the_encoders():
    axes = np.eye(5)  # the fifth is the other's alone, so that the first finds something else than its opposite
    flipped = axes * [[-1], [1], [1], [1], [1]]
    for other in (sae_of(flipped), sae_of(flipped, axes), sae_of(axes, flipped)):
        found = uw.agreement(sae_of(axes[:4]), other)
        assert found.found["all"].latents_above_07 == 0.75
        assert found.matching.agreement[0] < 0.7


def test_agreement_is_the_lower_of_both_cosines():
    # Cosines of (1, 0) with (4, 3) / 5 and (3, 4) / 5 are .8 and .6: shared in the decoder, not in the encoder.
    found = uw.agreement(sae_of([[1, 0]]), sae_of([[4, 3]], [[3, 4]]))
    assert found.matching.decoder[0] == pytest.approx(0.8)
    assert found.matching.agreement[0] == found.matching.encoder[0] == pytest.approx(0.6)
    assert found.found["all"].latents_above_07 == 0


def test_two_latents_that_want_one_partner_share_it_out():
    # Both (1, 0) and (.8, .6) lie nearest to the other's (1, 0); one to one, the second has to take (0, 1): .6.
    # Best cosines, many to one, would have been 1 and .8.
    found = uw.agreement(sae_of([[1, 0], [0.8, 0.6]]), sae_of([[1, 0], [0, 1]]))
    assert found.matching.partners.tolist() == [0, 1]
    np.testing.assert_allclose(found.matching.decoder, [1, 0.6], rtol=1e-6)


def test_dictionaries_of_different_size_leave_the_larger_ones_rest_without_partners():
    large, small = sae_of(AXES), sae_of(AXES[[3, 1]])
    found = uw.agreement(large, small)
    assert found.matching.partners.tolist() == [-1, 1, -1, 0]
    assert np.isnan(found.matching.agreement[[0, 2]]).all()
    # Half of the large one's latents return; the mean cosine is of the pairs there are.
    assert (found.found["all"].latents_above_07, found.found["all"].decoder) == (0.5, 1)
    back = uw.agreement(small, large)
    assert back.matching.partners.tolist() == [3, 1]
    assert (back.found["all"].latents_above_07, back.n_other) == (1, 4)


def test_a_latent_without_a_direction_returns_nowhere():
    nothing = AXES * [[0], [1], [1], [1]]
    found = uw.agreement(sae_of(nothing), sae_of(nothing))
    assert found.matching.agreement[0] == 0
    assert found.found["all"].latents_above_07 == 0.75


def test_weights_whose_squares_leave_float32_have_directions_all_the_same():
    for scale in (1e30, 1e-30):
        assert uw.agreement(sae_of(scale * AXES), sae_of(AXES)).found["all"].latents_above_09 == 1


@given(seed=st.integers(0, 10**6), n=st.integers(1, 5), m=st.integers(1, 6))
def test_the_matching_has_the_highest_sum_of_all_there_are(seed, n, m):
    one, other = random_sae(seed, n), random_sae(seed + 1, m)
    sums = unit(one.W_dec) @ unit(other.W_dec).T + unit(one.W_enc) @ unit(other.W_enc).T
    if n > m:
        sums = sums.T
    best = max(sum(sums[i, j] for i, j in enumerate(chosen)) for chosen in permutations(range(max(n, m)), min(n, m)))
    found = uw.agreement(one, other).matching
    assert np.nansum(found.decoder) + np.nansum(found.encoder) == pytest.approx(best, abs=1e-5)
    partners = found.partners[found.partners >= 0]
    assert len(set(partners.tolist())) == len(partners) == min(n, m)


@given(seed=st.integers(0, 10**6))
def test_the_order_of_latents_changes_nothing(seed):
    random = np.random.default_rng(seed)
    one, other, x = random_sae(seed, 9), random_sae(seed + 1, 12), random.normal(size=(40, 5))
    order, others_order = random.permutation(9), random.permutation(12)

    def shuffled(sae: SAE, by: np.ndarray) -> SAE:
        return replace(sae, W_enc=sae.W_enc[by], W_dec=sae.W_dec[by], b_enc=sae.b_enc[by])

    found, again = uw.agreement(one, other, x), uw.agreement(shuffled(one, order), shuffled(other, others_order), x)
    expected = np.where(again.matching.partners >= 0, others_order[again.matching.partners], -1)
    assert expected.tolist() == found.matching.partners[order].tolist()
    assert again.top5 == pytest.approx(found.top5)
    assert again.found["all"] == pytest.approx(found.found["all"])


# --- on texts -------------------------------------------------------------------------------------

TEXTS = [[3.0, 1, 0, 0], [2, 0, 0, 0], [1, 0, 1, 0]]
"""Of the axes, latent 0 is active for three of them, 1 and 2 for one each, 3 for none."""


def test_latents_that_no_text_activates_are_left_out():
    found = uw.agreement(sae_of(AXES), sae_of(AXES), np.array(TEXTS))
    assert (found.found["all"].n_latents, found.n_other, found.n_texts) == (3, 3, 3)
    assert found.matching.partners.tolist() == [0, 1, 2, -1]


def test_shares_are_weighted_by_what_latents_contribute():
    # |z_j (w_j . x)| over the texts: latent 0 has 9 + 4 + 1 = 14, 1 and 2 have 1 each. The other lacks axis 1.
    other = sae_of([AXES[0], [0, 0.6, 0, 0.8], AXES[2]])
    found = uw.agreement(sae_of(AXES), other, np.array(TEXTS))
    assert found.contribution.tolist() == [14, 1, 1, 0]
    assert found.found["all"].latents_above_07 == pytest.approx(2 / 3)
    assert found.found["all"].contribution_above_07 == pytest.approx(15 / 16)


def test_contributions_are_those_of_the_reconstruction(sae_with_biases):
    # For x = (3, 4), x - b_pre = (2, 2) and z = (2, 0, 4.5): 2 * 2 and 4.5 * (0.6 * 2 + 0.8 * 2) = 12.6.
    found = uw.agreement(sae_with_biases, sae_with_biases, np.array([3.0, 4.0]))
    assert found.contribution == pytest.approx([4, 0, 12.6])
    x = np.array([[3.0, 4.0]], np.float32)
    inner = (sae_with_biases.reconstruct(x) - sae_with_biases.b_pre) @ (x - sae_with_biases.b_pre)[0]
    assert found.contribution.sum() == pytest.approx(float(inner[0]))


def test_bands_are_thirds_of_the_live_latents_by_the_texts_that_activate_them():
    texts = np.array([[1.0, 0, 0, 0]] * 3 + [[1, 1, 0, 0]] * 2 + [[0, 1, 1, 0]])  # 5, 3 and 1 texts
    other = sae_of([AXES[0], AXES[1], [0, 0, 0.6, 0.8]])  # lacks the rarest
    found = uw.agreement(sae_of(AXES), other, texts)
    assert [found.found[band].n_latents for band in BANDS] == [1, 1, 1]
    assert [found.found[band].latents_above_07 for band in BANDS] == [0, 1, 1]
    assert found.random.keys() == found.found.keys() == {"all", *BANDS}


def test_a_band_without_latents_has_no_shares():
    found = uw.agreement(sae_of(AXES), sae_of(AXES), np.array([[1.0, 0, 0, 0]]))
    assert found.found["common"] == (0, None, None, None, None, None, None)
    assert found.found["rare"].n_latents == 1


def test_of_a_texts_five_strongest_those_count_whose_partner_is_among_the_others_five():
    # Seven latents are active, as strong as 7, 6 … 1. The other has them in another order, and axis 1 weaker than all:
    # of the first's five strongest, axes 0 to 4, axis 1 is missing there.
    axes, x = np.eye(7), np.array([[7.0, 6, 5, 4, 3, 2, 1]])
    other = sae_of(axes[::-1], axes[::-1] * [[1], [1], [1], [1], [1], [0.1], [1]])
    found = uw.agreement(sae_of(axes), other, x)
    assert found.found["all"].latents_above_09 == 1
    assert found.top5 == pytest.approx(4 / 5)
    assert found.top5_random is None  # there is no other text


def test_strongest_concepts_that_do_not_return_are_not_found():
    other = sae_of([[0.6, 0.8, 0, 0], AXES[2]])
    found = uw.agreement(sae_of(AXES), other, np.array([[1.0, 0, 0, 0], [0, 0, 1, 0]]))
    assert found.top5 == 0.5
    assert found.top5_random == 0  # the other text's concept


# --- the random floor -----------------------------------------------------------------------------


def test_the_floor_is_a_mixture_of_the_others_own_directions_the_same_in_both():
    random = np.random.default_rng(0)
    flat = np.zeros((300, 6), np.float32)
    flat[:, :2] = random.normal(size=(300, 2))  # in a plane, so its mixtures are too
    of = Directions(unit(flat), unit(np.roll(flat, 2, axis=1)))
    made = random_directions(of)
    assert np.abs(made.decoder[:, 2:]).max() < 1e-6
    np.testing.assert_allclose(np.roll(made.decoder, 2, axis=1), made.encoder, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(made.decoder, axis=1), 1, rtol=1e-5)
    assert (random_directions(of).decoder == made.decoder).all()


def test_what_returns_lies_above_the_floor():
    one = random_sae(0, 200, 32)
    found = uw.agreement(one, replace(one, W_dec=one.W_dec + 0.1, W_enc=one.W_enc + 0.1))
    assert found.found["all"].latents_above_07 > 0.9
    assert found.random["all"].latents_above_07 < 0.05
    assert 0.2 < found.random["all"].decoder < 0.7  # the nearest of many random directions is not far: hence the floor


# --- what cannot be compared ----------------------------------------------------------------------


def test_other_widths_and_other_encoders_are_refused():
    with pytest.raises(DimensionMismatch, match="reads embeddings 4 wide and the other 3"):
        uw.agreement(sae_of(AXES), sae_of(np.eye(3)))
    with pytest.raises(BadData, match="embeddings of a and the other those of b"):
        uw.agreement(sae_of(AXES, encoder_name="a\x1b"), sae_of(AXES, encoder_name="b"))
    assert uw.agreement(sae_of(AXES, encoder_name="a"), sae_of(AXES)).found["all"].latents_above_07 == 1
    with pytest.raises(DimensionMismatch, match=r"embeddings of shape \(2, 3\) came in"):
        uw.agreement(sae_of(AXES), sae_of(AXES), np.ones((2, 3)))


def test_texts_that_activate_nothing_are_refused():
    for texts in (-np.array(TEXTS), np.empty((0, 4))):
        with pytest.raises(BadData, match="texts activates a latent of SAE"):
            uw.agreement(sae_of(AXES), sae_of(AXES), texts)


def test_contributions_that_leave_float32_are_refused():
    with pytest.raises(BadData, match="weights so large that activations leave float32"), np.errstate(over="ignore"):
        uw.agreement(sae_of(3e38 * AXES), sae_of(AXES), 1e3 * np.array(TEXTS))


def test_a_matching_that_does_not_fit_into_memory_is_refused_before_it_begins(monkeypatch):
    monkeypatch.setattr(room, "memory", lambda: 8 * 12 - 1)
    directions = [Directions(*[unit(np.ones((n, 2)))] * 2) for n in (3, 4)]
    for pair in (directions, directions[::-1]):
        with pytest.raises(BadData, match="latents with 4 one to one takes"):
            match(*pair)


# --- how two runs are related ---------------------------------------------------------------------


def origin(seed: object = None, weights: str = "a", began_from: object = (), **made_from: str) -> Origin:
    """What an SAE's folder states; `weights` stands for its fingerprint."""
    training = {} if seed is None else {"seed": seed}
    stated = Manifest("sae", {"sae": {}, "training": training, "began_from": began_from}, made_from, {})
    return Origin.of(sae_of(AXES), stated)._replace(weights=weights)


@pytest.mark.parametrize(
    ("one", "other", "kind", "said"),
    [
        (origin(0), origin(0), SAME, "one and the same SAE"),
        (origin(0, corpus="c"), origin(0, "b", corpus="c"), SHARED_START, "both began from seed 0, on the same texts"),
        (origin(0, corpus="c"), origin(0, "b", corpus="d"), SAME_SEED, "both began from seed 0, on other texts"),
        (origin(0), origin(0, "b"), SAME_SEED, "both began from seed 0; their folders do not state on which texts"),
        (origin(1), origin(2, "b", ["a"]), SHARED_START, "one began from the other"),
        (origin(1), origin(2, "b", ["c", "a"]), SHARED_START, "one began from the other"),
        (origin(1, "a", ["d", "c"]), origin(2, "b", ["c"]), SHARED_START, "both began from one SAE"),
        (origin(1, "a", "c"), origin(2, "b", {"c": 1}), UNKNOWN, "do not state on which texts"),
        (origin(1, corpus="c"), origin(2, "b", corpus="c"), SAME_TEXTS, "from other seeds, on the same texts"),
        (origin(1, corpus="c", e="1"), origin(2, "b", corpus="c", e="2"), SOME_TEXTS, "some are the same"),
        (origin(1, corpus="c"), origin(2, "b", corpus="d"), OTHER_TEXTS, "on other texts as far as"),
        (origin(1, corpus="c"), origin(2, "b"), UNKNOWN, "do not state on which texts"),
        (origin(), origin(2, "b"), UNKNOWN, "do not state from which seeds"),
        (origin("0"), origin("0", "b"), UNKNOWN, "do not state from which seeds"),
        (origin(True), origin(1, "b"), UNKNOWN, "do not state from which seeds"),
    ],
)
def test_independent_are_runs_that_state_other_seeds(one, other, kind, said):
    for runs in (related(one, other), related(other, one)):
        assert runs.kind == kind
        assert said in runs.said
        assert runs.independent == (kind in (SAME_TEXTS, SOME_TEXTS, OTHER_TEXTS))


def test_latents_that_are_the_same_bit_for_bit_were_not_learned_twice():
    assert uw.agreement(sae_of(AXES), sae_of(AXES + 1e-6)).n_identical == 0
    found = uw.agreement(sae_of(AXES), sae_of(AXES[[2, 0]]))
    assert found.n_identical == 2
    runs = related(origin(1, corpus="c"), origin(2, "b", corpus="d"), found.n_identical)
    assert (runs.kind, runs.independent) == (SHARED_START, False)


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def twin(kept_copy, tmp_path) -> Path:
    """An SAE like the small project's, as another seed might give: half of its latents turned, all shuffled."""
    sae, random = SAE.load(kept_copy / "sae"), np.random.default_rng(0)
    stated = read_manifest(kept_copy / "sae", "sae")
    noise = unit(random.normal(size=sae.W_dec.shape)) * np.repeat([0.3, 3], len(sae.W_dec) // 2)[:, None]
    order = random.permutation(len(sae.W_dec))
    W_dec, W_enc = (
        unit(sae.W_dec + noise)[order],
        (sae.W_enc + noise * np.linalg.norm(sae.W_enc, axis=1)[:, None])[order],
    )
    made = replace(sae, W_dec=W_dec, W_enc=W_enc.astype(np.float32), b_enc=sae.b_enc[order])
    made.save(tmp_path / "twin", training={"seed": 1}, made_from=stated.made_from)
    return tmp_path / "twin"


def test_a_project_and_a_folder_are_compared_on_the_projects_passages(kept_copy, twin):
    done = unweave("sae", "compare", kept_copy, twin)
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    project = uw.Project.open(kept_copy)
    passages = project.embedded("passages").rows()
    found = uw.agreement(project.sae, SAE.load(twin), passages)
    live = project.sae.measure(passages).live_latents
    assert lines[0].startswith(f"{live} live latents of {kept_copy}, matched with ")
    assert lines[0].endswith(f"; {len(passages)} passages of {kept_copy}")
    assert lines[2].split() == ["all", "rare", "middle", "common", "random"]
    share = f"{found.found['all'].contribution_above_07:.0%}"
    (row,) = (line.split() for line in lines if line.startswith("contribution returning  "))
    assert row[2] == share
    assert lines[-1] == f"share of contribution that returns: {share}, from other seeds, on the same texts"


def test_the_command_prints_json_and_holds_one_named_figure_against_a_share(kept_copy, twin):
    done = unweave("sae", "compare", kept_copy, twin, "--json")
    record = json.loads(done.stdout)
    assert record["figure"] == "share of contribution that returns"
    assert record["value"] == record["found"]["all"]["contribution_above_07"]
    assert record["runs"]["kind"] == SAME_TEXTS
    assert 0.2 < record["value"] < 0.9 and 0 <= record["top5_random"] < record["top5"] <= 1
    assert unweave("sae", "compare", kept_copy, twin, "--fail-under", record["value"]).exit_code == 0
    failed = unweave("sae", "compare", kept_copy, twin, "--fail-under", 0.9, "--json")
    assert json.loads(failed.stdout) == record  # printed all the same
    said = f"the share of contribution that returns, {record['value']:.4f}, is below --fail-under 0.9"
    assert refused(failed) == f"Error: {said}\n"


def test_two_folders_are_compared_by_all_of_their_latents(kept_copy, twin):
    ours = shutil.copytree(kept_copy / "sae", kept_copy.parent / "ours")
    without = json.loads(unweave("sae", "compare", ours, twin, "--json").stdout)
    assert (without["figure"], without["on"]) == ("share of latents that return", None)
    assert without["found"].keys() == {"all"} and without["found"]["all"]["n_latents"] == 128
    text = unweave("sae", "compare", ours, twin).stdout
    assert "contribution" not in text and "share of latents that return" in text
    on = json.loads(unweave("sae", "compare", ours, twin, "--on", kept_copy, "--json").stdout)
    assert on["on"] == str(kept_copy) and on["n_texts"] == len(uw.Project.open(kept_copy).corpus)
    between = json.loads(unweave("sae", "compare", kept_copy, twin, "--json").stdout)
    assert (on["found"], on["top5"]) == (between["found"], between["top5"])


def test_a_shared_start_is_called_reproducible_not_stable(kept_copy, twin):
    texts = uw.Project.open(kept_copy).manifest("sae").made_from
    SAE.load(twin).save(twin, training={"seed": 0}, made_from=texts)
    last = unweave("sae", "compare", kept_copy, twin).stdout.splitlines()[-1]
    assert (
        "which is reproducible (both began from seed 0, on the same texts) and does not show that it is stable" in last
    )
    SAE.load(twin).save(twin, training={"seed": 0}, made_from={"embeddings/passages": "others"})
    last = unweave("sae", "compare", kept_copy, twin).stdout.splitlines()[-1]
    assert "whether that is stable cannot be told: both began from seed 0, on other texts as far as" in last
    SAE.load(twin).save(twin)
    last = unweave("sae", "compare", kept_copy, twin).stdout.splitlines()[-1]
    assert "whether that is stable cannot be told: their folders do not state from which seeds they began" in last
    last = unweave("sae", "compare", kept_copy, kept_copy).stdout.splitlines()[-1]
    assert "100%, which is reproducible (they are one and the same SAE)" in last


@pytest.mark.parametrize("kind", [SAME_SEED, SHARED_START, UNKNOWN])
def test_nothing_that_was_not_found_again_is_called_reproducible(kind):
    # Five latents along the axes, and the same five turned by a half turn: each cosine is 0 or -1.
    axes = np.eye(5, dtype=np.float32)
    one, other = (replace(random_sae(0, 5), W_dec=W, W_enc=W) for W in (axes, -axes))
    compared = Compared(Path("one"), Path("other"), None, Runs(kind, "both began alike"), uw.agreement(one, other))
    assert list(show.agreement(compared))[-1] == "share of latents that return: 0%; both began alike"


def test_what_is_neither_an_sae_nor_a_project_or_of_another_encoder_is_refused(kept_copy, twin, tmp_path):
    (tmp_path / "empty").mkdir()
    said = refused(unweave("sae", "compare", tmp_path / "empty", twin))
    assert "is neither an SAE's folder (config.json not found) nor a project (unweave.toml not found)" in said
    said = refused(unweave("sae", "compare", twin, kept_copy / "latents"))
    assert "holds a latents of format 1, not a sae" in said
    said = refused(unweave("sae", "compare", twin, twin, "--on", tmp_path / "empty"))
    assert "is not a project: it has no unweave.toml" in said
    foreign = replace(SAE.load(twin), config=replace(SAE.load(twin).config, encoder="other/model\x1b[31m"))
    foreign.save(tmp_path / "foreign")
    said = refused(unweave("sae", "compare", twin, tmp_path / "foreign"))
    assert "other/model" in said and "\x1b" not in said
    said = refused(unweave("sae", "compare", tmp_path / "foreign", tmp_path / "foreign", "--on", kept_copy))
    assert "were embedded with sentence-transformers/all-MiniLM-L6-v2, and an SAE to compare reads" in said
    (twin / MANIFEST).write_text("{")
    assert "is not a manifest of unweave" in refused(unweave("sae", "compare", kept_copy, twin))
