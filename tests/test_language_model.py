"""Asking a language model, with a real server that misbehaves in every way that servers do."""

import base64
import json
import pickle
import socket
import traceback

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from misbehaving_server import in_turn, serving
from unweave.config import LanguageModelConfig
from unweave.errors import BadAnswer, BadData, ModelUnavailable, SpendingCapReached
from unweave.language.client import LanguageModel, Ledger, Receipt, _object
from unweave.language.keys import Key

FORM = {"name": 60, "description": 300}
ASKED = [{"role": "system", "content": "Name it."}, {"role": "user", "content": "the sea, the tide"}]
KEY = "sk-very-secret"


class Book:
    """Where requests are accounted for."""

    def __init__(self, cap: float = 1e9) -> None:
        self.reserved: list[float] = []
        self.settled: dict[int, Receipt] = {}
        self.cap = cap

    @property
    def ledger(self) -> Ledger:
        return Ledger(self._reserve, lambda receipt: self.settled.update({receipt.number: receipt}))

    def _reserve(self, most: float) -> int:
        if sum(self.reserved) + most > self.cap:
            raise SpendingCapReached("no more")
        self.reserved.append(most)
        return len(self.reserved) - 1


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("unweave.language.client._FIRST_WAIT", 0.001)


def model_at(server, **options) -> LanguageModel:
    return LanguageModel(LanguageModelConfig(base_url=server.base_url, timeout=0.3, **options))


def ask(server, book, **options):
    model = model_at(server, **options)
    try:
        return model.ask(ASKED, FORM, book.ledger)
    finally:
        model.close()


# --- what goes well -------------------------------------------------------------------------------


def test_an_answer_has_the_fields_and_what_they_cost(book):
    with serving() as server:
        answer = ask(server, book, input_price=2.0, output_price=10.0)
    assert set(answer.fields) == {"name", "description"}
    assert answer.receipt == Receipt(0, pytest.approx(100 * 2e-6 + 20 * 10e-6), 100, 20)
    assert answer.attempts == 1
    assert not book.settled  # the receipt is entered with what is made of the answer


def test_more_is_reserved_than_any_answer_can_cost(book):
    with serving() as server:
        answer = ask(server, book, input_price=2.0, output_price=10.0, output_tokens=50)
    bytes_sent = sum(len(message["content"].encode()) for message in ASKED)
    assert book.reserved == [pytest.approx((bytes_sent + 2 * 16) * 2e-6 + 50 * 10e-6)]
    assert answer.receipt.cost <= book.reserved[0] or answer.receipt.input_tokens > bytes_sent


def test_requests_say_what_they_must_and_offer_no_tools(book):
    with serving() as server:
        ask(server, book, model="mistral-small", output_tokens=77)
        (request,) = server.requests
    assert (request["model"], request["max_tokens"], request["temperature"]) == ("mistral-small", 77, 0)
    assert request["messages"] == ASKED
    assert "tools" not in request and "functions" not in request
    schema = request["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["name", "description"] and schema["additionalProperties"] is False


@pytest.mark.parametrize("around", ["{}", "Here you are:\n```json\n{}\n```", "{} I hope that helps!"])
def test_an_object_among_words_is_found(book, around):
    object_ = json.dumps({"name": "tides", "description": "About {braces}."})
    with serving(answer=lambda _: around.replace("{}", object_)) as server:
        assert ask(server, book).fields["name"] == "tides"


@given(st.text(max_size=200))
def test_looking_for_an_object_never_fails(content):
    assert _object(content) in content


@pytest.mark.parametrize("others", ["fine", "not-gzip"])
def test_a_body_that_cannot_be_unpacked_is_asked_for_again(book, others):
    with serving(in_turn("not-gzip", others)) as server:
        if others == "fine":
            assert ask(server, book).attempts == 2
            return
        with pytest.raises(ModelUnavailable, match="could not be asked in 2 attempts"):
            ask(server, book, attempts=2)
        assert len(book.settled) == 2  # it answered, and may have billed it


# --- the ladder -----------------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", ["no-schema"])
def test_a_server_without_schemas_is_asked_in_another_way_and_that_is_remembered(book, refusal):
    def plan(request):
        return refusal if request.get("response_format", {}).get("type") == "json_schema" else "fine"

    with serving(plan) as server:
        model = model_at(server)
        for _ in range(2):
            model.ask(ASKED, FORM, book.ledger)
        model.close()
        asked = [request.get("response_format", {}).get("type") for request in server.requests]
    assert asked == ["json_schema", "json_object", "json_object"]
    assert book.settled[0].cost == 0


def test_a_server_that_knows_no_form_is_asked_in_words(book):
    with serving(lambda request: "no-schema" if "response_format" in request else "fine") as server:
        assert ask(server, book).fields
        assert len(server.requests) == 3


# --- trouble that passes --------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["limit", "error", "time-out", "drop", "cut", "huge"])
def test_trouble_that_passes_is_waited_out(book, trouble):
    with serving(in_turn(trouble, "fine")) as server:
        answer = ask(server, book)
    assert answer.fields and answer.attempts == 2
    assert list(book.settled) == [0]


@pytest.mark.parametrize(
    ("trouble", "is_charged"), [("limit", False), ("error", False), ("time-out", True), ("drop", True)]
)
def test_what_a_server_may_have_worked_on_counts_as_the_most_it_can_cost(book, trouble, is_charged):
    with serving(in_turn(trouble, "fine")) as server:
        ask(server, book, input_price=1.0)
    assert book.settled[0].cost == (pytest.approx(book.reserved[0]) if is_charged else 0)


@pytest.mark.parametrize("trouble", ["not-json", "not-the-form"])
def test_another_form_is_asked_for_once_more_and_then_it_is_a_bad_answer(book, trouble):
    with serving(in_turn(trouble, "fine")) as server:
        assert ask(server, book).fields
    with serving(trouble) as server:
        with pytest.raises(BadAnswer):
            ask(server, book)
        assert len(server.requests) == 2
    assert len(book.settled) == 3  # those answers were paid


def test_a_server_that_stays_away_is_given_up_with_what_to_do(book):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    model = LanguageModel(LanguageModelConfig(base_url=f"http://127.0.0.1:{port}/v1", attempts=3))
    with pytest.raises(ModelUnavailable, match="in 3 attempts; start one: unweave serve-model"):
        model.ask(ASKED, FORM, book.ledger)
    model.close()
    assert [receipt.cost for receipt in book.settled.values()] == [0, 0, 0]  # nothing was sent


@pytest.mark.parametrize(("status", "hint"), [("401", "OPENAI_API_KEY"), ("403", "OPENAI_API_KEY"), ("404", "/v1")])
def test_a_refusal_is_not_repeated(book, status, hint):
    with serving(status) as server:
        with pytest.raises(ModelUnavailable, match=f"answered {status}.*{hint}"):
            ask(server, book)
        assert len(server.requests) == 1


def test_a_redirect_is_not_followed(book, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving("redirect") as server:
        with pytest.raises(ModelUnavailable, match="answered 307"):
            ask(server, book)
        assert len(server.requests) == 1


def test_the_cap_ends_the_asking(book):
    book.cap = 0
    with serving() as server:
        with pytest.raises(SpendingCapReached):
            ask(server, book, input_price=1.0)
        assert server.requests == []


# --- answers that are no answers ------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"name": "a"}',
        '{"name": "a", "description": "b", "tool": "rm"}',
        '{"name": 3, "description": "b"}',
        '{"name": " ", "description": "b"}',
        json.dumps({"name": "x" * 61, "description": "b"}),
        json.dumps({"name": "a", "description": "b" * 301}),
        "[" * 100_000,
    ],
)
def test_only_the_form_that_was_asked_for_is_an_answer(book, content):
    with serving(answer=lambda _: content) as server, pytest.raises(BadAnswer):
        ask(server, book)


# --- the key --------------------------------------------------------------------------------------


def test_the_key_is_sent_to_its_server_and_is_in_no_error(book, monkeypatch, caplog):
    monkeypatch.setenv("MY_KEY", KEY)
    with serving("echo") as server:
        with pytest.raises(ModelUnavailable) as refused:
            ask(server, book, key_from="MY_KEY")
        assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in str(refused.value) and "(what came back is left out: it repeats the key)" in str(refused.value)
    assert KEY not in caplog.text


ECHOES = ["echo", "echo-capitals", "echo-zero-width", "echo-blanks", "echo-full-width", "echo-json", "echo-html",
          "echo-percent", "echo-base64", "echo-hex", "echo-late", "echo-most", "echo-header",
          "echo-status"]  # fmt: skip


@pytest.mark.parametrize("echo", ECHOES)
def test_whatever_repeats_the_key_in_an_error_is_left_out(book, monkeypatch, echo):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving(echo) as server, pytest.raises(ModelUnavailable) as refused:
        ask(server, book, attempts=1)
    said = str(refused.value)
    assert "it repeats the key" in said or "ProtocolError: what was sent or came back is not HTTP" in said
    assert not Key(KEY).is_in("".join(traceback.format_exception(refused.value)))


@pytest.mark.parametrize(
    "said",
    [KEY, "\u200b".join(KEY), " ".join(KEY), "-".join(KEY), KEY.upper(), KEY[:-1], "\n".join(KEY),
     "".join(f"\\u{ord(c):04x}" for c in KEY)],
)  # fmt: skip
@pytest.mark.parametrize("form", ["description", "name", "no-object", "other-field"])
def test_an_answer_that_repeats_the_key_is_none_and_is_not_shown(book, monkeypatch, said, form):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    fields = {"name": "tides", "description": "of the sea"} | {form: f"it is {said}"}
    content = f"it is {said}" if form == "no-object" else json.dumps(fields)
    with serving(answer=lambda _: content) as server, pytest.raises(BadAnswer, match="the answer repeats") as refused:
        ask(server, book)
    assert not Key(KEY).is_in(str(refused.value))


@pytest.mark.parametrize("around", ["{}\r", "{}\n", " {}\t", "{}\r\n"])
def test_white_space_around_a_key_is_taken_off(book, monkeypatch, around):
    monkeypatch.setenv("OPENAI_API_KEY", around.format(KEY))
    with serving() as server:
        assert ask(server, book).fields
        assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "key", ["sk-live\rSECRET99", "sk live SECRET99", "sk-live-SECRET99é", "sk\x00a", "\u200bsk-live"]
)
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(monkeypatch, key):
    monkeypatch.setattr("os.environ", {"OPENAI_API_KEY": key})
    with pytest.raises(BadData, match=r"the key in \$OPENAI_API_KEY has a blank, a line end or a char") as refused:
        LanguageModel(LanguageModelConfig())
    assert "SECRET" not in "".join(traceback.format_exception(refused.value))


def test_a_key_is_in_no_repr_and_in_no_pickle(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    model = LanguageModel(LanguageModelConfig())
    assert repr(Key.read("OPENAI_API_KEY")) == "Key(hidden)"
    assert KEY not in f"{model!r} {vars(model)!r} {model._client.headers!r}"
    with pytest.raises(TypeError, match="is not copied"):
        pickle.dumps(Key(KEY))
    model.close()


def test_a_word_that_stands_for_no_key_may_be_said(book, monkeypatch):
    # Servers on one's own machine want some key, and `none` is a word.
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    answer = json.dumps({"name": "None of them", "description": "Nonetheless."})
    with serving(answer=lambda _: answer) as server:
        assert ask(server, book).fields["name"] == "None of them"


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=12, max_size=40), st.binary(max_size=9))
def test_a_key_is_found_in_base64_wherever_it_begins(key, before):
    assume(sum(c.isalnum() for c in key) >= 8)
    assert Key(key).is_in(base64.b64encode(before + key.encode() + b"!").decode())


def test_a_body_that_cannot_be_unpacked_is_trouble_that_passes(book):
    with serving(in_turn("broken-gzip", "fine")) as server:
        assert ask(server, book).attempts == 2


def test_without_a_key_none_is_sent(book, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving() as server:
        ask(server, book)
        assert "Authorization" not in server.headers[0]


def test_a_key_never_travels_without_encryption(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(BadData, match=r"without encryption.*https://") as refused:
        LanguageModel(LanguageModelConfig(base_url="http://example.org/v1", input_price=1))
    assert KEY not in str(refused.value)


def test_a_model_elsewhere_needs_a_price():
    with pytest.raises(BadData, match="--input-price"):
        LanguageModel(LanguageModelConfig(base_url="https://example.org/v1"))


@pytest.mark.parametrize(
    "url", ["example.org/v1", "ftp://example.org", "https://user:pass@example.org/v1", "https://h/v1?key=1"]
)
def test_an_address_that_is_none_or_holds_secrets_is_refused(url):
    with pytest.raises(ValueError, match="base_url"):
        LanguageModelConfig(base_url=url)


@pytest.mark.parametrize(
    "setting", [{"attempts": 0}, {"cap": -1}, {"timeout": 0}, {"prompt": "poem"}, {"concurrency": 0}]
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        LanguageModelConfig(**setting)
