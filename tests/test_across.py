"""Projects that read with one dictionary: one index of all their passages, and what sets their corpora apart."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from math import comb, log2
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.stats import fisher_exact

import unweave as uw
from conftest import unit
from unweave.base.records import Passage, Trust
from unweave.cli import main
from unweave.concepts import edits, store
from unweave.concepts.concept import CURATED, Naming
from unweave.concepts.relations.contrast import Differing, differing
from unweave.concepts.relations.shares import newcombe, wilson
from unweave.errors import BadData, MissingArtifact
from unweave.index.concept_index import ConceptIndex
from unweave.index.scoring import PROFILES
from unweave.project import Project
from unweave.report.shares import drawn
from unweave.sae.model import SAE
from unweave.stages.across import Adopted
from unweave.texts.collection import Collection

pytestmark = pytest.mark.usefixtures("one_thread")


def some_vectors(seed: int) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(40, 8)))


@pytest.fixture(scope="module")
def dictionary(tiny_project_folder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dictionary") / "given"
    SAE.load(tiny_project_folder / "sae").save(folder)
    return folder


def project(folder: Path, name: str, vectors: np.ndarray, **fit: object) -> Project:
    """Made-up texts with these vectors, (n, d_in), and what the settings of `fit` make of them."""
    passages = [Passage(f"{name}{i}", "", f"moon {i}") for i in range(len(vectors))]
    made = Project.create(folder / name, Collection(passages=passages))
    np.save(folder / f"{name}.npy", vectors)
    made.bring_embeddings("passages", folder / f"{name}.npy")
    made.keep("fit", **fit)
    made = Project.open(folder / name)
    made.fit()
    made.index()
    return made


@pytest.fixture
def two(tmp_path, dictionary) -> list[Project]:
    given = {"dictionary": str(dictionary), "own_latents": 0}
    return [project(tmp_path, name, some_vectors(seed), **given) for seed, name in enumerate("ab", 1)]


@pytest.mark.parametrize("system", ["CL-SR", "CL-SR paper"])
def test_projects_are_searched_as_one_corpus(two, dictionary, system):
    sae = SAE.load(dictionary)
    rows = np.concatenate([of.embedded("passages").rows() for of in two])
    ids = [passage.passage_id for of in two for passage in of.corpus]
    scoring = PROFILES["paper" if system == "CL-SR paper" else "default"]
    if system == "CL-SR paper" and not all("CL-SR paper" in of.systems for of in two):
        pytest.skip("the paper's formula is undefined for these texts")
    whole = ConceptIndex.build(sae.encode(rows), ids, scoring)
    merged = uw.merge_indexes(two, system=system)
    for query in sae.encode(some_vectors(5)[:10]):
        found = merged.search(csr_array(query.reshape(1, -1)), 20)
        assert list(found) == list(whole.search(csr_array(query.reshape(1, -1)), 20))
        assert {hit.passage_id[0] for hit in found} == {"a", "b"}


def test_projects_and_indexes_are_merged_alike(two):
    more = ConceptIndex.build(csr_array(np.eye(2, 16, dtype=np.float32)), ["x", "y"])
    merged = uw.merge_indexes([more, *two])
    assert merged.n_passages == 82
    assert merged.ids([0, 1, 2, 81]) == ["x", "y", "a0", "b39"]


def test_projects_of_two_saes_are_refused_with_what_to_do(two, dictionary, tmp_path):
    own = project(tmp_path, "c", some_vectors(3), n_latents=16, k=2, steps=20)
    with pytest.raises(
        BadData, match=r"a and \S+c are of the latents of two SAEs.*--dictionary FOLDER --own-latents 0"
    ):
        uw.merge_indexes([*two, own], tmp_path / "merged")
    beside = project(tmp_path, "d", some_vectors(4), dictionary=str(dictionary), own_latents=6, steps=20)
    with pytest.raises(BadData, match=r"each corpus's own; fit both without: .*--own-latents 0"):
        uw.merge_indexes([beside, two[0]], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_what_has_no_concept_index_is_said(two):
    with pytest.raises(BadData, match="dense searches no concept index"):
        uw.merge_indexes(two, system="dense")
    shutil.rmtree(two[1].path / "index")
    with pytest.raises(MissingArtifact, match="has no index/default yet; run: unweave index build"):
        uw.merge_indexes(two)


# --- names that two corpora share -------------------------------------------------------------------


def test_a_project_adopts_the_names_that_people_and_readers_gave_in_another(two):
    here, there = two
    for of in two:
        of.name()
    latents = sorted({c.latent for of in two for c in of.concepts.by_document_frequency()})
    live = [j for j in latents if all(of.concepts.concept(j) for of in two)]
    renamed, kept, curated, unread = live[:4]
    edits.rename(there.concepts.database, renamed, "tides")
    edits.rename(there.concepts.database, kept, "theirs")
    edits.rename(here.concepts.database, kept, "ours")
    store.add_namings(there.concepts.database, [
        (curated, Naming(CURATED, "phases", "Phases of the moon.")), (unread, Naming(CURATED, None)),
    ])  # fmt: skip
    assert uw.adopt_names(here, there) == Adopted(edits=1, names=1)
    names = Project.open(here.path).concepts
    assert (names[renamed], names.trust(renamed), names[kept]) == ("tides", Trust.CONFIRMED, "ours")
    assert names.concept(curated).naming(CURATED).description == "Phases of the moon."
    assert names.concept(unread).naming(CURATED) is None
    assert [edit.action for edit in edits.history(names.database)] == ["rename", "rename"]
    assert uw.adopt_names(here, there) == Adopted(edits=0, names=0), "once is enough"
    done = CliRunner().invoke(main, ["concepts", "adopt", str(here.path), str(there.path), "--json"])
    assert json.loads(done.stdout) == {"edits": 0, "names": 0}


def test_names_of_another_dictionary_are_not_adopted(two, tmp_path):
    own = project(tmp_path, "c", some_vectors(3), n_latents=16, k=2, steps=20)
    with pytest.raises(BadData, match="two dictionaries, in which the same number is not the same concept"):
        uw.adopt_names(two[0], own)


# --- what sets two corpora apart -------------------------------------------------------------------


def counts(*n: int) -> np.ndarray:
    return np.array(n, np.int64)


def test_a_latent_of_all_passages_of_one_and_none_of_the_other_by_hand():
    # One of the C(8, 4) = 70 ways to choose four of eight passages chooses these four; twice, for both tails.
    # (4 + .5) / 5 over (0 + .5) / 5 is 9.
    (found,) = differing(counts(4), counts(0), 4, 4)
    # Wilson of 4 of 4 begins at 1 / (1 + z²/4) = 1 / 1.96036 = .51011; Newcombe: 1 - sqrt(2 * .48989²) = .30719.
    sure = pytest.approx((0.51011, 1.0), abs=1e-5), pytest.approx((0.0, 0.48989), abs=1e-5)
    apart = pytest.approx((0.30719, 1.0), abs=1e-5)
    assert found == Differing(0, 4, 0, 1.0, 0.0, pytest.approx(log2(9)), pytest.approx(2 / comb(8, 4)), *sure, apart)
    assert differing(counts(4, 1), counts(0, 1), 4, 4) == []  # of two live latents the smaller p counts twice: .057
    assert differing(counts(3), counts(0), 3, 4) == []  # 2 / C(7, 3) = .057


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_p_is_that_of_fishers_exact_test_both_tails_as_twice_the_smaller(n_one, n_other, data):
    a, b = data.draw(st.integers(0, n_one)), data.draw(st.integers(0, n_other))
    table = [[a, n_one - a], [b, n_other - b]]
    tails = [fisher_exact(table, alternative=side).pvalue for side in ("less", "greater")]
    found = differing(counts(a), counts(b), n_one, n_other)
    if found:
        assert found[0].p_value == pytest.approx(min(1, 2 * min(tails)), rel=1e-9)
    elif a + b and 2 * min(tails) <= 0.05 * (1 - 1e-9):
        assert abs(log2((a + 0.5) / (n_one + 1)) - log2((b + 0.5) / (n_other + 1))) < 1


def test_what_is_surely_different_but_not_much_is_not_shown_and_the_first_is_neither_everywhere_nor_rare():
    # Of 10,000 passages each. Latent 0: 90 % against 50 %, .85 as log2. 1: .2 log2 4 = .4. 2: .02 log2 17.9 = .08.
    # 3: .5 log2 4.1 = 1.02, the other way round. 4 is the same in both, 5 in none.
    one, other = counts(9000, 2000, 200, 1220, 70, 0), counts(5000, 500, 11, 5000, 70, 0)
    found = differing(one, other, 10_000, 10_000)
    assert [row.latent for row in found] == [3, 1, 2]
    assert [row.log_ratio for row in found] == pytest.approx([-2.03, 2.0, 4.13], abs=0.02)
    turned = differing(other, one, 10_000, 10_000)
    assert [(row.latent, row.log_ratio) for row in turned] == [
        (row.latent, pytest.approx(-row.log_ratio)) for row in found
    ]


def test_draws_from_one_corpus_are_not_told_apart():
    # Two halves of one pool: of 500 latents none differs but by luck, and luck is held down.
    random = np.random.default_rng(0)
    halves = random.permuted(random.random((2000, 500)) < random.uniform(0, 0.2, 500), axis=0)
    one, other = (half.sum(axis=0).astype(np.int64) for half in np.split(halves, 2))
    assert differing(one, other, 1000, 1000) == []


def test_corpora_without_a_live_latent_differ_in_none():
    assert differing(counts(0, 0), counts(0, 0), 3, 5) == []


@pytest.fixture
def axes(tmp_path, identity_sae) -> list[Project]:
    """Forty passages each, on the axes of three numbers: 30 and 10 along the first, 10 and 30 along the second."""
    identity_sae.save(tmp_path / "axes")
    rows = np.eye(3, dtype=np.float32)
    fit = {"dictionary": str(tmp_path / "axes"), "own_latents": 0}
    return [project(tmp_path, name, rows[[0] * n + [1] * (40 - n)], **fit) for name, n in (("one", 30), ("other", 10))]


def test_two_corpora_differ_in_what_their_passages_activate(axes):
    # 30.5 / 10.5 is 2.9, either way.
    found = uw.contrast(*axes)
    assert (found.n_latents, found.n_one, found.n_other) == (3, 40, 40)
    assert [(row.latent, row.n_one, row.n_other) for row in found.more] == [(0, 30, 10)]
    assert [(row.latent, row.n_one, row.n_other) for row in found.less] == [(1, 10, 30)]
    assert found.n_tested == 2, "no passage activates latent 2"
    assert uw.contrast(axes[0], axes[0])[4:] == ([], [])


def test_the_command_says_what_the_library_does_with_names(axes):
    axes[1].name()
    named = axes[1].concepts
    done = CliRunner().invoke(main, ["contrast", *(str(of.path) for of in axes)])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    first, second = (plain_path(of) for of in axes)
    assert lines[0] == f"{first}: 40 passages; {second}: 40; 3 concepts in common"
    assert lines[2] == f"1 more frequent in {first}"
    # Wilson of 30 of 40: (.75 + .0480 ± 1.96 * .07272) / 1.0960.
    p = 2 * fisher_exact([[30, 10], [10, 30]], alternative="greater").pvalue  # of two that are the same
    assert lines[3].startswith(f" 75.0% 59.8-85.8    25.0% 14.2-40.2       2.9 x  p {p:<7.2g}  ")
    assert lines[3].endswith("  #0")
    assert lines[5] == f"1 more frequent in {second}"
    assert lines[6].startswith(" 25.0% 14.2-40.2    75.0% 59.8-85.8       2.9 x  p ") and lines[6].endswith("  #1")
    assert lines[-1] == "2 concepts were tested; of those found, one in twenty may differ by luck"
    assert all(named[latent] in lines[at] for latent, at in ((0, 3), (1, 6)) if latent in named)
    found = json.loads(CliRunner().invoke(main, ["contrast", *(str(of.path) for of in axes), "--json"]).stdout)
    assert (found["n_latents"], found["more"][0]["share_one"], found["less"][0]["latent"]) == (3, 0.75, 1)
    assert [found[side][0]["name"] for side in ("more", "less")] == [named.get(0), named.get(1)]


def test_the_picture_has_the_numbers_of_the_table_and_hostile_names_stay_text(axes, tmp_path):
    axes[0].name()
    edits.rename(axes[0].concepts.database, 0, "</text><script>alert('sea')</script>\u202e & more")
    file = tmp_path / "shares.svg"
    asked = ["contrast", *(str(of.path) for of in axes), "--svg", str(file)]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    root = ElementTree.fromstring(file.read_text(encoding="utf-8"))
    tag = "{http://www.w3.org/2000/svg}"
    assert {element.tag for element in root.iter()} == {
        tag + name for name in ("svg", "title", "desc", "style", "rect", "text", "line", "circle", "path")
    }
    texts = [element.text for element in root.iter(f"{tag}text")]
    assert [text for text in texts if text.endswith("%") and "." in text] == ["75.0%", "25.0%", "25.0%", "75.0%"]
    (named,) = (text for text in texts if text.endswith("#0"))
    assert named.startswith("✓ </text><script>alert(") and "\u202e" not in named
    assert "75.0% (59.8% to 85.8%) and 25.0% (14.2% to 40.2%)" in root.find(f"{tag}desc").text
    # Of either corpus a mark in the legend, one over the numbers, and one a concept; no colour is needed to tell them.
    assert len(root.findall(f"{tag}circle")) == len(root.findall(f"{tag}path")) == 4
    assert "prefers-color-scheme: dark" in root.find(f"{tag}style").text


def test_a_share_lies_on_the_axis_where_it_is_written(axes):
    # The highest interval ends at .858: ticks of 20 % to 100 %, so 370 pixels are 100 % and 75 % lies at 607.5.
    root = ElementTree.fromstring(drawn(uw.contrast(*axes), "one", "other"))
    tag = "{http://www.w3.org/2000/svg}"
    assert [circle.get("cx") for circle in root.findall(f"{tag}circle")][2:] == ["607.5", "422.5"]
    ticks = {text.text: float(text.get("x")) for text in root.iter(f"{tag}text") if text.text.endswith(" %")}
    assert {tick: x for tick, x in ticks.items() if tick[0].isdigit()} == {
        "0 %": 330, "20 %": 404, "40 %": 478, "60 %": 552, "80 %": 626, "100 %": 700,
    }  # fmt: skip


def test_corpora_that_do_not_differ_have_a_picture_that_says_so(axes):
    root = ElementTree.fromstring(drawn(uw.contrast(axes[0], axes[0]), "a" * 300, "日本語" * 40))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert f"0 more frequent in {'a' * 39}…" in texts and f"0 more frequent in {'日本語' * 6}日…" in texts
    assert texts[-1] == "2 concepts tested at a false discovery rate of 5 %."


@given(st.integers(1, 200), st.data())
def test_an_interval_holds_its_share_and_what_is_more_sure_is_narrower(n, data):
    found = data.draw(st.integers(0, n))
    low, high = (float(end[0]) for end in wilson(counts(found), n))
    assert 0 <= low <= found / n <= high <= 1
    of_more = wilson(counts(4 * found), 4 * n)
    assert of_more.high[0] - of_more.low[0] < high - low
    # The ends are the shares p from which found / n lies 1.96 standard errors: (found / n - p)² = z² p (1 - p) / n.
    for end in (low, high):
        assert (found / n - end) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / n, abs=1e-9)


def test_an_interval_of_a_difference_by_newcombes_own_example():
    # Newcombe 1998, table II, 56 / 70 - 48 / 80, method 10: .0524 to .3339.
    low, high = newcombe(counts(56), counts(48), 70, 80)
    assert (float(low[0]), float(high[0])) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def plain_path(project: Project) -> str:
    path = str(project.path)
    return path if len(path) <= 60 else f"{path[:59]}…"


def test_what_is_known_not_to_return_stands_last(tmp_path, identity_sae):
    # Latent 0 sets the one apart more than latent 1 does; another run found 1 again and 0 not, of 2 nothing is known.
    replace(identity_sae, twin=np.array([0.3, 0.99, np.nan], np.float32)).save(tmp_path / "axes")
    rows, fit = np.eye(3, dtype=np.float32), {"dictionary": str(tmp_path / "axes"), "own_latents": 0}
    one = project(tmp_path, "one", rows[[0] * 30 + [1] * 20], **fit)
    other = project(tmp_path, "other", rows[[2] * 50], **fit)
    found = uw.contrast(one, other)
    assert [(row.latent, row.returns) for row in found.more] == [(1, True), (0, False)]
    assert [(row.latent, row.returns) for row in found.less] == [(2, None)]
    done = CliRunner().invoke(main, ["contrast", str(one.path), str(other.path)])
    assert "↻: another run" in done.stderr
    said = done.stdout.splitlines()
    assert ["#" in line and line[-2:] for line in said[2:6]] == [False, "#1", False, "#0"]
    assert said[4] == "not found again by another run, so not to be taken for findings:"


def test_only_what_the_dictionary_has_is_compared(two, dictionary, tmp_path):
    beside = project(tmp_path, "d", some_vectors(4), dictionary=str(dictionary), own_latents=6, steps=20)
    assert uw.contrast(beside, two[0]).n_latents == 16 == uw.contrast(two[0], beside).n_latents
    own = project(tmp_path, "c", some_vectors(3), n_latents=16, k=2, steps=20)
    with pytest.raises(BadData, match=r"c and \S+a are two dictionaries.*unweave fit PROJECT --dictionary FOLDER"):
        uw.contrast(own, two[0])
