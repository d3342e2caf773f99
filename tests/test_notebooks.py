"""The notebooks run from the first cell to the last, on a small project of real text."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
ALL = 'list(uw.open_collection("vital-articles").passages)'


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_the_first_cell_to_the_last(path, project_folder, tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    shutil.copytree(project_folder, tmp_path / "demo")
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "notebooks are kept without their outputs"
    for cell in notebook.cells:
        cell.source = cell.source.replace(ALL, f"{ALL}[::20]")
    nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert shown and not any(output.output_type == "error" for output in shown)


def test_the_notebooks_are_the_ones_that_the_readme_names():
    page = (Path(__file__).parent.parent / "notebooks" / "README.md").read_text(encoding="utf-8")
    assert NOTEBOOKS and all(f"({path.name})" in page for path in NOTEBOOKS)
