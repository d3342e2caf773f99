"""Directions read as words, through the head that an encoder was trained with, where it was saved with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from unweave.cli import main
from unweave.concepts.namers.vocabulary import VocabularyNamer, load_head, whole_words
from unweave.config import SAEConfig
from unweave.errors import ModelUnavailable
from unweave.project import Project
from unweave.sae.model import SAE

WORDS = ["volcano", "river", "opera", "chess", "beetle", "vaccine", "the", "##ing", "ox3", "x"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
D = 16


def checkpoint(folder: Path, *, with_head: bool) -> Path:
    """A small BERT with a vocabulary of its own, its weights random, saved with or without its head."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=D, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        initializer_range=0.3,
    )  # fmt: skip
    model = BertForMaskedLM(config)
    (model if with_head else model.bert).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("bert"), with_head=True)


def sae_of(directions: np.ndarray) -> SAE:
    n, d = directions.shape
    nothing = np.zeros(d, np.float32)
    return SAE(
        SAEConfig(d_in=d, n_latents=n, k=1), directions, np.zeros(n, np.float32), directions, nothing, np.zeros(1)
    )


def test_a_word_is_named_by_the_direction_that_raises_it():
    # A head that scores each word by one coordinate: the direction along it is that word.
    axes = np.eye(len(VOCABULARY), dtype=np.float32)
    namer = VocabularyNamer(sae_of(axes), lambda hidden: hidden, VOCABULARY, "axes", "")
    named = dict(namer.names([VOCABULARY.index("opera"), VOCABULARY.index("chess"), VOCABULARY.index("the")]))
    assert [n.name for n in named.values()] == ["opera", "chess", None]  # a stop word is no name
    assert named[VOCABULARY.index("opera")].description == f"opera {np.sqrt(len(VOCABULARY)):.1f}"


def test_what_the_bias_raises_by_itself_is_no_ones_name():
    bias = np.arange(len(VOCABULARY), dtype=np.float32)
    axes = np.eye(len(VOCABULARY), dtype=np.float32)
    namer = VocabularyNamer(sae_of(axes), lambda hidden: hidden + bias, VOCABULARY, "axes", "")
    ((_, named),) = namer.names([VOCABULARY.index("river")])
    assert named.name == "river"


def test_only_whole_words_are_names():
    assert list(whole_words(VOCABULARY).values()) == ["volcano", "river", "opera", "chess", "beetle", "vaccine"]
    assert list(whole_words(["\u0120sea", "shell", "\u0120the", "\u01201"]).values()) == ["sea"]


def test_a_real_head_gives_the_models_own_scores(model):
    import torch
    from transformers import BertForMaskedLM

    head, vocabulary = load_head("small", model)
    assert vocabulary == VOCABULARY
    hidden = np.random.default_rng(0).normal(size=(3, D)).astype(np.float32)
    with torch.no_grad():
        expected = BertForMaskedLM.from_pretrained(model).eval().cls(torch.from_numpy(hidden)).numpy()
    assert head(hidden) == pytest.approx(expected, abs=1e-5)


def test_a_direction_made_from_a_word_gains_that_word(model):
    # Where the head's last matrix is that of the words, a hidden state like a word's row raises that word most.
    head, _ = load_head("small", model)
    rng = np.random.default_rng(1)
    directions = rng.normal(size=(2000, D)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    namer = VocabularyNamer(sae_of(directions), head, VOCABULARY, "small", "")
    named = dict(namer.names(range(2000)))
    best = {j: n.name.split(", ")[0] for j, n in named.items() if n.name}
    assert len(set(best.values())) == 6  # every word is some direction's
    gained = head(np.sqrt(D).astype(np.float32) * directions) - head(np.zeros((1, D), np.float32))
    for latent, word in list(best.items())[:50]:
        assert max(WORDS[:6], key=lambda w: gained[latent, VOCABULARY.index(w)]) == word


def test_a_checkpoint_without_its_head_is_refused_not_made_up(tmp_path):
    folder = checkpoint(tmp_path / "bare", with_head=False)
    with pytest.raises(
        ModelUnavailable, match=r"bare was saved without its masked-language-model head.*--namer lexicon"
    ):
        load_head("bare", folder)


def test_a_model_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ModelUnavailable, match="nowhere cannot be loaded"):
        load_head("nowhere", tmp_path)


def test_the_default_encoder_has_no_head_and_says_so(project_folder, tmp_path):
    shutil.copytree(project_folder, tmp_path / "project")
    done = CliRunner().invoke(main, ["name", str(tmp_path / "project"), "--namer", "vocabulary"])
    assert done.exit_code == 1
    assert "all-MiniLM-L6-v2 was saved without its masked-language-model head" in done.stderr
    assert Project.open(tmp_path / "project").concepts  # what was there is there
