"""Ask a language model for a few words of a given form, through any endpoint that speaks OpenAI's chat API.

What comes back is checked: one JSON object with just the fields that were asked for, each a text that is not too long.
Servers differ in how they can be held to that, so the client steps down a ladder until one is accepted: a JSON schema,
JSON of any form, words alone. Trouble that passes (busy servers, time-outs, dropped connections) is waited out.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from unweave.base.addresses import is_on_this_machine
from unweave.base.plain import plain
from unweave.config import LanguageModelConfig
from unweave.errors import BadAnswer, BadData, MissingExtra, ModelUnavailable
from unweave.language.keys import Key

Message = Mapping[str, str]
"""`role` and `content`."""
LADDER = ("json_schema", "json_object", "text")
"""Ways to hold a server to the form of its answer, the strictest first."""
_MOST_BYTES = 1 << 20
"""Of a response; a longer one is not read to its end."""
_LONGEST_WAIT = 60.0
_FIRST_WAIT = 0.5
_DOUBLINGS = 10
_TOKENS_ROOM = 16
"""Tokens that a chat template adds to a message, at most."""
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses that may be gone when asked again."""


class Receipt(NamedTuple):
    """What became of a reservation."""

    number: int
    """Of the reservation."""
    cost: float
    input_tokens: int
    output_tokens: int


class Answer(NamedTuple):
    """What a language model said."""

    fields: dict[str, str]
    receipt: Receipt
    """Still to be entered: with what is made of the answer, so that both are kept or neither."""
    attempts: int


class Ledger(NamedTuple):
    """Where requests are accounted for before they are sent, and when they came to nothing."""

    reserve: Callable[[float], int]
    """Takes the most that a request can cost and returns a number; raises SpendingCapReached if that is too much."""
    settle: Callable[[Receipt], None]


class LanguageModel:
    """A language model behind an endpoint. Several threads may ask at a time.

    The key goes to `base_url` and nowhere else: no redirect is followed, no proxy used, and without encryption it is
    sent to this machine only. It is in no error and no record: what repeats it is left out.
    """

    def __init__(self, config: LanguageModelConfig) -> None:
        """Prepare to ask; nothing is sent.

        Raises:
            MissingExtra: httpx2 is not installed.
            BadData: a key would travel without encryption or is none, or a model elsewhere has no price.
        """
        try:
            import httpx2
        except ImportError as error:
            raise MissingExtra("language models", "llm") from error
        self._httpx = httpx2
        self.config = config
        self._key = Key.read(config.key_from)
        url = urlsplit(config.base_url)
        if self._key and url.scheme == "http" and not is_on_this_machine(config.base_url):
            raise BadData(
                f"the key in ${config.key_from} would travel to {url.hostname} without encryption; give an https:// "
                f"address as --base-url, or unset {config.key_from}"
            )
        if not is_on_this_machine(config.base_url) and not (config.input_price or config.output_price):
            raise BadData(
                f"{url.hostname} has no price, so the cap on spending could not hold; give --input-price and "
                "--output-price, per million tokens (a tiny one if it is free)"
            )
        self._client = httpx2.Client(
            timeout=config.timeout,
            trust_env=False,
            follow_redirects=False,
            headers=self._key.header,
        )
        self._step = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def close(self) -> None:
        """End all connections; requests that wait to be sent again are given up."""
        self._closed.set()
        self._client.close()

    def ask(self, messages: Sequence[Message], form: Mapping[str, int], ledger: Ledger) -> Answer:
        """Ask for one JSON object.

        Args:
            messages: what is asked.
            form: the fields that the answer is to have, all texts, and the characters that each may have.
            ledger: where each request, those that are sent again too, is accounted for.

        Raises:
            BadAnswer: the model answered, twice, in another form.
            ModelUnavailable: it cannot be reached, or refuses.
            SpendingCapReached: one more request could cost too much.
        """
        wrong: BadAnswer | None = None
        for attempt in range(1, self.config.attempts + 1):
            number = ledger.reserve(self.worst_cost(messages))
            response, trouble = None, ""
            try:
                response = self._post(messages, form)
            except (self._httpx.RequestError, self._httpx.InvalidURL, _Cut) as error:  # or a body that is broken
                # Whether the server worked on it is not known: what was never sent costs nothing, all else its most.
                free = isinstance(error, self._httpx.ConnectError | self._httpx.ConnectTimeout)
                ledger.settle(self._receipt(number, messages, None, sent=not free))
                trouble = self._trouble(error)
            if response is None:  # out of the handler: a traceback would show the library's error, and headers in it
                self._wait_or_give_up(attempt, trouble, None)
                continue
            if response.status != 200:
                ledger.settle(self._receipt(number, messages, None, sent=False))
                if not self._steps_down(response):
                    self._refuse_or_wait(attempt, response)
                continue
            receipt = self._receipt(number, messages, response, sent=True)
            try:
                return Answer(self._fields(response, form), receipt, attempt)
            except BadAnswer as error:
                ledger.settle(receipt)
                if wrong is not None:
                    raise
                wrong = error
        raise wrong or ModelUnavailable(f"{self._where} failed {self.config.attempts} times")

    def _fields(self, response: _Response, form: Mapping[str, int]) -> dict[str, str]:
        """The checked fields of an answer that does not repeat the key anywhere, not in what an error would show."""
        whole = response.body.decode("utf-8", "replace")
        content = _content(whole)
        if self._key.is_in(whole) or self._key.is_in(content):
            raise BadAnswer("the answer repeats the key")
        fields = _fields(content, form)
        if any(self._key.is_in(said) for said in fields.values()):
            raise BadAnswer("the answer repeats the key")
        return fields

    def _trouble(self, error: Exception) -> str:
        """What went wrong with a connection; not in the library's words where these may be about headers."""
        if isinstance(error, self._httpx.ProtocolError | self._httpx.DecodingError | self._httpx.InvalidURL):
            return f"{type(error).__name__}: what was sent or came back is not HTTP"
        return f"{type(error).__name__}: {error}".removesuffix(": ")

    def worst_cost(self, messages: Sequence[Message]) -> float:
        """The most that one request with these messages can cost: no token is shorter than a byte."""
        return self.config.cost(_most_tokens(messages), self.config.output_tokens)

    def _receipt(self, number: int, messages: Sequence[Message], response: _Response | None, *, sent: bool) -> Receipt:
        if not sent:
            return Receipt(number, 0.0, 0, 0)
        usage = _usage(response) if response else None
        read, written = usage or (_most_tokens(messages), self.config.output_tokens)
        return Receipt(number, self.config.cost(read, written), read, written)

    def _post(self, messages: Sequence[Message], form: Mapping[str, int]) -> _Response:
        step = self._step
        asked: dict[str, Any] = {
            "model": self.config.model,
            "messages": [dict(message) for message in messages],
            "max_tokens": self.config.output_tokens,
            "temperature": 0,
            "seed": 0,
        }
        if LADDER[step] == "json_schema":
            schema = {
                "type": "object",
                "properties": {name: {"type": "string", "maxLength": longest} for name, longest in form.items()},
                "required": list(form),
                "additionalProperties": False,
            }
            asked["response_format"] = {
                "type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}
            }  # fmt: skip
        elif LADDER[step] == "json_object":
            asked["response_format"] = {"type": "json_object"}
        url = self.config.base_url.rstrip("/") + "/chat/completions"
        with self._client.stream("POST", url, json=asked) as answer:
            body = bytearray()
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > _MOST_BYTES:
                    raise _Cut(f"an answer of over {_MOST_BYTES:,} bytes")
            return _Response(answer.status_code, bytes(body), dict(answer.headers), step)

    def _steps_down(self, response: _Response) -> bool:
        """Whether the server does not know this way to ask for a form, and another is left to try."""
        refuses = b"response_format" in response.body or b"json_schema" in response.body
        if not refuses or response.status in (401, 403, 404, 429) or response.step == len(LADDER) - 1:
            return False
        with self._lock:
            self._step = max(self._step, response.step + 1)
        return True

    def _refuse_or_wait(self, attempt: int, response: _Response) -> None:
        whole = response.body.decode("utf-8", "replace")  # looked at before it is cut: a part of the key is one too
        said = plain(self._key.hidden(whole)[:2000], 200)
        if response.status not in _PASSING:
            hint = {
                401: f"; is the key in ${self.config.key_from} right?",
                403: f"; may the key in ${self.config.key_from} use this model?",
                404: "; does --base-url end in /v1, and is the --model there?",
            }.get(response.status, "")
            raise ModelUnavailable(f"{self._where} answered {response.status}{hint} ({said})")
        self._wait_or_give_up(attempt, f"{response.status} {said}", response.headers.get("retry-after"))

    def _wait_or_give_up(self, attempt: int, what: str, retry_after: str | None) -> None:
        if attempt >= self.config.attempts:
            start = "; start one: unweave serve-model" if is_on_this_machine(self.config.base_url) else ""
            raise ModelUnavailable(
                f"{self._where} could not be asked in {attempt} attempts{start} ({plain(self._key.hidden(what), 200)})"
            )
        seconds = _FIRST_WAIT * 2 ** min(attempt - 1, _DOUBLINGS) * random.uniform(0.5, 1.5)  # noqa: S311 - not a secret
        if retry_after is not None and retry_after.isascii() and retry_after.isdigit():
            seconds = max(seconds, float(retry_after))
        if self._closed.wait(min(seconds, _LONGEST_WAIT)):
            raise ModelUnavailable(f"{self._where} was not asked again: the run has ended")

    @property
    def _where(self) -> str:
        return f"the language model at {plain(self.config.base_url, 80)}"


class _Cut(Exception):
    """A response that was not read to its end."""


class _Response(NamedTuple):
    status: int
    body: bytes
    headers: Mapping[str, str]
    step: int
    """Of the ladder, on which it was asked."""


def _content(body: str) -> str:
    """What the model said, in the response of a server."""
    try:
        content = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise BadAnswer("the server's response is not one of a chat") from None
    if not isinstance(content, str):
        raise BadAnswer(f"the answer is {type(content).__name__}, expected text")
    return content


def _fields(content: str, form: Mapping[str, int]) -> dict[str, str]:
    """The checked fields of an answer."""
    try:
        found = json.loads(_object(content))
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"the answer is not a JSON object: {plain(content, 80)!r}") from error
    if not isinstance(found, dict) or set(found) != set(form):
        raise BadAnswer(f"the answer's fields are not {', '.join(form)}: {plain(content, 80)!r}")
    for name, longest in form.items():
        if not isinstance(found[name], str) or not found[name].strip() or len(found[name]) > longest:
            raise BadAnswer(f"{name} is not a text of 1 to {longest} characters: {plain(str(found[name]), 80)!r}")
    return found


def _object(content: str) -> str:
    """The JSON object in an answer that may have words or a code fence around it."""
    start, end = content.find("{"), content.rfind("}")
    return content[start : end + 1] if 0 <= start < end else content


def _usage(response: _Response) -> tuple[int, int] | None:
    """Tokens read and written, as the server counts them; None if it does not say."""
    try:
        usage = json.loads(response.body)["usage"]
        counts = usage["prompt_tokens"], usage["completion_tokens"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    if not all(isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**31 for count in counts):
        return None
    return counts


def _most_tokens(messages: Sequence[Message]) -> int:
    return sum(len(message["content"].encode()) + _TOKENS_ROOM for message in messages)
