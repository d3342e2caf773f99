"""Readers of foreign bytes: what a long fuzzing run found, and a short run of it; see faults/fuzz_readers.py."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent / "faults"))  # by no name that the benchmark of faults has too

from fuzz_readers import SEEDS, case, outcome, readers

KNOWN = readers()
KEPT = sorted(path for path in SEEDS.rglob("*") if path.is_file())


def named(seed: Path) -> tuple[str, str]:
    """The reader of a seed, and which of its files it stands for: READER/NUMBER/FILE."""
    reader, _, *file = seed.relative_to(SEEDS).parts
    return reader, "/".join(file)


def test_what_nobody_damaged_is_read(tmp_path):
    for name, reader in KNOWN.items():
        file, content = next(iter(reader.files.items()))
        (tmp_path / name).mkdir()
        assert outcome(reader, file, content, tmp_path / name) == "loaded", name


@pytest.mark.parametrize("seed", KEPT, ids=lambda path: path.relative_to(SEEDS).as_posix())
def test_what_fuzzing_found_is_one_error(tmp_path, seed):
    reader, file = named(seed)
    assert outcome(KNOWN[reader], file, seed.read_bytes(), tmp_path) in ("loaded", "refused")


@settings(max_examples=150)
@given(st.integers(0, 2**40))
def test_damaged_files_load_or_are_refused_by_one_error(tmp_path_factory, number):
    one = case(number, KNOWN, list(KNOWN))
    found = outcome(KNOWN[one.reader], one.changed, one.content, tmp_path_factory.mktemp("case"))
    assert found in ("loaded", "refused"), one.reader
