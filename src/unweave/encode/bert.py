"""The forward pass of BERT in NumPy: it embeds a query before torch could be imported.

Only what a folder of sentence-transformers says in full is read here: a BERT in float32, its tokens pooled as their
mean, their maximum or the first, and maybe scaled to length 1. Any other model is left to sentence-transformers, whose
vectors these are, to rounding.  Source: Devlin et al. 2019, arXiv 1810.04805.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from unweave.base.plain import plain
from unweave.base.vectors import unit_rows
from unweave.encode.words import Piece
from unweave.errors import ModelUnavailable

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Floats = NDArray[np.float32]

WEIGHTS = "model.safetensors"
_MODULES = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
_PARTS = (
    "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
    "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm",
)  # fmt: skip
_WORD_PIECE = {
    "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
}  # fmt: skip
_SPECIAL = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
_FEWEST_TOKENS = 3
"""Of a text, its two special ones included."""
_PREFIX = "bert."
"""Before the names of its weights where the model was saved with a head."""


# --- formulas -------------------------------------------------------------------------------------


def layer_norm(x: Floats, scale: Floats, shift: Floats, eps: float) -> Floats:
    """(x - mean) / sqrt(variance + eps) * scale + shift, over the last axis."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    return np.asarray(centred / np.sqrt(variance + np.float32(eps)) * scale + shift, np.float32)


def gelu(x: Floats) -> Floats:
    """x Phi(x), where Phi is the standard normal distribution: x (1 + erf(x / sqrt 2)) / 2."""
    from scipy.special import erf

    return np.asarray(0.5 * x * (1 + erf(x * np.float32(np.sqrt(0.5)))), np.float32)


def softmax(x: Floats) -> Floats:
    """exp(x) / sum exp(x), over the last axis."""
    raised = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float32)


def attention(queries: Floats, keys: Floats, values: Floats, n_heads: int) -> Floats:
    """softmax(Q K.T / sqrt(d_head)) V for each head, side by side; all arrays (n_tokens, n_heads * d_head)."""
    n_tokens, width = queries.shape
    q, k, v = (each.reshape(n_tokens, n_heads, -1).transpose(1, 0, 2) for each in (queries, keys, values))
    weights = softmax(q @ k.transpose(0, 2, 1) / np.float32(np.sqrt(width // n_heads)))
    return np.asarray((weights @ v).transpose(1, 0, 2).reshape(n_tokens, width), np.float32)


def pooled(tokens: Floats, pooling: str) -> Floats:
    """One vector, (d_token,), from the tokens of a text, (n_tokens, d_token)."""
    if pooling == "cls":
        return np.asarray(tokens[0], np.float32)
    return np.asarray(tokens.mean(axis=0) if pooling == "mean" else tokens.max(axis=0), np.float32)


# --- the model ------------------------------------------------------------------------------------


def pieces_of(tokens: Sequence[str], words: Sequence[int | None], offsets: Sequence[tuple[int, int]]) -> list[Piece]:
    """Where the word of each token stands, from where each token does, as the tokenizers library says it."""
    spans: dict[int | None, tuple[int, int]] = {}
    for word, (start, end) in zip(words, offsets, strict=True):
        first, last = spans.get(word, (start, end))
        spans[word] = min(first, start), max(last, end)
    return [Piece(token, word, *spans[word]) for token, word in zip(tokens, words, strict=True)]


class _Plan(NamedTuple):
    """What a folder says of its model, beside the weights."""

    transformer: Path
    n_layers: int
    n_heads: int
    eps: float
    longest: int
    """Tokens that are read of a text, special ones included."""
    pooling: str
    normalize: bool


class Bert:
    """A BERT whose tokens are pooled into one vector; it may be called from many threads."""

    def __init__(self, plan: _Plan, weights: Mapping[str, Floats], tokenizer: Tokenizer) -> None:
        self._plan = plan
        self._weights = weights
        self._tokenizer = tokenizer
        tokenizer.enable_truncation(plan.longest)
        tokenizer.no_padding()

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read a model's folder; None if it holds another kind of model, or not all that is needed."""
        try:
            plan = _plan(folder)
            return cls(plan, _weights(plan), _tokenizer(plan))
        except Exception:  # of many kinds: the files may hold anything
            return None  # sentence-transformers reads it, or says what is wrong with it

    def encode(self, texts: Sequence[str]) -> Floats:
        """Embeddings, (n_texts, d_token), one text after the other."""
        with np.errstate(all="ignore"):  # of damaged weights; whoever takes the vectors refuses what is not finite
            rows = np.stack([pooled(tokens, self._plan.pooling) for tokens in self.encode_tokens(texts)])
            return unit_rows(rows) if self._plan.normalize else rows

    def encode_tokens(self, texts: Sequence[str]) -> list[Floats]:
        """Each text's outputs for its tokens, special ones included, (n_tokens, d_token), before they are pooled.

        Raises:
            ModelUnavailable: the tokenizer cannot read them, or gives tokens that the weights do not have.
        """
        with np.errstate(all="ignore"):
            return [self._forward(np.asarray(read.ids)) for read in self._read(list(texts))]

    @property
    def pools_by(self) -> tuple[str, bool]:
        """How tokens become one vector, and whether that is scaled to length 1."""
        return self._plan.pooling, self._plan.normalize

    def pieces(self, texts: Sequence[str]) -> list[list[Piece]]:
        """Of each text, for each token that `encode_tokens` gives, where its word stands."""
        return [pieces_of(read.tokens, read.word_ids, read.offsets) for read in self._read(list(texts))]

    def _read(self, texts: list[str]) -> list[Any]:
        """The tokens of each text."""
        try:
            return list(self._tokenizer.encode_batch(texts))
        except BaseException as error:  # what a panic of Rust's becomes is no Exception
            if isinstance(error, Exception) or type(error).__name__ == "PanicException":
                raise ModelUnavailable(f"the encoder's tokenizer failed ({plain(str(error), 120)})") from error
            raise

    def _forward(self, ids: NDArray[np.int64]) -> Floats:
        """The outputs of one text's tokens, (n_tokens, d_token)."""
        table = "embeddings.{}_embeddings.weight".format
        words = self._weights[table("word")]
        if ids.max(initial=0) >= len(words):
            raise ModelUnavailable(
                f"the encoder's tokenizer gives the token {ids.max()}, and its weights have {len(words)}; do both come "
                "from one model?"
            )
        x = words[ids]
        x = x + self._weights[table("position")][: len(ids)] + self._weights[table("token_type")][0]
        x = self._norm(x, "embeddings.LayerNorm")
        for layer in range(self._plan.n_layers):
            of = f"encoder.layer.{layer}."
            q, k, v = (self._linear(x, f"{of}attention.self.{part}") for part in ("query", "key", "value"))
            read = self._linear(attention(q, k, v, self._plan.n_heads), of + "attention.output.dense")
            x = self._norm(x + read, of + "attention.output.LayerNorm")
            wide = gelu(self._linear(x, of + "intermediate.dense"))
            x = self._norm(x + self._linear(wide, of + "output.dense"), of + "output.LayerNorm")
        return x

    def _linear(self, x: Floats, name: str) -> Floats:
        return x @ self._weights[name + ".weight"].T + self._weights[name + ".bias"]

    def _norm(self, x: Floats, name: str) -> Floats:
        return layer_norm(x, self._weights[name + ".weight"], self._weights[name + ".bias"], self._plan.eps)


# --- what a folder says ---------------------------------------------------------------------------


class _OtherModel(ValueError):
    """The folder says something that is not done here."""


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _plan(folder: Path) -> _Plan:
    """What the folder's files say of the model.

    Raises:
        _OtherModel, OSError, ValueError, KeyError, TypeError, AttributeError: it is none that is read here.
    """
    modules = _json(folder / "modules.json")
    own, kinds = zip(*(module["type"].rsplit(".", 1) for module in modules), strict=True)
    if list(kinds) not in _MODULES or not all(package.startswith("sentence_transformers.") for package in own):
        raise _OtherModel
    transformer, pooling, *normalize = (folder / module["path"] for module in modules)
    whole = folder / "config_sentence_transformers.json"
    if whole.is_file() and _json(whole).get("default_prompt_name"):
        raise _OtherModel  # every text would be given a prompt
    if (transformer / "adapter_config.json").exists() or not all(map(_normalizes_embeddings, normalize)):
        raise _OtherModel
    model, reading = _json(transformer / "config.json"), _json(transformer / "sentence_bert_config.json")
    if not _is_plain_bert(model) or not _reads_plainly(reading):
        raise _OtherModel
    longest = reading.get("max_seq_length") or _json(transformer / "tokenizer_config.json")["model_max_length"]
    return _Plan(
        transformer=transformer,
        n_layers=int(model["num_hidden_layers"]),
        n_heads=int(model["num_attention_heads"]),
        eps=float(model["layer_norm_eps"]),
        longest=min(int(longest), int(model["max_position_embeddings"])),
        pooling=_pooling(_json(pooling / "config.json")),
        normalize=bool(normalize),
    )


def _is_plain_bert(model: Mapping[str, Any]) -> bool:
    unusual = ("is_decoder", "add_cross_attention", "auto_map", "quantization_config")
    return (
        (model["model_type"], model["hidden_act"]) == ("bert", "gelu")
        and model.get("position_embedding_type", "absolute") == "absolute"
        and (model.get("dtype") or model.get("torch_dtype") or "float32") == "float32"
        and not any(model.get(name) for name in unusual)
    )


def _reads_plainly(reading: Mapping[str, Any]) -> bool:
    """Whether texts go to the tokenizer as they are, and its outputs to the pooling."""
    usual: dict[str, Any] = {
        "transformer_task": "feature-extraction",
        "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
        "module_output_name": "token_embeddings",
    }
    return all(name == "max_seq_length" or not says or says == usual.get(name) for name, says in reading.items())


def _pooling(says: Mapping[str, Any]) -> str:
    """How tokens are pooled: `cls`, `mean` or `max`.

    Raises:
        _OtherModel: in another way, in several, or without the tokens of a prompt.
    """
    older = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens", "max": "pooling_mode_max_tokens"}
    on = {name for name, chosen in says.items() if name in older.values() and chosen}
    chosen = [says["pooling_mode"]] if "pooling_mode" in says else [mode for mode, name in older.items() if name in on]
    others = [name for name, chosen in says.items() if name.startswith("pooling_mode_") and chosen and name not in on]
    if len(chosen) != 1 or chosen[0] not in older or others or not says.get("include_prompt", True):
        raise _OtherModel
    return str(chosen[0])


def _normalizes_embeddings(folder: Path) -> bool:
    says = _json(folder / "config.json") if (folder / "config.json").is_file() else {}
    return all(says.get(name) in (None, "sentence_embedding") for name in ("module_input_name", "module_output_name"))


def _tokenizer(plan: _Plan) -> Tokenizer:
    """The folder's tokenizer.

    Raises:
        _OtherModel: its two files do not say the same, and which of them transformers reads depends on its version.
    """
    from tokenizers import Tokenizer

    path = plan.transformer / "tokenizer.json"
    says, settings = _json(path), _json(plan.transformer / "tokenizer_config.json")
    normalizer = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": settings.get("tokenize_chinese_chars", True),
        "strip_accents": settings.get("strip_accents"),
        "lowercase": settings.get("do_lower_case", True),
    }
    model = {name: value for name, value in says["model"].items() if name in _WORD_PIECE}
    around = [part["SpecialToken"]["id"] for part in says["post_processor"]["single"] if "SpecialToken" in part]
    if not (
        settings["tokenizer_class"] in ("BertTokenizer", "BertTokenizerFast")
        and (says["normalizer"], says["pre_tokenizer"]) == (normalizer, {"type": "BertPreTokenizer"})
        and model == _WORD_PIECE
        and around == ["[CLS]", "[SEP]"]
        and {token["content"] for token in says["added_tokens"]} <= _SPECIAL
    ):
        raise _OtherModel
    return Tokenizer.from_file(str(path))


def _weights(plan: _Plan) -> dict[str, Floats]:
    """The weights by their name.

    Raises:
        _OtherModel, SafetensorError, KeyError: they are not whole, one is missing, not in float32 or of another shape.
    """
    from safetensors.numpy import load_file

    found = load_file(plan.transformer / WEIGHTS)
    if not 0 < plan.n_layers <= len(found):
        raise _OtherModel
    weights = {name.removeprefix(_PREFIX): weight for name, weight in found.items() if not name.endswith("_ids")}
    tables = [f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")]
    width = weights[tables[0]].shape[1]
    shapes: dict[str, tuple[int, ...]] = {name: (len(weights[name]), width) for name in tables}
    shapes |= {f"embeddings.LayerNorm.{of}": (width,) for of in ("weight", "bias")}
    for layer in range(plan.n_layers):
        shapes |= _shapes(f"encoder.layer.{layer}.", weights, width)
    if any(weights[name].dtype != np.float32 or weights[name].shape != shape for name, shape in shapes.items()):
        raise _OtherModel
    if plan.n_heads < 1 or width % plan.n_heads or not _FEWEST_TOKENS <= plan.longest <= len(weights[tables[1]]):
        raise _OtherModel
    return weights


def _shapes(layer: str, weights: Mapping[str, Floats], width: int) -> dict[str, tuple[int, ...]]:
    """The shapes that a layer's weights are to have; its inner width is its own."""
    inner = len(weights[f"{layer}intermediate.dense.bias"])
    sizes = {"intermediate.dense": (inner, width), "output.dense": (width, inner)}
    linear = {f"{layer}{part}.weight": sizes.get(part, (width, width)) for part in _PARTS}
    norms = {f"{layer}{part}.weight": (width,) for part in _PARTS if part.endswith("LayerNorm")}
    biases = {f"{layer}{part}.bias": (inner if part == "intermediate.dense" else width,) for part in _PARTS}
    return {**linear, **norms, **biases}
