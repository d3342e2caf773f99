"""Concepts written to a file, reviewed there, and read back as edits."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unweave.base.records import Trust
from unweave.concepts import edits, exchange, store, tables
from unweave.concepts.concept import CURATED, DETECTION, OVER_NULLS, PERSON, Concept, Example, Naming, Score
from unweave.concepts.database import writing
from unweave.concepts.exchange import COLUMNS, export, import_curated, import_edits, read_changes
from unweave.concepts.store import Concepts
from unweave.errors import BadData

TEXTS = ["Kites fly\nin the wind.", "=HYPERLINK(A1)", "\x1b[31mred\u202e", "x" * 300, "never shown"]
CONCEPTS = [
    Concept(
        0, 9, 2.0,
        (Naming("language-model", "kites", "Texts about kites."), Naming("keyphrases", "kite festival")),
        (Example("passages", 0, 2.0), Example("sentences", 3, 1.5), Example("passages", 1, 1.0),
         Example("passages", 4, 0.9), Example("passages", 4, 0.0, "random")),
    ),
    Concept(1, 7, 1.5, (Naming("keyphrases", "=2+3"),), (Example("passages", 1, 1.5),), flag="hub"),
    Concept(2, 5, 1.0, (Naming("keyphrases", None),)),
    Concept(3, 3, 1.0, (Naming("keyphrases", "long\x07 name " + "y" * 70),), (Example("passages", 2, 1.0),)),
]  # fmt: skip


@pytest.fixture
def database(tmp_path) -> Path:
    """Concepts 0 to 3; 0 is judged, 3 is merged into 0."""
    file = tmp_path / store.DATABASE
    store.create(file)
    store.add(file, CONCEPTS)
    scores = Score(DETECTION, 0.75, 0.55, 0.9, 20), Score(OVER_NULLS, 0.9, 0.6, 1.0, 100)
    store.add_scores(file, [(0, "language-model", score) for score in scores])
    edits.merge(file, 3, 0)
    return file


def content(example: Example) -> str:
    return TEXTS[example.position]


def rows(database: Path) -> list[str]:
    with writing(database) as db:
        return list(db.iterdump())


def table(path: Path, header: str, *lines: str, encoding: str = "utf-8") -> Path:
    path.write_text("\n".join([header, *lines]) + "\n", encoding=encoding)
    return path


def cells(path: Path) -> list[dict[str, str]]:
    """A CSV file as a spreadsheet would show it."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


# --- export ---------------------------------------------------------------------------------------


def test_a_row_holds_what_a_name_is_judged_by(database, tmp_path):
    assert export(Concepts(database), tmp_path / "out.jsonl", content) == 4
    first, second, nameless, merged = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert first == {
        "latent": 0, "name": "kites", "namer": "language-model", "trust": "vague", "holds_from": None,
        "returns": None, "detection": 0.75, "document_frequency": 9, "flag": None, "merged_into": None,
        "description": "Texts about kites.", "keyphrases": "kite festival",
        "examples": ["Kites fly in the wind.", "x" * 199 + "…", "=HYPERLINK(A1)"],
    }  # fmt: skip
    assert (second["name"], second["flag"], second["detection"]) == ("=2+3", "hub", None)
    assert (nameless["name"], nameless["examples"]) == (None, [])
    assert (merged["name"], merged["merged_into"]) == ("long name " + "y" * 70, 0)
    assert merged["examples"] == ["[31mred"]


def test_a_spreadsheet_gets_the_same_rows_and_no_formula(database, tmp_path):
    export(Concepts(database), tmp_path / "out.CSV", content, examples=2, longest=10)
    assert (tmp_path / "out.CSV").read_bytes().startswith(b"\xef\xbb\xbflatent,name,")
    first, second, nameless, merged = cells(tmp_path / "out.CSV")
    assert tuple(first) == COLUMNS
    assert first["examples"] == "Kites fly… | xxxxxxxxx…"
    assert (second["name"], second["keyphrases"], second["examples"]) == ("'=2+3", "'=2+3", "'=HYPERLIN…")
    assert (nameless["name"], nameless["detection"], nameless["merged_into"]) == ("", "", "")
    assert merged["merged_into"] == "0"


@pytest.mark.parametrize("name", ["out.xlsx", "out", "out.csv.gz"])
def test_a_file_of_another_format_is_refused(database, tmp_path, name):
    said = rf"{name}: cannot tell its format; expected a name that ends in \.csv or \.jsonl"
    with pytest.raises(BadData, match=said):
        export(Concepts(database), tmp_path / name, content)
    assert not (tmp_path / name).exists()
    (tmp_path / name).write_text("latent,name\n0,toys\n")
    with pytest.raises(BadData, match=said):
        import_edits(database, tmp_path / name)


def test_an_export_that_fails_leaves_the_file_as_it_was(database, tmp_path, monkeypatch):
    before = table(tmp_path / "out.csv", "mine").read_bytes()
    monkeypatch.setattr(tables, "guarded", lambda cell: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(Concepts(database), tmp_path / "out.csv", content)
    assert (tmp_path / "out.csv").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name != store.DATABASE] == ["out.csv"]


# --- cells ----------------------------------------------------------------------------------------

_texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.text("'=+-@\t\ra ", max_size=6) | _texts)
def test_a_guarded_cell_is_no_formula_and_reading_it_brings_it_back(cell):
    assert not tables.guarded(cell).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert tables.unguarded(tables.guarded(cell)) == cell


@pytest.mark.parametrize("cell", ["", "'tis", "a=b", "''", "'a'", "1"])
def test_a_cell_that_is_no_formula_is_not_guarded(cell):
    assert tables.guarded(cell) == tables.unguarded(cell) == cell


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@given(written=st.lists(st.tuples(st.integers(0, 2**62), _texts, _texts)))
def test_writing_and_reading_a_table_changes_nothing(tmp_path_factory, suffix, written):
    path = tmp_path_factory.mktemp("table") / f"table{suffix}"
    columns = ("latent", "name", "flag")
    tables.write(path, columns, [dict(zip(columns, row, strict=True)) for row in written])
    if written or suffix == ".csv":
        read = [tuple(cells.values()) for _, cells in tables.read(path, columns[:1], columns[1:])]
        assert read == [(str(latent), name, flag) for latent, name, flag in written]


# --- import ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl"])
def test_what_was_exported_and_not_changed_makes_no_edit(database, tmp_path, name):
    edits.rename(database, 1, "@home", "-1 + 1 = 0")
    edits.flag(database, 2, "'+'")
    export(Concepts(database), tmp_path / name, content)
    before = rows(database)
    assert import_edits(database, tmp_path / name) == []
    assert rows(database) == before


def test_changed_cells_become_edits_that_can_be_undone(database, tmp_path):
    export(Concepts(database), tmp_path / "out.csv", content)
    before = rows(database)
    changed = cells(tmp_path / "out.csv")
    changed[0] |= {"name": "=kites", "trust": "holds", "examples": "mine"}
    changed[1] |= {"flag": "", "description": "Sums."}
    changed[2] |= {"name": "tide", "merged_into": "1"}
    with (tmp_path / "back.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter=";")  # as spreadsheets do where a comma parts decimals
        writer.writeheader()
        writer.writerows(changed)
    made = import_edits(database, tmp_path / "back.csv")
    assert [(edit.action, edit.latent) for edit in made] == [
        ("rename", 0), ("rename", 1), ("flag", 1), ("rename", 2), ("merge", 2),
    ]  # fmt: skip
    assert made == edits.history(database)[1:]
    concepts = Concepts(database)
    assert concepts.concept(0).namings[0] == Naming(PERSON, "=kites", "Texts about kites.")
    assert concepts.concept(1).namings[0] == Naming(PERSON, "=2+3", "Sums.")
    assert (concepts.concept(1).flag, concepts.concept(2).name, concepts[2]) == (None, "tide", "=2+3")
    for _ in made:
        edits.undo(database)
    after = [row for row in rows(database) if "edits" not in row and "sqlite_sequence" not in row]
    assert after == [row for row in before if "edits" not in row and "sqlite_sequence" not in row]


def test_a_column_that_is_absent_changes_nothing(database, tmp_path):
    import_edits(database, table(tmp_path / "names.csv", "name,latent,my notes", "toys,0,see me", "sums,1,"))
    concepts = Concepts(database)
    assert concepts.concept(0).namings[0] == Naming(PERSON, "toys", "Texts about kites.")
    assert (concepts[1], concepts.concept(1).flag) == ("sums", "hub")


def test_an_empty_name_stays_and_an_empty_flag_or_description_goes(database, tmp_path):
    file = table(tmp_path / "names.csv", "latent,name,flag,description", "0, ,,", "1,,\x07 ,", ",,,", "2,,,", "")
    assert [(edit.action, edit.latent) for edit in import_edits(database, file)] == [("rename", 0), ("flag", 1)]
    concept = Concepts(database).concept(0)
    assert (concept.name, concept.namings[0].description) == ("kites", "")


def test_fields_of_jsonl_may_be_null_numbers_or_absent(database, tmp_path):
    lines = [
        '{"latent": 0, "name": null, "merged_into": 1}',
        "",
        '{"latent": "1", "flag": null, "examples": [1]}',
        '{"latent": 2, "name": 1984}',
    ]
    made = import_edits(database, table(tmp_path / "in.jsonl", *lines))
    assert [(edit.action, edit.latent) for edit in made] == [("merge", 0), ("flag", 1), ("rename", 2)]
    assert Concepts(database)[2] == "1984"


def test_a_merge_that_moves_others_along_leaves_their_rows_in_the_file_good(database, tmp_path):
    file = table(tmp_path / "in.csv", "latent,merged_into", "0,1", "3,0", "2,3")
    assert [(edit.action, edit.latent) for edit in import_edits(database, file)] == [("merge", 0), ("merge", 2)]
    assert {j: Concepts(database).concept(j).merged_into for j in (0, 2, 3)} == {0: 1, 2: 1, 3: 1}


def test_a_description_of_a_namer_that_is_too_long_for_a_person_is_cut(database, tmp_path):
    store.add_namings(database, [(0, Naming("language-model", "kites", "z" * 600))])
    export(Concepts(database), tmp_path / "out.csv", content)
    assert import_edits(database, tmp_path / "out.csv") == []
    import_edits(database, table(tmp_path / "in.csv", "latent,name", "0,toys"))
    assert Concepts(database).concept(0).namings[0].description == "z" * 499 + "…"


def test_a_dry_run_says_what_would_be_changed_and_changes_nothing(database, tmp_path):
    file = table(tmp_path / "in.csv", "latent,name,flag", "0,toys,mine", "2,tide,")
    before = rows(database)
    would = import_edits(database, file, dry_run=True)
    assert rows(database) == before
    made = import_edits(database, file)
    assert [edit._replace(made="") for edit in would] == [edit._replace(made="") for edit in made]
    assert [change.line for change in read_changes(database, table(file, "latent,name", "0,x", '1,"y\nz"', "2,w"))] == [
        2, 3, 5,
    ]  # fmt: skip


LATENT = "expected a latent's number"
COLUMNS_SAID = "expected latent and one or more of name, description, flag, merged_into"
BAD_CSV = {
    "an unknown latent": ("latent,name\n0,toys\n9,x\n", "line 3: latent 9 never fired or does not exist; live latents"),
    "a huge latent": ("latent,name\n" + "9" * 19 + ",x\n", "line 2: latent 9999999999999999999 never fired"),
    "a latent twice": ("latent,name\n0,toys\n1,x\n0,y\n", "line 4: latent 0 is in line 2 already; expected one row"),
    "no number": ("latent,name\nzero,x\n", f"line 2: latent is 'zero', {LATENT}"),
    "a fraction": ("latent,name\n1.0,x\n", f"line 2: latent is '1.0', {LATENT}"),
    "below zero": ("latent,name\n-1,x\n", f"line 2: latent is '-1', {LATENT}"),
    "digits of another script": ("latent,name\n١,x\n", f"line 2: latent is '١', {LATENT}"),
    "a thousand digits": ("latent,name\n" + "1" * 5000 + ",x\n", f"line 2: latent is '{'1' * 39}…', {LATENT}"),
    "no latent": ("latent,name\n,x\n", f"line 2: latent is '', {LATENT}"),
    "a name too long": (f"latent,name\n0,{'n' * 61}\n", "line 2: the name has 61 characters, expected at most 60: nnn"),
    "a flag too long": (f"latent,flag\n0,{'n' * 61}\n", "line 2: the remark has 61 characters, expected at most 60: "),
    "a description too long": (f"latent,description\n0,{'n' * 501}\n", "line 2: the description has 501 characters"),
    "a description of no name": ("latent,description\n2,x\n", "line 2: the name is empty; expected a few words"),
    "a name of a merged one": ("latent,name\n3,x\n", "line 2: latent 3 is merged into latent 0 and has its name"),
    "a merge taken back": (
        "latent,merged_into\n3,\n",
        "line 2: latent 3 is merged into latent 0 but merged_into is emp",
    ),
    "a merge into nothing": ("latent,merged_into\n0,9\n", "line 2: latent 9 never fired or does not exist"),
    "a merge into a word": ("latent,merged_into\n0,kites\n", f"line 2: merged_into is 'kites', {LATENT}"),
    "a merge into itself": (
        "latent,merged_into\n0,0\n",
        "line 2: latent 0 cannot be merged into latent 0: they are one",
    ),
    "a ring": ("latent,merged_into\n0,1\n1,0\n", "line 3: latent 1 cannot be merged into latent 0: latent 0 is merged"),
    "no column latent": ("number,name\n0,x\n", f"line 1: the columns are number, name; {COLUMNS_SAID}"),
    "nothing to change": ("latent,nmae\n0,x\n", f"line 1: the columns are latent, nmae; {COLUMNS_SAID}"),
    "a column twice": ("latent,name,name\n0,x,y\n", "line 1: there are two columns name, expected one"),
    "too few cells": ("latent,name,flag\n0,x\n", "line 2: 2 cells, expected 3 as in the header"),
    "too many cells": ("latent,name\n0,x,y\n", "line 2: 3 cells, expected 2 as in the header"),
    "an open quote": ('latent,name\n0,x\n1,"y\n2,z\n', "line 3: not a row of a CSV file (unexpected end of data)"),
    "a quote amid a cell": ('latent,name\n0,"x"y\n', "line 2: not a row of a CSV file ("),
    "an empty file": ("", "is empty; expected rows with latent, name, description, flag, merged_into"),
    "blank lines": ("\n\n", "is empty; expected rows with latent"),
    "control characters": ("latent,name\n\x1b[31m7\u202e,x\n", f"line 2: latent is '[31m7', {LATENT}"),
}
BAD_JSONL = {
    "not JSON": ('{"latent": 0, "name": "x"}\n{"latent"', "line 2: not JSON ("),
    "deep": ("[" * 100_000, "line 1: not JSON ("),
    "no object": ("[1]", "line 1: expected a JSON object, got '[1]'"),
    "no latent": ('{"name": "x"}', f"line 1: the columns are name; {COLUMNS_SAID}"),
    "true": ('{"latent": true, "name": "x"}', "line 1: latent is True, expected a text or a whole number"),
    "a fraction": ('{"latent": 1.5, "name": "x"}', "line 1: latent is 1.5, expected a text or a whole number"),
    "a list": ('{"latent": 0, "name": ["x"]}', "line 1: name is a list, expected a text or a whole number"),
    "null": ('{"latent": null, "name": "x"}', f"line 1: latent is '', {LATENT}"),
    "a negative merge": ('{"latent": 0, "merged_into": -1}', f"line 1: merged_into is '-1', {LATENT}"),
    "empty": ("", "is empty; expected rows with latent"),
}
BAD_FILES = [
    pytest.param(suffix, text.encode(), said, id=f"{suffix}: {what}")
    for suffix, bad in ((".csv", BAD_CSV), (".jsonl", BAD_JSONL))
    for what, (text, said) in bad.items()
] + [
    pytest.param(".csv", b"latent,name\n0,x\n1,caf\xe9\n", "line 3: not UTF-8 (", id="Latin 1"),
    pytest.param(".csv", "latent,name\n0,x\n".encode("utf-16"), "line 1: not UTF-8 (", id="UTF-16"),
    pytest.param(".jsonl", b'{"latent": 0, "name": "\xff"}', "line 1: not UTF-8 (", id="JSONL in no encoding"),
]


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(("suffix", "content", "said"), BAD_FILES)
def test_a_bad_file_is_refused_with_its_line_and_nothing_of_it_is_made(
    database, tmp_path, suffix, content, said, dry_run
):
    path = tmp_path / f"in{suffix}"
    path.write_bytes(content)
    before = rows(database)
    with pytest.raises(BadData) as refused:
        import_edits(database, path, dry_run=dry_run)
    assert str(refused.value).startswith((f"{path}, {said}", f"{path} {said}"))
    assert rows(database) == before


@given(st.data())
def test_no_file_makes_a_traceback(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("any")
    database = folder / store.DATABASE
    store.create(database)
    store.add(database, CONCEPTS)
    suffix = data.draw(st.sampled_from([".csv", ".jsonl"]))
    start = {".csv": b"latent,name,merged_into\n", ".jsonl": b'{"latent": '}[suffix]
    ending = data.draw(st.binary(max_size=40) | st.text('01,"\n{}:[]name', max_size=40).map(str.encode))
    (folder / f"in{suffix}").write_bytes(start + ending)
    try:
        import_edits(database, folder / f"in{suffix}")
    except BadData as error:
        assert str(error).startswith(f"{folder / 'in'}{suffix}")


# --- a curator's names ----------------------------------------------------------------------------


def test_a_curators_names_stand_beside_the_others_and_are_no_edits(database, tmp_path):
    path = tmp_path / "curated.jsonl"
    path.write_text(
        '{"latent": 1, "name": "toy kites", "description": "Kites that children fly.", "share": 0.1}\n'
        '{"latent": 2, "name": null}\n',
        encoding="utf-8",
    )
    found = import_curated(database, path)
    assert [(latent, naming.namer, naming.name) for latent, naming in found] == [
        (1, CURATED, "toy kites"), (2, CURATED, None),
    ]  # fmt: skip
    one, two = (Concepts(database).concept(latent) for latent in (1, 2))
    assert (one.name, one.naming(CURATED).description, one.trust) == (
        "toy kites", "Kites that children fly.", Trust.UNSCORED,
    )  # fmt: skip
    assert one.naming("keyphrases").name == "=2+3"
    assert two.name is None and two.naming(CURATED).made_with
    assert [edit.action for edit in edits.history(database)] == ["merge"]
    # Where a judge finds the other name surely better, that is shown; a better mark alone is not enough.
    better = Score(DETECTION, 0.9, 0.8, 0.95, 40), Score(OVER_NULLS, 1.0, 0.97, 1.0, 100)
    store.add_scores(database, [(1, "keyphrases", score) for score in better])
    store.add_scores(database, [(1, CURATED, better[0]._replace(low=0.6)), (1, CURATED, better[1]._replace(low=0.5))])
    assert Concepts(database).concept(1).name == "toy kites"
    store.add_scores(database, [(1, CURATED, better[0]._replace(value=0.6, low=0.5, high=0.7))])
    assert Concepts(database).concept(1).name == "=2+3"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"latent": 9, "name": "x"}', "line 2: .*latent 9"),
        ('{"latent": 0, "name": "y"}', "line 2: latent 0 is in the file twice"),
        ('{"latent": 1, "name": "' + "x" * 61 + '"}', "line 2: .*60"),
    ],
)
def test_a_bad_row_of_a_curator_is_refused_and_none_is_stored(database, tmp_path, line, said):
    path, before = tmp_path / "curated.jsonl", rows(database)
    path.write_text(f'{{"latent": 0, "name": "good"}}\n{line}\n', encoding="utf-8")
    with pytest.raises(BadData, match=said):
        import_curated(database, path)
    assert rows(database) == before


def test_the_columns_that_are_read_back_are_among_those_that_are_written():
    assert set(exchange.CHANGEABLE) < set(COLUMNS)
