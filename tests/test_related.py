"""The page of related methods: its code runs on a small project, and what it shows is what was printed."""

from __future__ import annotations

import contextlib
import shutil

from benchmarks_of_the_repository import load_benchmark

related = load_benchmark("related")


def test_every_block_of_the_page_runs_and_prints(project_folder, tmp_path):
    shutil.copytree(project_folder, tmp_path / "articles")
    with contextlib.chdir(tmp_path):
        printed = related.run(related.page_blocks())
    assert len(printed) == related.PAGE.read_text(encoding="utf-8").count("<!-- begin related_")
    assert all(printed.values())
    assert [line.split(":")[0] for line in printed["related_pursuit"]] == ["k =  1", "k =  4", "k = 16", "k = 64"]
