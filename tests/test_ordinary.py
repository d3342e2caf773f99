"""Corpora as people have them when they first try: one passage, equal ones, empty ones, every script; all the way."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
from click.testing import CliRunner

from unweave.base.records import Passage
from unweave.cli import main
from unweave.project import Project
from unweave.texts.collection import Collection

SCRIPTS = {
    "Latin": "the wind turns a mill", "Greek": "ο άνεμος γυρίζει τον μύλο", "Cyrillic": "ветер вращает мельницу",
    "Armenian": "քամին պտտում է ջրաղացը", "Georgian": "ქარი აბრუნებს წისქვილს", "Hebrew": "הרוח מסובבת את הטחנה",
    "Arabic": "الريح تدير الطاحونة", "Devanagari": "हवा चक्की को घुमाती है", "Bengali": "বাতাস কল ঘোরায়",
    "Gurmukhi": "ਹਵਾ ਚੱਕੀ ਨੂੰ ਘੁਮਾਉਂਦੀ ਹੈ", "Tamil": "காற்று ஆலையைச் சுழற்றுகிறது", "Telugu": "గాలి మరను తిప్పుతుంది",
    "Thai": "ลมหมุนกังหัน", "Khmer": "ខ្យល់បង្វិលម៉ាស៊ីន", "Tibetan": "རླུང་གིས་འཁོར་ལོ་སྐོར།",
    "Ethiopic": "ነፋስ ወፍጮውን ያዞራል",
    "Hangul": "바람이 풍차를 돌린다", "Kana": "かぜがふうしゃをまわす", "Han": "风转动磨坊",
    "Mongolian": "ᠰᠠᠯᠬᠢ ᠲᠡᠭᠡᠷᠡᠮ",
    "Cherokee": "ᎤᏃᎴ ᎠᏓᏪᎯᎸᏙ", "emoji": "🌬️ 🎡 👩‍🚀 🏳️‍🌈",
}  # fmt: skip
CORPORA = {
    "one passage": ["the wind turns a mill"],
    "two passages": ["the wind turns a mill", "the sea is deep and cold"],
    "equal passages": ["the wind turns a mill"] * 12,
    "empty passages": ["", " ", "\n", "the wind turns a mill", "the sea is deep", ""],
    "nothing but empty ones": ["", "", " "],
    "punctuation": ["...", "!!!", "? ? ?", "-- --", "wind"],
    "many scripts": list(SCRIPTS.values()),
}
STEPS = (
    ("embed", "--sentences", "0"), ("fit", "--n-latents", "16", "--k", "2", "--steps", "20"), ("name",),
    ("index", "build"), ("report",), ("concepts", "list"), ("verify",), ("doctor",),
)  # fmt: skip


def ran(*words: object) -> str:
    """What a command says; it works, or ends in one line that says why."""
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)
    assert done.exit_code in (0, 1), (words, done.output)
    if done.exit_code:
        assert [line for line in done.stderr.splitlines() if line.startswith("Error: ")], (words, done.output)
    return done.output


@pytest.mark.parametrize("texts", CORPORA.values(), ids=CORPORA)
def test_any_corpus_goes_through_or_says_why(tmp_path, texts):
    project = tmp_path / "p"
    Project.create(project, Collection(passages=[Passage(f"p{i}", "", text) for i, text in enumerate(texts)]))
    for command, *options in STEPS:
        words = [command, *options, project] if command in ("index", "concepts") else [command, project, *options]
        ran(*words)
    for system in ("BM25", "dense", "CL-SR", "codes", "BM25 + codes"):
        for query in ("wind", texts[-1].strip() or "sea"):
            ran("search", project, query, "--system", system, "--explain")


def test_each_script_is_found_by_its_own_words(tmp_path):
    project = Project.create(
        tmp_path / "p", Collection(passages=[Passage(script, "", text) for script, text in SCRIPTS.items()])
    )
    ran("embed", tmp_path / "p", "--sentences", "0")
    ran("fit", tmp_path / "p", "--n-latents", "16", "--k", "2", "--steps", "20")
    ran("name", tmp_path / "p")
    ran("index", "build", tmp_path / "p")
    project = Project.open(tmp_path / "p")
    for script, text in SCRIPTS.items():
        if script != "emoji":  # which has no words
            assert project.search(text, 1, system="BM25")[0].passage.passage_id == script
        assert len(project.search(text, 3, system="dense", explain=True)) == 3


STRICT = """
    import sys
    from click.testing import CliRunner
    from unweave.cli import main
    words = [line.split("\\t") for line in sys.stdin.read().splitlines()]
    for command in words:
        done = CliRunner().invoke(main, command)
        strange = done.exception is not None and not isinstance(done.exception, SystemExit)
        if strange or done.exit_code not in (0, 1) or "Warning" in done.output:
            print(command, done.exit_code, repr(done.exception), done.output[-500:])
"""
COMMANDS = (
    "verify P", "doctor P", "search P wind", "search P wind --explain --system dense", "search P wind --system tokens",
    "search P --query-id q1 --system codes --explain", "search-all P P/run.trec --system BM25",
    "explain P wind retrieval-1", "difference P wind retrieval-1 retrieval-2 --by-words",
    "counterfactual P wind retrieval-1 --add 3=.1", "explain wind sea --lucene",
    "prevalent P wind", "paths P retrieval-1", "carrying P retrieval-1 3", "report P",
    "concepts list P", "concepts show P 3", "concepts rename P 3 mine", "concepts lock P 5", "concepts flag P 5 odd",
    "concepts merge P 7 3", "concepts history P", "concepts undo P", "concepts export P P/names.csv",
    "concepts import P P/names.csv", "concepts adopt P P", "families P", "evaluate P",
    "faithfulness P", "stability P --other P", "audit P", "compare P BM25 dense", "map P", "export atlas P P/a.parquet",
    "export jsonl P P/jsonl --texts", "export anserini P P/anserini", "export ciff P P/ciff",
    "export qdrant-edge P P/qdrant --to P/shard", "export parquet P P/parquet",
    "concepts list P --text wind",
    "leaderboard P", "plan --passages 8.8M --gpus 2",
    "index compact P", "index recall P", "name P", "name P --namer lexicon", "decompose P wind", "phrases P wind",
    "contrast P P", "models P P", "index build P",
    "sae export P/sae P/out --format saelens", "sae import P/out P/in", "trust P", "fit P --steps 20",
    "name P --discard",
)  # fmt: skip


@pytest.mark.slow  # every command, in a Python that checks its own memory
def test_no_command_warns_under_pythons_strictest_mode(kept_copy):
    """`python -X dev -W error`: unclosed files, deprecated calls and the like are errors."""
    words = [[str(kept_copy) + w[1:] if w[:1] == "P" else w for w in command.split()] for command in COMMANDS]
    lines = ["\t".join(command) for command in words]
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(STRICT)]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, timeout=300, env=here)
    assert (done.stdout, done.returncode) == ("", 0), done.stdout + done.stderr
    assert "Warning" not in done.stderr
