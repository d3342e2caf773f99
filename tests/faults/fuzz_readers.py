"""Every reader of foreign bytes, given damaged and made-up files: it loads, or says in one error of ours what is wrong.

    python -m tests.faults.fuzz_readers --minutes 60 [--first 0] [--only NAME] [--found FOLDER]

A case is a number: it decides which reader, which of its files, and what is done to that. So a run goes on where
another ended (`next` in its last line is the `--first` of the next one), and one case is run again by `--first N
--cases 1`. Cases run in a process that may take so much memory and time and no more. What is neither loading nor
`UnweaveError` nor `OSError`, or an error of pages, is kept in the folder `--found`; moved to `seeds/`, it is read for
ever by a fast test, test_fuzzed.py.

The last line is JSON: cases, loaded, refused, tracebacks, memory, hangs, crashes, next.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import save

from unweave.base.records import Passage, Query
from unweave.concepts import tables
from unweave.concepts.exchange import CHANGEABLE
from unweave.concepts.namers.lexicon_sources import file_phrases
from unweave.config import SAEConfig
from unweave.encode.bert import Bert
from unweave.errors import ModelUnavailable, UnweaveError
from unweave.evaluation.runs import read_run
from unweave.language import client
from unweave.project import Project
from unweave.sae.formats import import_sae
from unweave.sae.model import SAE
from unweave.settings import Settings, write_new
from unweave.stages.embed import bring_embeddings
from unweave.texts.collection import Collection
from unweave.texts.open import open_collection

MEMORY = 1 << 30
"""Bytes that a case may take beyond what the process has."""
SECONDS = 20
"""That a case may take."""
LARGEST = 4 << 20
"""Bytes of a damaged file."""
FOLDER = Path(__file__).parent
SEEDS = FOLDER / "seeds"
FORMATS = FOLDER.parent / "data" / "formats"


class Reader(NamedTuple):
    """A reader of foreign bytes."""

    files: dict[str, bytes]
    """What it reads, by path below a folder; a case changes one of them."""
    read: Callable[[Path], Any]
    """Called with the folder."""


# --- what is read -----------------------------------------------------------------------------------

ROWS = [{"_id": f"p{i}", "title": f"t{i}", "text": f"the {i}. text \u00e9", "metadata": {"tag": ["a", "b"], "y": i}}
        for i in range(4)]  # fmt: skip
QUERIES = [{"_id": f"q{i}", "text": f"the {i}. question"} for i in range(3)]
JSONL = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
ASKED = "".join(json.dumps(row) + "\n" for row in QUERIES).encode()
CSV = b'id,title,text,url\na,t,"one, ""two""\nthree",x\nb,,four,\n'
QRELS = b"query-id\tcorpus-id\tscore\nq0\tp1\t1\nq1\tp2\t-2\n"


def _parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    at = pa.array([1, 10**9, None, 5], pa.timestamp("ns"))
    table = pa.table(
        {"id": ["a", "b", "c", "d"], "text": ["x", "y", "z", ""], "at": at, "tags": [["a"], [], None, ["b"]]}
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _sae_folder() -> dict[str, bytes]:
    eye = np.eye(3, dtype=np.float32)
    sae = SAE(SAEConfig(d_in=3, n_latents=3, k=1), eye, eye[0], eye, eye[0], eye[0, :1])
    with tempfile.TemporaryDirectory() as folder:
        sae.save(Path(folder) / "sae")
        return {path.name: path.read_bytes() for path in (Path(folder) / "sae").iterdir()}


def _settings() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write_new(Path(folder) / "unweave.toml", {})
        return (Path(folder) / "unweave.toml").read_bytes()


def _create(folder: Path, name: str, **files: str) -> None:
    others = {of: folder / file for of, file in files.items()}
    Project.create(folder / "made", open_collection(str(folder / name), **others), drop_unknown=True)


@cache
def _six() -> Path:
    """A project of six passages, to bring embeddings to; each process copies it."""
    made = Path(tempfile.mkdtemp()) / "six"
    Project.create(made, Collection(passages=[Passage(f"p{i}", "", "t") for i in range(6)], queries=[Query("q", "t")]))
    return made


def _bring(folder: Path) -> None:
    project = Project.open(shutil.copytree(_six(), folder / "made"))
    bring_embeddings(project, "passages", folder / "x.npy", folder / "ids.txt")


def _answer(folder: Path) -> None:
    response = client._Response(200, (folder / "answer").read_bytes(), {}, 0)
    client._usage(response)
    client._fields(client._content(response.body.decode("utf-8", "replace")), {"name": 60, "description": 300})


def _bert() -> dict[str, bytes]:
    """A BERT of two dimensions and eight words."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##c"]
    normalizer = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                  "lowercase": True}  # fmt: skip
    sides = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
             {"SpecialToken": {"id": "[SEP]", "type_id": 0}}]  # fmt: skip
    special = {name: {"id": name, "ids": [words.index(name)], "tokens": [name]} for name in ("[CLS]", "[SEP]")}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": normalizer,
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": None,
        "post_processor": {"type": "TemplateProcessing", "single": sides, "pair": sides, "special_tokens": special},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": {word: i for i, word in enumerate(words)}},
    }  # fmt: skip
    config = {"model_type": "bert", "hidden_act": "gelu", "num_hidden_layers": 1, "num_attention_heads": 1,
              "layer_norm_eps": 1e-12, "max_position_embeddings": 9}  # fmt: skip
    kinds = {"word": 8, "position": 9, "token_type": 2}
    shapes = {f"embeddings.{kind}_embeddings.weight": (n, 2) for kind, n in kinds.items()}
    norms = ["embeddings.LayerNorm", *(f"encoder.layer.0.{of}output.LayerNorm" for of in ("attention.", ""))]
    dense = ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
    shapes |= {f"encoder.layer.0.{part}.weight": (2, 2) for part in dense}
    shapes |= {"encoder.layer.0.intermediate.dense.weight": (3, 2), "encoder.layer.0.output.dense.weight": (2, 3)}
    shapes |= {name.replace(".weight", ".bias"): shape[:1] for name, shape in shapes.items() if "encoder" in name}
    shapes |= {f"{norm}.{of}": (2,) for norm in norms for of in ("weight", "bias")}
    random = np.random.default_rng(0)
    modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"}
               for path, kind in (("", "Transformer"), ("1_Pooling", "Pooling"))]  # fmt: skip
    said = {
        "modules.json": modules, "config.json": config, "sentence_bert_config.json": {"max_seq_length": 8},
        "tokenizer_config.json": {"tokenizer_class": "BertTokenizer"}, "tokenizer.json": tokenizer,
        "1_Pooling/config.json": {"pooling_mode": "mean"},
    }  # fmt: skip
    weights = save({name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()})
    return {"model.safetensors": weights, **{name: json.dumps(value).encode() for name, value in said.items()}}


def _embed(folder: Path) -> None:
    model = Bert.read(folder)
    if model is None:  # sentence-transformers reads it, or says what is wrong with it
        raise ModelUnavailable("another model")
    model.encode(["a bc", ""])


def _format(name: str) -> Reader:
    kept = {path.name: path.read_bytes() for path in sorted((FORMATS / name).iterdir()) if path.name != "expected.npz"}
    return Reader(kept, import_sae)


def readers() -> dict[str, Reader]:
    """Every reader by its name."""
    said = json.dumps({"name": "wind", "description": "of wind"})
    message = {"choices": [{"message": {"content": said}}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    table = b'latent,name,description,flag,merged_into\n1,wind,"of, wind",,\n2,\'=sea,,hub,1\n'
    rows = b'{"latent": 1, "name": "wind"}\n{"latent": 2, "flag": "hub", "merged_into": 1}\n'
    vectors = np.arange(1, 25).reshape(6, 4)
    columns, wanted = ("latent",), CHANGEABLE
    found = {
        "jsonl": Reader({"c.jsonl": JSONL}, lambda f: _create(f, "c.jsonl")),
        "jsonl.gz": Reader({"c.jsonl.gz": gzip.compress(JSONL)}, lambda f: _create(f, "c.jsonl.gz")),
        "csv": Reader({"c.csv": CSV}, lambda f: _create(f, "c.csv")),
        "tsv": Reader({"c.tsv": CSV.replace(b",", b"\t")}, lambda f: _create(f, "c.tsv")),
        "parquet": Reader({"c.parquet": _parquet()}, lambda f: _create(f, "c.parquet")),
        "texts": Reader({"t/a.txt": b"one", "t/b/c.md": "two \u00e9".encode()}, lambda f: _create(f, "t")),
        "beir": Reader({"b/corpus.jsonl": JSONL, "b/queries.jsonl": ASKED, "b/qrels/test.tsv": QRELS},
                       lambda f: _create(f, "b")),
        "queries": Reader({"c.jsonl": JSONL, "q.tsv": b"q0\tone?\nq1\ttwo?\n", "j.qrels": b"q0 0 p1 1\nq1 0 p2 0\n"},
                          lambda f: _create(f, "c.jsonl", queries="q.tsv", qrels="j.qrels")),
        "run": Reader({"r.trec": b"q0 Q0 p1 1 2.5 mine\nq0 Q0 p2 2 -1e-3 mine\n"}, lambda f: read_run(f / "r.trec")),
        "npy": Reader({"x.npy": _npy(vectors.astype(np.float32)), "ids.txt": b"p0\np1\np2\np3\np4\np5\n"}, _bring),
        "npy64": Reader({"x.npy": _npy(np.asfortranarray(vectors) / 7), "ids.txt": b"p5\np4\np3\np2\np1\np0"}, _bring),
        "toml": Reader({"unweave.toml": _settings()}, lambda f: Settings.read(f / "unweave.toml")),
        "table.csv": Reader({"t.csv": table}, lambda f: list(tables.read(f / "t.csv", columns, wanted))),
        "table.jsonl": Reader({"t.jsonl": rows}, lambda f: list(tables.read(f / "t.jsonl", columns, wanted))),
        "answer": Reader({"answer": json.dumps(message).encode()}, _answer),
        "phrases": Reader({"p.txt": b"wind\tmoving air\nsea\n"}, lambda f: list(file_phrases(f / "p.txt"))),
        "sae": Reader(_sae_folder(), SAE.load),
        "bert": Reader(_bert(), _embed),
    }  # fmt: skip
    for name in ("saelens/jumprelu", "saelens/topk_rescaled", "saelens/matching_pursuit", "saelens/bfloat16",
                 "sparsify/topk", "latentsae/jumprelu", "latentsae/matryoshka", "paper"):  # fmt: skip
        if (FORMATS / name).is_dir():
            found[name.replace("/", "-")] = _format(name)
    return found


# --- what is done to a file ---------------------------------------------------------------------------

ODD = [
    None, True, -1, 0, 1, 2**31, 2**63, 2**64, -(2**63), 10**30, 1e308, -0.0, 1.5, float("nan"), float("inf"), "", "\0",
    "\ud800", "x" * 5000, "\u202e\x1b[2J", [], {}, [[]], [None], {"": None}, {"a": {"a": {"a": 1}}}, "F32", "1", "=1",
]  # fmt: skip
"""Values that stand where others are expected."""
TOKENS = [
    b"9" * 5000, b"-" + b"9" * 30, b"1e999", b"NaN", b"Infinity", b"0x10", b"2147483648", b"18446744073709551616",
    b"\0", b'"', b"'", b"\\", b"\r", b"\n", b"\r\n", b"\t", b",", b"[" * 60_000, b"{" * 1000,
    b'{"a":' * 3000, b"\xff\xfe",
    b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800", "\u2028".encode(), b"\x1b[2J", b"%20", b" " * 70, b"null", b"true",
    b"..", b"/", b"../../x", b"\x1f\x8b", b"PK\x03\x04", b"\x80\x02", b"x" * 5000, b"\xc2\xa0", "\uff11".encode(),
    b"1_0", b"+1",
]  # fmt: skip
"""Bytes that readers stumble over."""


def damaged(random: Random, name: str, content: bytes, others: list[bytes]) -> bytes:
    """A file with something wrong: of its form, of its values, or of its bytes."""
    forms = [
        (name.endswith(".gz"), _gzipped), (name.endswith((".json", ".jsonl", "answer")), _of_json),
        (name.endswith(".safetensors"), _of_safetensors), (name.endswith(".npy"), _of_npy),
        (name.endswith(".pt"), _of_pt),
    ]  # fmt: skip
    fitting = [form for fits, form in forms if fits]
    if fitting and random.random() < 0.6:
        with suppress(ValueError, KeyError, TypeError):
            content = random.choice(fitting)(random, content, others)
        if random.random() < 0.7:
            return content[:LARGEST]
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        content = random.choice(_BYTES)(random, content, others)
    return content[:LARGEST]


def _flip(random: Random, content: bytes, others: list[bytes]) -> bytes:
    if not content:
        return content
    at = random.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << random.randrange(8))]) + content[at + 1 :]


def _set(random: Random, content: bytes, others: list[bytes]) -> bytes:
    at = random.randrange(len(content) + 1)
    return content[:at] + random.randbytes(random.choice((1, 2, 4, 8))) + content[at + 1 :]


def _span(random: Random, content: bytes) -> tuple[int, int]:
    begin = random.randrange(len(content) + 1)
    return begin, min(len(content), begin + random.choice((1, 2, 8, 64, 1000, len(content))))


def _cut(random: Random, content: bytes, others: list[bytes]) -> bytes:
    begin, end = _span(random, content)
    return content[:begin] + content[end:]


def _end(random: Random, content: bytes, others: list[bytes]) -> bytes:
    return content[: random.randrange(len(content) + 1)]


def _repeat(random: Random, content: bytes, others: list[bytes]) -> bytes:
    begin, end = _span(random, content)
    times = random.choice((1, 2, 10, 1000, 100_000))
    return content[:end] + (content[begin:end] * min(times, LARGEST // max(1, end - begin))) + content[end:]


def _splice(random: Random, content: bytes, others: list[bytes]) -> bytes:
    other = random.choice(others)
    (a, _), (begin, end) = _span(random, content), _span(random, other)
    return content[:a] + other[begin:end] + content[a:]


def _token(random: Random, content: bytes, others: list[bytes]) -> bytes:
    begin, end = _span(random, content)
    return content[:begin] + random.choice(TOKENS) + content[random.choice((begin, min(end, begin + 8))) :]


def _number(random: Random, content: bytes, others: list[bytes]) -> bytes:
    """Another number in place of one."""
    digits = [at for at, byte in enumerate(content[:100_000]) if 48 <= byte <= 57]
    if not digits:
        return content
    begin = end = random.choice(digits)
    while end < len(content) and 48 <= content[end] <= 57:
        end += 1
    return content[:begin] + random.choice(TOKENS[:8]) + content[end:]


_BYTES = (_flip, _set, _cut, _end, _repeat, _splice, _token, _number)


def _gzipped(random: Random, content: bytes, others: list[bytes]) -> bytes:
    """What is in it damaged, and packed again."""
    inner = gzip.decompress(content)
    return gzip.compress(random.choice((*_BYTES, _of_json))(random, inner, others)[:LARGEST], 1)


def _of_json(random: Random, content: bytes, others: list[bytes]) -> bytes:
    """Values replaced, removed, doubled; whole lines or a whole file."""
    lines = content.decode().splitlines() if content.count(b"}\n") > 1 else [content.decode()]
    at = random.randrange(len(lines))
    lines[at] = json.dumps(_changed(random, json.loads(lines[at])), ensure_ascii=random.random() < 0.5)
    if random.random() < 0.1:
        lines[at] = lines[at].replace('"', '"x": 1, "x', 1) if random.random() < 0.5 else lines[at] * 2
    return "\n".join(lines).encode("utf-8", "surrogatepass") + b"\n"


def _changed(random: Random, value: Any) -> Any:
    """A JSON value with one of its parts another."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = random.choice(list(value))
        what = random.random()
        if what < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if what < 0.2:
            return value | {random.choice(["id", "metadata", "text", "k", "a\x1b"]): random.choice(ODD)}
        return value | {key: _changed(random, value[key])}
    if isinstance(value, list) and value and random.random() < 0.8:
        at = random.randrange(len(value))
        return [
            *value[:at],
            _changed(random, value[at]),
            *value[at + 1 :],
            *([random.choice(ODD)] * (random.random() < 0.1)),
        ]
    if isinstance(value, str) and value[:1] in "[{" and random.random() < 0.7:  # JSON within JSON: an answer
        with suppress(ValueError):
            return json.dumps(_changed(random, json.loads(value)))
    return random.choice(ODD)


def _of_safetensors(random: Random, content: bytes, others: list[bytes]) -> bytes:
    """Another header before the same numbers, or other numbers behind the same header."""
    length = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + length], content[8 + length :]
    if random.random() < 0.7:
        header = json.dumps(_changed(random, json.loads(header))).encode()
        length = len(header) if random.random() < 0.9 else random.choice((0, 1, 2**20, 2**40, 2**63))
        return length.to_bytes(8, "little") + header + data
    return content[: 8 + length] + _numbers(random, data)


def _numbers(random: Random, data: bytes) -> bytes:
    odd = np.array([np.nan, np.inf, -np.inf, 0, 1e-42, 1e38, -1e38, 1e-20], "<f4").tobytes()
    at, which = 4 * random.randrange(len(data) // 4 + 1), 4 * random.randrange(8)
    times = random.choice((1, 1, len(data) // 4))
    return (data[:at] + odd[which : which + 4] * times + data[at + 4 * times :])[: len(data)]


def _of_npy(random: Random, content: bytes, others: list[bytes]) -> bytes:
    """Another header before the same numbers, or other numbers behind the same header."""
    length = int.from_bytes(content[8:10], "little")
    if random.random() < 0.3:
        return content[: 10 + length] + _numbers(random, content[10 + length :])
    shapes = "(6, 4)|(-6, -4)|(2, 12)|(24,)|(6, 4, 1)|(0, 4)|(6, 0)|(10**9, 10**9)|(6, 99999999999999999999)|()|6"
    kinds = "'<f4'|'<f8'|'>f4'|'<f2'|'|O'|'<U9'|'<c8'|'<M8[ns]'|[('a', '<f4')]|'<f16'|'<f3'|'|V4'|'|b1'|4||'<f4' * 9"
    shape = random.choice([*shapes.split("|"), "(True, 4)", "('a', 4)", "None", "((6, 4),)", "(6000, 40000)"])
    descr = random.choice([*kinds.split("|"), "[" * 200 + "]" * 200])
    order = random.choice(["False", "True", "0", "'x'"])
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    version = random.choice((b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\x09\0"))
    width = 2 if version == b"\1\0" else 4
    return b"\x93NUMPY" + version + len(header).to_bytes(width, "little") + header + content[10 + length :]


def _of_pt(random: Random, content: bytes, others: list[bytes]) -> bytes:
    """One file of the archive damaged, stored or packed."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = random.choice([*files, *[name for name in files if name.endswith(".pkl")] * 3])
    files[name] = random.choice(_BYTES)(random, files[name], others)[:LARGEST]
    packed = io.BytesIO()
    with zipfile.ZipFile(
        packed, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    ) as archive:
        for name, held in files.items():
            archive.writestr(name, held)
    return packed.getvalue()


class Case(NamedTuple):
    """What a number stands for."""

    reader: str
    changed: str
    """Of its files."""
    content: bytes


def case(number: int, known: dict[str, Reader], names: list[str]) -> Case:
    """The case of a number, the same in every run."""
    random = Random(number)
    reader = names[number % len(names)]
    changed = random.choice(sorted(known[reader].files))
    others = [content for one in known.values() for content in one.files.values()]
    return Case(reader, changed, damaged(random, changed, known[reader].files[changed], others))


def outcome(reader: Reader, changed: str, content: bytes, folder: Path) -> str:
    """What comes of a case: `loaded`, `refused`, `memory`, or a traceback's last lines."""
    for name, held in (reader.files | {changed: content}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(held)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reader.read(folder)
    except (UnweaveError, OSError) as error:
        said = str(error)
        return "refused" if len(said) < 2000 else f"an error of {len(said):,} characters: {said[:200]!r}"
    except MemoryError:
        return "memory"
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)[-4:]
        return f"{type(error).__name__}: {str(error)[:200]} in " + ", ".join(f"{f.name}:{f.lineno}" for f in frames)
    return "loaded"


# --- many of them -------------------------------------------------------------------------------------


def _work(numbers: Iterator[int], names: list[str], known: dict[str, Reader], to: int) -> None:
    """Run cases in this process, and say of each that it begins and what came of it."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    for number in numbers:
        os.write(to, f"{number}\n".encode())
        one = case(number, known, names)
        with tempfile.TemporaryDirectory(dir=place) as folder:
            found = outcome(known[one.reader], one.changed, one.content, Path(folder))
        os.write(to, (json.dumps(found) + "\n").encode())


def _child(first: int, count: int, names: list[str], known: dict[str, Reader]) -> Iterator[tuple[int, str]]:
    """Run cases in a process of their own; yields each and what came of it, and ends with the process."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        with suppress(BaseException):
            _work(iter(range(first, first + count)), names, known, writing)
            os._exit(0)
        os._exit(3)
    os.close(writing)
    number, rest = first, b""
    while True:
        ready, _, _ = select.select([reading], [], [], SECONDS)
        piece = os.read(reading, 1 << 16) if ready else b""
        if not piece:
            break
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.isdigit():
                number = int(line)
            else:
                yield number, json.loads(line)
                number += 1
    if not ready:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(reading)
    if number < first + count:
        yield number, "hang" if not ready else f"crash: status {status}"


def run(first: int, seconds: float, cases: int | None, names: list[str], found: Path) -> dict[str, int]:
    """Run cases from `first` on for so long, keep what is wrong, and count."""
    known = readers()
    names = [name for name in known if not names or name in names]
    _six()
    counts: Counter[str] = Counter()
    end = time.monotonic() + seconds
    last = None if cases is None else first + cases
    number = first
    while time.monotonic() < end and (last is None or number < last):
        count = 500 if last is None else min(500, last - number)
        for done, what in _child(number, count, names, known):
            number = done + 1
            kind = what if what in ("loaded", "refused", "memory", "hang") else what.partition(":")[0]
            counts[kind if kind in ("loaded", "refused", "memory", "hang", "crash") else "traceback"] += 1
            if what not in ("loaded", "refused"):
                one = case(done, known, names)
                kept = found / one.reader / str(done) / one.changed
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(one.content)
                sys.stdout.write(f"{done} {one.reader} {one.changed}: {what}\n")
                sys.stdout.flush()
            if time.monotonic() > end:
                break
    kinds = {"loaded": "loaded", "refused": "refused", "tracebacks": "traceback", "memory": "memory", "hangs": "hang",
             "crashes": "crash"}  # fmt: skip
    return {"cases": sum(counts.values()), **{name: counts[kind] for name, kind in kinds.items()}, "next": number}


def main() -> None:
    """Fuzz for some minutes, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--cases", type=int, help="how many at most")
    parser.add_argument("--only", action="append", default=[], help="a reader's name; several times for several")
    parser.add_argument("--found", type=Path, default=Path("found"), help="where what is wrong is kept")
    given = parser.parse_args()
    counts = run(given.first, given.minutes * 60, given.cases, given.only, given.found)
    sys.stdout.write(json.dumps(counts) + "\n")
    sys.exit(any(counts[kind] for kind in ("tracebacks", "memory", "hangs", "crashes")))


if __name__ == "__main__":
    main()
