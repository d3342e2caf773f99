"""Audits: each formula by hand, each fault found where it was planted, and nothing found where there is none."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from conftest import unit
from unweave.audits import audit as audits
from unweave.audits import biases, claims, exposure, failures, hubs, labels, page, repeated, suspects
from unweave.audits.audited import Audited
from unweave.audits.claims import (
    CONCEPTS,
    PASSAGES,
    RETRIEVER,
    Claim,
    Confirmation,
    Counterfactual,
    Subject,
    corrections,
    held,
)
from unweave.audits.experiments import Pair, changes, one_a_query, returns, t_test
from unweave.base.contributions import Label
from unweave.base.digests import digest_of
from unweave.base.records import Passage, Query
from unweave.cli.audit import audit as command
from unweave.config import SAEConfig
from unweave.errors import BadData, MissingArtifact
from unweave.project import Project
from unweave.sae.model import SAE
from unweave.stages import audit as stage

pytest.importorskip("ir_measures")
D = 64


class WordEncoder:
    """Each word has a random direction; a text is the sum of its words' directions, scaled to length 1, and `bias`."""

    identity = {"model": "words"}  # noqa: RUF012

    def __init__(self, bias=None):
        self.bias = bias

    def encode_passages(self, texts):
        rows = unit(
            np.stack([sum((word(w) for w in re.findall(r"\w+", t.lower())), np.zeros(D)) + 1e-9 for t in texts])
        )
        if self.bias is not None:
            rows = unit(rows + np.stack([self.bias(text) for text in texts]))
        return rows

    def encode_queries(self, texts):
        return WordEncoder().encode_passages(texts)


def word(text):
    if text not in WORDS:
        WORDS[text] = np.random.default_rng(digest_of(text)).normal(size=D)
    return WORDS[text]


WORDS: dict[str, np.ndarray] = {}
VOCABULARY = [
    f"{a}{b}{c}" for a in "bdfgklmnprst" for b in ("ar", "el", "in", "os") for c in ("ta", "mo", "ri", "ne", "du")
]
TOPICS = 60
TOWARDS_QUERIES = word("what") / np.linalg.norm(word("what"))
"""Every query of the toy corpus has this word, and no passage has."""


def toy(passages, encoder=None, queries=60, judged=True, seed=0, every="what"):
    """Queries of two words of a topic and one that all have; the topic's first passage is relevant. An SAE of axes."""
    encoder = encoder or WordEncoder()
    random = np.random.default_rng(1)
    asked = [
        Query(f"q{i}", " ".join([every, *words_of(i)[:2], random.choice(VOCABULARY)]).strip()) for i in range(queries)
    ]
    rows = encoder.encode_passages([passage.content for passage in passages])
    vectors = encoder.encode_queries([query.text for query in asked])
    axes = np.eye(D, dtype=np.float32)
    zeros = np.zeros(D, np.float32)
    sae = SAE(
        SAEConfig(d_in=D, n_latents=D, k=8, encoder="words"), axes, zeros, axes, zeros, np.array([0.1], np.float32)
    )
    at = {passage.passage_id: i for i, passage in enumerate(passages)}
    relevant = [{at[f"p{i}"]: 1} if judged else {} for i in range(queries)]
    of = Audited(
        passages, rows, sae.encode(rows), sae, asked, vectors, [], relevant, encoder, {3: Label("moon")}, seed=seed
    )
    return replace(of, found=of.dense)


def words_of(topic):
    return [VOCABULARY[(7 * topic + j) % len(VOCABULARY)] for j in range(4)]


def corpus(n=300, seed=0, length=(20, 40)):
    """Passage i is of topic i modulo 60: some of its words among others, in sentences of five words."""
    random = np.random.default_rng(seed)
    made = []
    for i in range(n):
        size = int(random.integers(*length))
        words = random.choice(VOCABULARY, size).tolist()
        words[: 3 + (i < TOPICS)] = words_of(i % TOPICS)[: 3 + (i < TOPICS)]
        sentences = [" ".join(words[j : j + 5]).capitalize() + "." for j in range(0, size, 5)]
        made.append(Passage(f"p{i}", "", " ".join(sentences), {"source": "abcde"[int(random.integers(5))]}))
    return made


@pytest.fixture(scope="module")
def clean():
    return toy(corpus(), every="")


# --- what holds -----------------------------------------------------------------------------------


def passed(kind="length", family=RETRIEVER, effect=1.0, p=0.001, stands=True, subject="the retriever"):
    counter = Counterfactual("it was cut", "nDCG@10", 0.25, 0.5, 9, stands)
    said = Confirmation("It is so.", 0.5, 1.5, ("p1",), counter)
    return claims.Tested(kind, family, Subject("retriever", subject), effect, "spreads", 0.2, p, 20, lambda: said)


def test_a_claim_is_significant_large_enough_and_confirmed():
    tests = [
        passed("a"),
        passed("b", p=0.5),
        passed("c", effect=-0.1),
        passed("d", stands=False),
        passed("e", effect=-2),
    ]
    found = held(tests)
    assert [claim.kind for claim in found.claims] == ["a", "e"]
    assert {count.kind: tuple(count)[1:] for count in found.counts} == {
        "a": (1, 1, 1, 1), "b": (1, 0, 0, 0), "c": (1, 1, 0, 0), "d": (1, 1, 1, 0), "e": (1, 1, 1, 1)
    }  # fmt: skip


def test_a_counterfactual_is_worked_out_only_where_a_test_passed():
    refused = passed(p=0.5)._replace(confirm=lambda: pytest.fail("nothing to confirm"))
    assert not held([refused]).claims


def test_few_tests_are_corrected_by_holm_and_thousands_by_benjamini_and_hochberg():
    # Holm: .01 * 3, then max(.03, .02 * 2), then max(.04, .04 * 1). Benjamini-Hochberg: .01 * 2 / 1, .02 * 2 / 2.
    p = [(RETRIEVER, 0.01), (CONCEPTS, 0.02), (RETRIEVER, 0.02), (PASSAGES, 0.3), (RETRIEVER, 0.04), (CONCEPTS, 0.01)]
    np.testing.assert_allclose(corrections(p), [0.03, 0.02, 0.04, 0.3, 0.04, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from([RETRIEVER, CONCEPTS]))
def test_no_correction_lowers_a_p_or_leaves_the_range(p, family):
    corrected = corrections([(family, one) for one in p])
    assert (corrected >= np.array(p) - 1e-12).all()
    assert (corrected <= 1).all()


def test_a_claim_is_the_same_after_json():
    (claim,) = held([passed()]).claims
    assert Claim.from_dict(json.loads(json.dumps(claim.to_dict()))) == claim


# --- experiments ----------------------------------------------------------------------------------


def test_a_t_test_by_hand():
    # Mean 2, standard deviation 1, so t = 2 / (1 / sqrt 3) = 3.4641 on 2 degrees of freedom: p = .0742.
    found = t_test(np.array([1.0, 2.0, 3.0]))
    assert found.mean == 2
    assert found.p == pytest.approx(0.0742, abs=1e-4)
    assert (found.low, found.high) == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-3)
    assert t_test(np.zeros(4)).p == 1
    assert returns(1.0, t_test(np.array([1.0, 1.1, 0.9])))
    assert not returns(-1.0, t_test(np.array([1.0, 1.1, 0.9])))
    assert not returns(1.0, t_test(np.array([0.01, 0.011, 0.009])))  # surely above 0, and far too small


def test_a_change_counts_in_spreads_and_ranks(clean):
    text = clean.queries[0].text
    found = changes(clean, [Pair(0, 40, text)])
    scores = clean.rows @ clean.asked[0]
    before, after = float(scores[40]), float(WordEncoder().encode_passages([text])[0] @ clean.asked[0])
    assert found.effects[0] == pytest.approx((after - before) / clean.spread[0], rel=1e-4)
    assert found.after[0] == 1
    assert found.before[0] == 1 + (np.delete(scores, 40) > before).sum()


def test_what_a_change_is_compared_with_is_embedded_too(clean):
    same = changes(clean, [Pair(0, 40, "barta delmo", "barta delmo")])
    assert same.effects[0] == 0
    assert same.before[0] == same.after[0]


def test_no_query_is_in_two_pairs(clean):
    pairs = one_a_query(clean, [(0, 1), (0, 2), (1, 1), (2, 5)], 2, "what")
    assert len({query for query, _ in pairs}) == len(pairs) == 2


# --- formulas -------------------------------------------------------------------------------------


def test_attention_and_what_is_deserved_by_hand():
    # Weights 1 / log2(2) and 1 / log2(3) = 1 and .6309, scaled to 1: .6131 and .3869.
    shown = exposure.attention([np.array([2, 0]), np.array([], np.int64)], 3)
    np.testing.assert_allclose(shown, [0.3869, 0, 0.6131], atol=1e-4)


def test_a_group_that_gets_double_has_an_effect_of_one():
    assert exposure.log_ratio(np.array([0.5, 0.5]), np.array([0.25, 0.75]), np.array([0])) == 1


def test_a_group_is_moved_to_where_others_lie():
    # Moved by -1 along the first axis: (0, 5) and (0, 3), each scaled back to the length it had.
    rows = np.array([[1, 5], [1, 3], [0, 5], [0, 3]], np.float32)
    moved = [[0, 26**0.5], [0, 10**0.5], [0, 5], [0, 3]]
    np.testing.assert_allclose(exposure.moved(rows, np.array([0, 1])), moved, rtol=1e-6)
    assert rows[0, 0] == 1  # the rows that came in stay


@given(st.integers(0, 10_000))
def test_what_is_shown_adds_up_to_one(seed):
    random = np.random.default_rng(seed)
    found = [random.permutation(20)[: int(random.integers(1, 15))] for _ in range(5)]
    assert exposure.attention(found, 20).sum() == pytest.approx(1)


def test_the_surplus_of_a_concept_by_hand(clean):
    # One query along axis 0; passage 1 stands before the relevant passage 0. Parts of latent 0: .8 and .2.
    rows = np.zeros((3, D), np.float32)
    rows[0, 0], rows[1, 0], rows[2, 1] = 0.2, 0.8, 0.9
    asked = np.eye(1, D, dtype=np.float32)
    of = replace(
        clean, passages=clean.passages[:3], rows=rows, latents=clean.sae.encode(rows), queries=clean.queries[:1],
        asked=asked, found=[np.array([1, 0, 2])], relevant=[{0: 1}],
    )  # fmt: skip
    queries, parts = failures.surplus(of, failures.FAILURE)
    assert queries == [0]
    spread = np.std([0.2, 0.8, 0.0])
    assert parts.toarray()[0, 0] == pytest.approx((0.8 - 0.2) / spread, rel=1e-5)
    assert failures.surplus(of, failures.SUCCESS)[0] == []
    counter = failures.erased(of, failures.FAILURE, 0)  # every score is 0 then, and the first of the corpus is relevant
    assert (counter.before, counter.after, counter.n) == (pytest.approx(1 / math.log2(3)), 1.0, 1)


def test_an_auroc_counts_ties_half():
    assert labels.auroc(np.array([1.0, 1.0, 0.0]), np.array([True, False, False])) == 0.75


def test_near_duplicates_are_near_and_say_the_same(clean):
    text = clean.passages[0].text
    passages = [*clean.passages, Passage("copy", "", f"{text} Moon."), Passage("other", "", "Nothing of it here.")]
    assert hubs.near_duplicates(toy(passages), 0).tolist() == [0, 300]


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("write to ann.lee@mail.example.org today", ["ann.lee@mail.example.org"]),
        ("call (555) 123-4567 or +49 30 1234 5678", ["(555) 123-4567", "+49 30 1234 5678"]),
        ("card 4111 1111 1111 1111 and 4111 1111 1111 1112", ["4111 1111 1111 1111"]),
        ("account DE89 3704 0044 0532 0130 00 paid", ["DE89 3704 0044 0532 0130 00"]),
        ("no 078-05-1120 here", ["078-05-1120"]),
        ("in 2019, 12,345.67 people (n = 1234567) of 0000000000000000 met @home", []),
    ],
)
def test_personal_data_is_found_by_its_form_and_check_digits(text, held):
    assert [text[a:b] for a, b in suspects.personal(text)] == held


def test_boilerplate_is_shown_without_the_personal_data_in_it():
    assert suspects.masked("ask ann@mail.example.org or (555) 123-4567.") == "ask … or …."


def test_markup_is_found_and_comparisons_are_not():
    text = "<b>bold</b> &amp; {{cite}} [[link]] https://x.example/y a < b and c > d"
    found = [text[a:b] for a, b in suspects.markup(text)]
    assert found == ["<b>", "</b>", "&amp;", "{{cite}}", "[[link]]", "https://x.example/y"]
    assert suspects.cut("a <b>c</b> d", suspects.markup("a <b>c</b> d")) == "a c d"


@settings(max_examples=20)
@given(st.text(max_size=60), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=4))
def test_what_is_cut_out_is_gone_and_nothing_is_said_twice(text, spans):
    spans = [(min(s), max(s)) for s in spans]
    left = "".join(c for i, c in enumerate(text) if not any(a <= i < b for a, b in spans))
    assert "".join(suspects.cut(text, spans).split()) == "".join(left.split())


def test_a_footer_is_found_whatever_its_year():
    footer = "Copyright {} The Moon Company all rights reserved in every country."
    texts = [f"{p.text} {footer.format(2000 + i)}" if i % 3 == 0 else p.text for i, p in enumerate(corpus(90))]
    (run,) = repeated.repeated(texts, np.random.default_rng(0))
    assert run.text == "Copyright 2000 The Moon Company all rights reserved in every country"
    assert run.passages == list(range(0, 90, 3))
    assert [texts[3][a:b] for a, b in run.spans(texts[3])] == [footer.format(2003)[:-1]]


def test_nothing_is_repeated_in_unrelated_texts_or_in_near_duplicates():
    texts = [passage.text for passage in corpus(90)]
    assert repeated.repeated(texts, np.random.default_rng(0)) == []
    assert repeated.repeated([f"{texts[0]} {i}" for i in range(40)], np.random.default_rng(0)) == []


def test_a_question_is_leaked_if_it_stands_word_for_word():
    long = Query("q", "Which of the two moons rises first in March?")
    passages = [*corpus(10), Passage("x", "", "FAQ. Which of the two MOONS rises first, in March? None.")]
    of = toy(corpus(60))
    of = replace(of, passages=passages, queries=[long, Query("s", "Which moon?")])
    assert [(query, at) for query, at, _ in suspects.leaks(of)] == [(0, 10)]


def test_a_word_in_its_other_number():
    assert biases.inflected("Cells and glass; cell", {"cells", "cell", "glass"}) == "Cell and glasses; cells"


def test_a_label_has_its_concept_and_what_the_probe_loses_without_it():
    random = np.random.default_rng(0)
    rows = unit(np.abs(random.normal(size=(200, D))) * 0.1)
    moon = np.arange(200) % 2 == 0
    rows[moon, 3] += 1
    passages = [Passage(f"p{i}", "", "x", {"about": "moon" if moon[i] else "sea"}) for i in range(200)]
    of = replace(toy(corpus(60)), passages=passages, rows=rows, queries=[])
    of = replace(of, latents=csr_array(of.sae.encode(rows)))
    row = next(row for row in labels.table(of, ["about"]) if row.value == "moon")
    assert (row.latent, row.name, row.n) == (3, "moon", 100)
    assert row.single == row.probe == 1
    assert row.loses > 0.9
    assert row.loses_by_another < 0.1
    (claim, *_) = held(list(labels.tests(of, [row]))).claims
    assert "“moon” (#3) stands for the label about = moon" in claim.sentence


# --- planted faults -------------------------------------------------------------------------------


def claims_of(of, groups=("source",)):
    return audits.audit_of(of, "2026-01-01T00:00:00+00:00", ABOUT, groups).claims


ABOUT = {"project": "p", "corpus": "c", "passages": 1, "queries": 1, "judged": 1, "encoder": "e", "dictionary": "d",
         "latents": D, "system": "dense", "run": None, "agreement": 1.0, "measure": "nDCG@10", "seed": 0}  # fmt: skip


def test_of_a_clean_corpus_nothing_is_claimed(clean):
    own = {"position", "repetition", "literal match"}  # words that add up know no place, and repeating one weighs more
    assert [claim.sentence for claim in claims_of(clean) if claim.kind not in own] == []


@pytest.mark.parametrize("sign", [1, -1])
def test_a_preference_for_length_is_found_with_its_sign(sign):
    passages = corpus(length=(10, 80))
    of = toy(passages, WordEncoder(lambda text: sign * 0.5 * math.log(len(text.split()) / 30) * TOWARDS_QUERIES))
    (claim,) = [claim for claim in claims_of(of) if claim.kind == "length"]
    assert claim.effect * sign > biases.SMALLEST_LENGTH
    assert ("longer" if sign > 0 else "shorter") in claim.sentence
    ranks = claim.counterfactual.before, claim.counterfactual.after
    assert (ranks[0] > ranks[1]) == (sign > 0)


def test_a_favoured_group_is_found_and_its_direction_explains_it():
    passages = [p._replace(title=f"{p.metadata['source']}desk") for p in corpus()]
    of = toy(passages, WordEncoder(lambda text: 0.4 * TOWARDS_QUERIES * text.startswith("adesk")))
    (claim,) = [claim for claim in claims_of(of) if claim.kind == "exposure" and claim.effect > 0]
    assert claim.subject.name == "source = a"
    assert claim.counterfactual.before > 2 * claim.counterfactual.after


def test_near_duplicate_hubs_are_one_claim():
    new = [
        Passage(f"hub{i}", "", f"what {' '.join(['what'] * 19)} mellow sea is a fine place to be in {VOCABULARY[i]}")
        for i in range(4)
    ]
    found = [claim for claim in claims_of(toy([*corpus(), *new]), ()) if "hub0" in claim.subject.passage_ids]
    (claim,) = found
    assert claim.kind == "hub"
    assert claim.subject.passage_ids == ("hub0", "hub1", "hub2", "hub3")
    assert claim.counterfactual.after > claim.counterfactual.before


def test_boilerplate_that_changes_scores_is_found():
    footer = "what moon what sea what wind what blade what tower"
    passages = [p if i % 3 else p._replace(text=f"{p.text} {footer}") for i, p in enumerate(corpus())]
    of = toy(passages)
    found = [claim for claim in claims_of(of) if claim.kind == "boilerplate"]
    assert [claim.subject.name for claim in found] == [footer]
    assert found[0].counterfactual.after > found[0].counterfactual.before  # a worse rank without it


def test_leaked_questions_are_found():
    passages = corpus()
    asked = [" ".join(words_of(i)[:2] + VOCABULARY[i : i + 5]) for i in range(TOPICS)]
    for i in range(40):
        passages[i] = passages[i]._replace(text=f"{asked[i]}? {passages[i].text}")
    of = toy(passages)
    queries = [Query(f"q{i}", text) for i, text in enumerate(asked)]
    of = replace(of, queries=queries, asked=WordEncoder().encode_queries(asked))
    of = replace(of, found=replace(of).dense)
    (claim,) = [claim for claim in claims_of(of) if claim.kind == "leaked question"]
    assert set(claim.subject.passage_ids) == {f"p{i}" for i in range(40)}
    assert claim.effect < 0


def test_without_judgements_all_else_is_tested():
    made = audits.audit_of(toy(corpus(), judged=False), "", ABOUT, ["source"])
    assert {"length", "exposure", "hub"} <= {count.kind for count in made.counts}
    assert not {"failure", "success"} & {count.kind for count in made.counts}
    assert any("Nobody judged" in note for note in made.notes)


def test_without_an_encoder_nothing_is_said_of_changed_texts(clean):
    made = audits.audit_of(replace(clean, encoder=None), "", ABOUT)
    assert not {"position", "repetition", "boilerplate"} & {count.kind for count in made.counts}
    assert any("what made the embeddings" in note for note in made.notes)


def test_a_ranking_unlike_dense_search_is_not_claimed_about(clean):
    random = np.random.default_rng(0)
    other = replace(clean, found=[random.permutation(300)[:100] for _ in clean.queries])
    made = audits.audit_of(other, "", ABOUT)
    assert not made.claims
    assert any("nothing is claimed" in note for note in made.notes)


def test_the_same_seed_gives_the_same_audit(clean):
    one, other = (audits.audit_of(replace(clean), "", ABOUT, ["source"]) for _ in range(2))
    assert one == other


# --- pages and projects ---------------------------------------------------------------------------

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e\"'&{{ 7 * 7 }}"


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.said = [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.said += data


def hostile_audit():
    counter = Counterfactual(HOSTILE, HOSTILE, 0.25, 0.5, 9, True)
    said = Confirmation(f"It is {HOSTILE}.", 0.5, 1.5, (HOSTILE,), counter)
    one = claims.Tested(
        f"label {HOSTILE}", RETRIEVER, Subject("group", HOSTILE), 1.0, HOSTILE, 0.2, 0.001, 20, lambda: said
    )
    found = held([one])
    row = labels.LabelRow(HOSTILE, HOSTILE, 5, 1, HOSTILE, 0.9, 1.0, 0.5, 0.1)
    about = {**ABOUT, "project": HOSTILE, "encoder": HOSTILE, "system": None, "run": {"file": HOSTILE, "sha256": "0"}}
    return audits.Audit("2026-01-01", about, found.claims, found.counts, (row,), (HOSTILE,))


def test_hostile_text_stays_text_on_the_page():
    shown = page.render(hostile_audit())
    read = _Page()
    read.feed(shown)
    assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in read.tags}
    assert not any(
        name.startswith("on") or name in ("src", "href") for _, attributes in read.tags for name in attributes
    )
    assert "<script>alert(1)</script>" in read.said
    assert "{{ 7 * 7 }}" in read.said
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_an_audit_is_the_same_after_json():
    made = hostile_audit()
    assert audits.Audit.from_dict(json.loads(json.dumps(made.to_dict()))) == made


@pytest.fixture
def copied(tiny_project_folder, tmp_path):
    shutil.copytree(tiny_project_folder, tmp_path / "tiny")
    return tmp_path / "tiny"


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()
    }


def test_an_audit_writes_its_page_and_record_and_nothing_else(copied):
    before = files(copied.parent)
    made = stage.audit(Project.open(copied), groups=["half"])
    after = files(copied.parent)
    assert after.keys() - before.keys() == {"tiny/audit.html", "tiny/audit.json"}
    assert all(after[name] == written for name, written in before.items() if not name.endswith((".db", "-wal", "-shm")))
    assert stage.load(copied) == made
    assert made.date.endswith("+00:00")
    assert made.about["system"] == "dense"
    assert made.about["agreement"] == 1
    assert (copied / "audit.html").read_text(encoding="utf-8") == page.render(made)


def test_any_engines_run_is_audited(copied, tmp_path):
    run = tmp_path / "other.trec"
    run.write_text("".join(f"q{i} Q0 p{j} 1 {60 - j} x\n" for i in range(6) for j in range(60)))
    made = stage.audit(Project.open(copied), run=run)
    assert made.about["run"]["file"] == "other.trec"
    assert not made.claims
    assert any("in common with dense search" in note for note in made.notes)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"groups": ["no"]}, "no passage has metadata 'no'"),
        ({"labels": ["no"]}, "no passage has metadata 'no'"),
        ({"system": "no"}, "there is no system 'no'"),
        ({"measure": "no"}, "no measure"),
    ],
)
def test_what_is_wrong_is_said(copied, options, said):
    with pytest.raises(BadData, match=said):
        stage.audit(Project.open(copied), **options)
    assert not (copied / "audit.json").exists()


def test_a_run_of_other_queries_is_refused(copied, tmp_path):
    (tmp_path / "run").write_text("x1 Q0 p1 1 1.0 x\n")
    with pytest.raises(BadData, match="ranks none of the 6 queries"):
        stage.audit(Project.open(copied), run=tmp_path / "run")


def test_another_encoder_than_the_one_that_embedded_is_refused(copied):
    project = Project.open(copied, encoder=lambda texts: np.ones((len(texts), 8)))
    manifest = copied / "embeddings" / "passages" / "config.json"
    assert manifest.exists()
    with pytest.raises(BadData, match="another embedding than the project holds"):
        stage._encoder(_Named(project))


class _Named:
    """A project whose embeddings' encoder is known."""

    def __init__(self, project):
        self.encoder, self.corpus, self.embedded = project.named_encoder, project.corpus, project.embedded


def test_a_project_that_was_not_audited_says_so(copied):
    with pytest.raises(MissingArtifact, match="unweave audit"):
        stage.load(copied)
    (copied / "audit.json").write_text("[]")
    with pytest.raises(BadData, match="holds no audit"):
        stage.load(copied)


def test_the_command_prints_what_holds_and_where_the_page_lies(copied):
    done = CliRunner().invoke(command, [str(copied), "--group", "half", "--label", "half"])
    assert done.exit_code == 0, done.output
    assert "audit.html" in done.stdout
    assert "half = a: " in done.stdout
    as_json = CliRunner().invoke(command, [str(copied), "--json"])
    assert json.loads(as_json.stdout)["about"]["queries"] == 6
