"""Naming that costs money: nobody begins it untold, what it spends is seen, and it is cancelled after a second word."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from explorer.conftest import Served
from explorer.reading import asked, expect
from misbehaving_server import Server, serving
from unweave.project import Project


class Paid(NamedTuple):
    """A project whose concepts a language model may name, and the model's server."""

    served: Served
    model: Server
    going_on: threading.Event
    """Set, it answers; else each answer waits for it."""


@pytest.fixture
def paid(chromium, serve, tiny_project_folder, tmp_path) -> Iterator[Paid]:
    going_on = threading.Event()
    going_on.set()

    def answer(request) -> str:
        going_on.wait(30)
        return json.dumps({"name": "sea and wind", "description": "Texts about the sea and the wind."})

    shutil.copytree(tiny_project_folder, tmp_path / "paid")
    with serving(lambda request: "fine", answer=answer) as model:
        Project.open(tmp_path / "paid").keep(
            "language_model", base_url=model.base_url, input_price=100.0, output_price=100.0, cap=1.0, concurrency=1
        )
        yield Paid(serve(tmp_path / "paid"), model, going_on)
        going_on.set()


def test_naming_by_a_language_model_tells_its_price_first_and_is_cancelled_after_a_second_word(visit, paid):
    page = visit(paid.served, "/jobs")
    page.get_by_role("button", name="Start a job").click()
    dialog = page.get_by_role("dialog", name="Start a job")
    dialog.get_by_role("radio", name="Naming with a language model").check()
    ask = dialog.get_by_role("button", name="Ask the language model")
    forecast = dialog.locator(".forecast li")
    said = asked(page, "/api/jobs/forecast")["said"]  # beside the page, which asks for the same evidence
    expect(forecast).to_have_text(said)
    assert any("left of the cap" in line for line in said)
    expect(dialog).to_contain_text("0.00 spent of a cap of 1.00")
    dialog.get_by_label("Concepts at most").fill("5")
    expect(forecast.first).to_have_text("concepts 5")
    assert paid.model.requests == []  # nothing was sent

    paid.going_on.clear()
    ask.click()
    running = page.get_by_role("article", name="Naming with a language model")
    expect(running).to_contain_text("spent of a cap of 1.00")
    running.get_by_role("button", name="Cancel …").click()
    sure = page.get_by_role("dialog", name="Cancel naming?")
    expect(sure).to_contain_text("Requests that are on their way are still paid for.")
    page.keyboard.press("Escape")  # to keep naming
    expect(running.get_by_role("button", name="Cancel …")).to_be_visible()
    running.get_by_role("button", name="Cancel …").click()
    sure.get_by_role("button", name="Cancel it").click()
    paid.going_on.set()
    line = page.get_by_role("row", name="Naming with a language model").first
    expect(line).to_contain_text("Cancelled")
    assert asked(page, "/api/jobs")["spent"]["requests"] < 5

    line.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("row", name="Naming with a language model").first).to_contain_text("Done")
    spent = asked(page, "/api/jobs")["spent"]
    assert (spent["requests"], spent["cost"] > 0) == (5, True)


def test_a_cap_that_is_reached_stops_the_naming_and_says_so(visit, paid):
    Project.open(paid.served.project).keep("language_model", cap=0.3)
    page = visit(paid.served, "/jobs")
    page.get_by_role("button", name="Start a job").click()
    dialog = page.get_by_role("dialog", name="Start a job")
    dialog.get_by_role("radio", name="Naming with a language model").check()
    dialog.get_by_role("button", name="Ask the language model").click()
    line = page.get_by_role("row", name="Naming with a language model").first
    expect(line).to_contain_text("cap")
    spent = asked(page, "/api/jobs")["spent"]
    assert 0 < spent["cost"] <= 0.3 and spent["requests"] < 16
