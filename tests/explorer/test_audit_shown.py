"""An audit with claims that hold: a fault is planted, found by a job that the page begins, and shown with its proof."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import unit
from explorer.reading import asked, expect
from invoked import unweave
from unweave.base.records import Passage, Query
from unweave.project import Project
from unweave.texts.collection import Collection

N, QUERIES, D = 300, 40, 16


@pytest.fixture(scope="module")
def with_a_hub(chromium, serve, tmp_path_factory):
    """Each query is its passage and what all queries share, which one passage is alone: it stands first everywhere."""
    folder = tmp_path_factory.mktemp("audited")
    random = np.random.default_rng(0)
    passages = unit(np.pad(random.normal(size=(N, D - 1)), ((0, 0), (1, 0))))  # of what all share they have nothing
    shared = np.eye(D)[0]
    passages[-1] = shared
    words = [f"{a}{b}" for a in ("sea", "wind", "stone", "moon", "cloud") for b in ("side", "mill", "wall", "light")]
    texts = [" ".join(random.choice(words, 8)) for _ in range(N)]
    source = Collection(
        passages=[Passage(f"p{i}", f"Passage {i}", text) for i, text in enumerate(texts)],
        queries=[Query(f"q{i}", texts[i]) for i in range(QUERIES)],
        qrels={"test": {f"q{i}": {f"p{i}": 1} for i in range(QUERIES)}},
    )
    Project.create(folder / "project", source)
    np.save(folder / "passages.npy", passages.astype(np.float32))
    np.save(folder / "queries.npy", unit(passages[:QUERIES] + 1.2 * shared))
    for command, options in (
        ("embed", ["--passages", folder / "passages.npy", "--queries", folder / "queries.npy"]),
        ("fit", ["--n-latents", "32", "--k", "4", "--steps", "40", "--batch-size", "32"]),
        ("name", []),
        ("index build", []),
    ):
        done = unweave(*command.split(), folder / "project", *options)
        assert done.exit_code == 0, done.output
    return serve(folder / "project")


def test_a_hub_is_found_shown_with_its_proof_and_opened(visit, with_a_hub):
    page = visit(with_a_hub, "/audit", refused="/api/audit")
    page.get_by_role("button", name="Audit dense search").click()
    hubs = page.locator("section", has=page.get_by_role("heading", name="hub", exact=True)).last
    card = hubs.locator(".audit-claim")
    expect(card).to_have_count(1)
    [claim] = [one for one in asked(page, "/api/audit")["audit"]["claims"] if one["kind"] == "hub"]
    assert claim["subject"]["passage_ids"] == [f"p{N - 1}"]
    assert claim["n"] == QUERIES
    expect(card.locator(".audit-said")).to_have_text(claim["sentence"])
    expect(card.get_by_role("table")).to_contain_text(f"{claim['counterfactual']['before']:.3f}")
    expect(card.get_by_role("table")).to_contain_text(f"{claim['counterfactual']['after']:.3f}")
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    card.get_by_role("link", name=f"p{N - 1}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Passage {N - 1}")
