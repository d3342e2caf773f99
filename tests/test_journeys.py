"""The journeys of docs/journeys are walked as they are shown, on a small project of real text."""

from __future__ import annotations

import pytest

from benchmarks_of_the_repository import load_benchmark

journeys = load_benchmark("journeys")


@pytest.mark.parametrize("name", journeys.JOURNEYS)
def test_each_command_of_a_journey_shows_what_its_page_says(name, project_folder, tmp_path):
    assert journeys.walk(journeys.JOURNEYS[name], tmp_path / name, project_folder, long=False)


def test_a_step_that_shows_something_else_ends_its_journey(tmp_path):
    journey = journeys.Journey((journeys.Step("echo one", ("two",)),))
    with pytest.raises(SystemExit, match="does not show"):
        journeys.walk(journey, tmp_path / "j")


def test_a_step_that_fails_ends_its_journey(tmp_path):
    journey = journeys.Journey((journeys.Step("cat nothing-of-this-name", ()),))
    with pytest.raises(SystemExit, match="status 1"):
        journeys.walk(journey, tmp_path / "j")


def test_bars_that_come_and_go_are_no_part_of_a_transcript(tmp_path):
    shown = journeys._run("printf ' embedding:  50%%|##  | 1/2\\n'; echo kept", tmp_path)
    assert shown == "kept"
