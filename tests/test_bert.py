"""The forward pass in NumPy: its formulas by hand, its vectors beside those of sentence-transformers."""

import json
import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizer

from unweave.config import FLOAT32, EncoderConfig
from unweave.encode.bert import Bert, attention, gelu, layer_norm, pooled, softmax
from unweave.encode.encoders import SentenceTransformerEncoder
from unweave.errors import ModelUnavailable
from unweave.texts.vital_articles import vital_articles

# --- formulas -------------------------------------------------------------------------------------


def f32(*values):
    return np.array(values, np.float32)


def test_layer_norm_by_hand():
    # Mean 3, variance (4 + 0 + 4) / 3; with eps = 4/3 the divisor is sqrt(4) = 2: (-1, 0, 1), doubled and moved by 1.
    np.testing.assert_allclose(layer_norm(f32([1, 3, 5]), f32(2, 2, 2), f32(1, 1, 1), 4 / 3), [[-1, 1, 3]], atol=1e-6)


def test_gelu_weighs_a_number_by_the_share_of_a_normal_distribution_below_it():
    # 84.134475 % of a normal distribution lies below 1, and the rest below -1.
    np.testing.assert_allclose(gelu(f32(0, 1, -1)), [0, 0.84134475, -0.15865525], atol=1e-6)


def test_softmax_by_hand_also_of_numbers_whose_exponential_overflows():
    # exp(0) : exp(ln 3) = 1 : 3.
    np.testing.assert_allclose(softmax(f32([0, math.log(3)], [1000, 1000])), [[0.25, 0.75], [0.5, 0.5]], rtol=1e-6)


def test_attention_by_hand():
    # One head of width 1: q k / sqrt(1) = ln 3 for the second token, 0 for the first, so values 4 and 8 weigh 1 : 3.
    q, k, v = f32([1.0]), f32([0.0], [math.log(3)]), f32([4.0], [8.0])
    both = attention(np.repeat(q[None, 0], 2, axis=0), k, v, n_heads=1)
    np.testing.assert_allclose(both, [[7], [7]], rtol=1e-6)


def test_a_head_reads_its_own_columns_only():
    random = np.random.default_rng(0)
    q, k, v = random.normal(size=(3, 5, 8)).astype(np.float32)
    together = attention(q, k, v, n_heads=2)
    for head in (slice(0, 4), slice(4, 8)):
        alone = attention(q[:, head], k[:, head], v[:, head], n_heads=1)
        np.testing.assert_allclose(together[:, head], alone, atol=1e-6)


@pytest.mark.parametrize(("pooling", "expected"), [("cls", [1, 6]), ("mean", [2, 4]), ("max", [3, 6])])
def test_pooling_by_hand(pooling, expected):
    np.testing.assert_array_equal(pooled(f32([1, 6], [3, 2]), pooling), expected)


# --- the bundled model ----------------------------------------------------------------------------

ODD = [
    "", "   ", "\n\t", "a", "?!", "naïve café, Zürich, ÅNGSTRÖM", "İstanbul, ﬁ, ½, ß", "日本語のテキスト 漢字",
    "Привет, мир", "שלום עולם", "🎨🎭 e\u0301moji", "zero\u200bwidth \ufeff \x00 \x07 control", "[SEP] in [MASK]",
    "word " * 400, "Donaudampfschifffahrtsgesellschaft" * 2, "x" * 101, "12345 " * 20, "<b>bold</b> & more",
]  # fmt: skip


@pytest.fixture(scope="module")
def encoder() -> SentenceTransformerEncoder:
    return SentenceTransformerEncoder(EncoderConfig())


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Odd texts, the openings of forty articles, and a passage of more than 256 tokens."""
    articles = [passage.content for passage in vital_articles().passages[:40]]
    return [*ODD, *(text[:60] for text in articles), articles[0] * 3]


def test_vectors_are_those_of_sentence_transformers(encoder, texts):
    assert encoder._bert is not None
    expected = encoder._model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(encoder._bert.encode(texts), expected, atol=1e-5, rtol=0)


def test_tokens_are_those_of_sentence_transformers(encoder):
    texts = ODD
    expected = encoder._model.encode(texts, output_value="token_embeddings", show_progress_bar=False)
    found = encoder._bert.encode_tokens(texts)
    assert [tokens.shape for tokens in found] == [tuple(tokens.shape) for tokens in expected]
    assert max(len(tokens) for tokens in found) == 256
    for tokens, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(tokens, wanted.numpy(), atol=1e-5, rtol=0)


def test_few_texts_and_many_have_the_same_vectors(encoder, texts):
    # Up to eight texts go through NumPy, more through torch, here in the same precision.
    texts = texts[-25:-1]
    encoder = SentenceTransformerEncoder(EncoderConfig(precision=FLOAT32))
    together = encoder.encode_passages(texts)
    for start in range(0, 24, 8):
        np.testing.assert_allclose(
            encoder.encode_passages(texts[start : start + 8]), together[start : start + 8], atol=1e-5
        )


def test_a_query_and_its_tokens_are_embedded_without_torch():
    script = """
        import sys
        from unweave.config import EncoderConfig
        from unweave.encode.encoders import open_encoder

        encoder = open_encoder(EncoderConfig())
        encoder.encode_queries(["wind"]), encoder.encode_tokens(["wind"], of_queries=True), encoder.identity
        print(sorted({"torch", "transformers", "sentence_transformers"} & sys.modules.keys()))
    """
    done = subprocess.run([sys.executable, "-c", "\n".join(line.strip() for line in script.splitlines())],
                          capture_output=True, text=True)  # fmt: skip
    assert (done.stdout, done.stderr) == ("[]\n", "")


# --- other models ---------------------------------------------------------------------------------

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "abcdefxyz")]


@pytest.fixture(scope="module")
def save(tmp_path_factory):
    """Save a small random BERT as sentence-transformers does: `save(pooling, normalize, **config)`."""

    def save(pooling="mean", *, normalize=True, lower=True, **config):
        folder = tmp_path_factory.mktemp("bert")
        small = BertConfig(
            vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=32, max_position_embeddings=24, initializer_range=0.5, **config,
        )  # fmt: skip
        BertModel(small).save_pretrained(folder / "bert")
        BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)}, do_lower_case=lower).save_pretrained(
            folder / "bert"
        )
        modules = [Transformer(str(folder / "bert")), Pooling(16, pooling_mode=pooling)]
        model = SentenceTransformer(modules=modules + [Normalize()] * normalize, device="cpu")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.save(str(folder / "model"))
        return folder / "model"

    return save


@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
@pytest.mark.parametrize("normalize", [True, False])
def test_every_pooling_is_that_of_sentence_transformers(save, pooling, normalize):
    folder = save(pooling, normalize=normalize, lower=not normalize, layer_norm_eps=1e-3)
    texts = ["abc", "", "xyz ABC", "a b c " * 20, "é"]
    expected = SentenceTransformer(str(folder), device="cpu").encode(texts, show_progress_bar=False)
    np.testing.assert_allclose(Bert.read(folder).encode(texts), expected, atol=1e-5, rtol=0)


def change(folder, file, **changes):
    path = folder / file
    says = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(says | changes))


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("config.json", {"model_type": "roberta"}),
        ("config.json", {"hidden_act": "relu"}),
        ("config.json", {"is_decoder": True}),
        ("config.json", {"dtype": "float16"}),
        ("config.json", {"num_hidden_layers": 3}),
        ("config.json", {"position_embedding_type": "relative_key"}),
        ("config_sentence_transformers.json", {"default_prompt_name": "query", "prompts": {"query": "Ask: "}}),
        ("sentence_bert_config.json", {"do_lower_case": True}),
        ("sentence_bert_config.json", {"module_output_name": "other"}),
        ("1_Pooling/config.json", {"pooling_mode": ["cls", "mean"]}),
        ("1_Pooling/config.json", {"pooling_mode": "lasttoken"}),
        ("1_Pooling/config.json", {"include_prompt": False}),
        ("2_Normalize/config.json", {"module_input_name": "token_embeddings"}),
        ("tokenizer_config.json", {"do_lower_case": False}),
        ("tokenizer_config.json", {"tokenizer_class": "XLMRobertaTokenizer"}),
        ("tokenizer.json", {"pre_tokenizer": {"type": "Whitespace"}}),
        ("adapter_config.json", {"peft_type": "LORA"}),
        ("config.json", {"num_hidden_layers": 10**9}),
        ("config.json", {"num_attention_heads": 3}),  # of 16 dimensions
        ("config.json", {"num_attention_heads": 0}),
        ("config.json", {"layer_norm_eps": []}),
        ("sentence_bert_config.json", {"max_seq_length": -5}),
        ("sentence_bert_config.json", {"max_seq_length": 1e999}),
    ],
)
def test_what_would_be_read_otherwise_is_left_to_sentence_transformers(save, file, changes):
    folder = save()
    assert Bert.read(folder) is not None
    change(folder, file, **changes)
    assert Bert.read(folder) is None


def test_a_module_more_or_of_somebodys_own_is_left_to_sentence_transformers(save):
    folder = save()
    modules = json.loads((folder / "modules.json").read_text())
    more = {"idx": 3, "name": "3", "path": "3_Dense", "type": "sentence_transformers.models.Dense"}
    own = modules[1] | {"type": "my_package.Pooling"}
    for other in ([*modules, more], [modules[0], own, modules[2]], modules[:1], []):
        (folder / "modules.json").write_text(json.dumps(other))
        assert Bert.read(folder) is None


@pytest.mark.parametrize("content", [b"", b"no weights", None])
def test_damaged_weights_are_left_to_sentence_transformers_which_says_so(save, content):
    weights = save() / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] if content is None else content)
    assert Bert.read(weights.parent) is None


def test_weights_of_other_shapes_are_left_to_sentence_transformers(save):
    weights = save() / "model.safetensors"
    tensors = load_file(weights)
    for name in ("encoder.layer.1.output.dense.weight", "embeddings.LayerNorm.bias"):
        save_file(tensors | {name: tensors[name][:-1].copy()}, weights)
        assert Bert.read(weights.parent) is None


def test_a_token_that_the_weights_do_not_have_is_one_error(save):
    folder = save()
    tensors = load_file(folder / "model.safetensors")
    table = "embeddings.word_embeddings.weight"
    save_file(tensors | {table: tensors[table][:10].copy()}, folder / "model.safetensors")
    # The words a to e are tokens 5 to 9, the last that are left.
    assert np.isfinite(Bert.read(folder).encode(["e"])).all()
    with pytest.raises(ModelUnavailable, match="gives the token 10, and its weights have 10"):
        Bert.read(folder).encode(["f"])


def test_a_folder_that_is_no_model_is_none(tmp_path):
    assert Bert.read(tmp_path) is None
    (tmp_path / "modules.json").write_text("[{}]")
    assert Bert.read(tmp_path) is None


def test_older_files_say_the_pooling_in_other_words(save):
    folder = save("cls")
    texts = ["abc", "xyz"]
    expected = Bert.read(folder).encode(texts)
    for on, read in [({"pooling_mode_cls_token": True}, True), ({"pooling_mode_weightedmean_tokens": True}, False)]:
        older = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": False, **on}
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(older))
        found = Bert.read(folder)
        assert (found is not None) == read
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    np.testing.assert_array_equal(Bert.read(folder).encode(texts), expected)
