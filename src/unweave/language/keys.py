"""The key of a language model: read, checked and sent in one place, and recognised in whatever a server says."""

from __future__ import annotations

import base64
import html
import os
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

from unweave.errors import BadData

_LONGEST = 4096
_SECRET = 8
"""A key of fewer letters and digits is no secret (`none`, `local`), and words that merely look like it are said."""
_ESCAPE = re.compile(r"\\+u([0-9a-fA-F]{4})")
_LINE_END = re.compile(r"\\+[nrtbf/\"']")
LEFT_OUT = "what came back is left out: it repeats the key"
"""What stands for words in which the key was recognised."""


class Key:
    """A key, or that there is none. Its text leaves by `header` alone: no repr, error or record has it."""

    def __init__(self, text: str) -> None:
        self._text = text
        normal = _normal(text)
        half = max(_SECRET, (len(normal) + 1) // 2)
        self._parts = [normal[i : i + half] for i in range(len(normal) - half + 1)]
        """Every run of half its letters and digits: who sees it has most of the key."""
        self._coded = [*_base64(text), text.encode().hex()] if self._parts else []

    @classmethod
    def read(cls, variable: str) -> Key:
        """The key in an environment variable, white space around it taken off; none if it is not set or empty.

        Raises:
            BadData: it holds what no key has; what, is not said.
        """
        text = os.environ.get(variable, "").strip()
        if not re.fullmatch(r"[!-~]*", text):
            raise BadData(
                f"the key in ${variable} has a blank, a line end or a character outside ASCII inside, which no key "
                f"has; set {variable} anew, or name another variable: --key-from"
            )
        if len(text) > _LONGEST:
            raise BadData(f"the key in ${variable} has {len(text):,} characters, expected {_LONGEST:,} at most")
        return cls(text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return f"Key({'hidden' if self else 'none'})"

    def __reduce__(self) -> str:
        raise TypeError("a key is not copied into files or other processes")

    @property
    def header(self) -> dict[str, str]:
        """What is sent with a request."""
        return {"Authorization": f"Bearer {self._text}"} if self else {}

    def is_in(self, said: str) -> bool:
        """Whether a text repeats the key, or half of it: whatever stands between its letters, in any case, as escapes
        of JSON, HTML or an address, in base64 or hexadecimal digits."""
        if not self:
            return False
        if not self._parts:
            return self._text in said
        without_blanks = "".join(said.split())
        if any(coded in without_blanks for coded in self._coded):
            return True
        forms = {_normal(form) for form in _readings(said)}
        return any(part in form for form in forms for part in self._parts)

    def hidden(self, said: str) -> str:
        """A text, or that it is left out because it repeats the key."""
        return LEFT_OUT if self.is_in(said) else said


def _normal(text: str) -> str:
    """The letters and digits of ASCII in it, in lower case; letters in another width or style as the plain ones."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in plain if c.isascii() and c.isalnum())


def _readings(said: str) -> Iterator[str]:
    """A text as it stands, and as readers of JSON, HTML and addresses would show it."""
    yield said
    unescaped = _LINE_END.sub(" ", _ESCAPE.sub(lambda found: chr(int(found[1], 16)), said))
    yield unescaped
    yield html.unescape(unescaped)
    yield unquote(unescaped)


def _base64(text: str) -> Iterator[str]:
    """What every base64 of a text with this inside has in common, by where it begins in a group of three bytes."""
    for before in range(3):
        content = b"\0" * before + text.encode()
        content = content[: len(content) // 3 * 3]
        for coded in (base64.b64encode(content), base64.urlsafe_b64encode(content)):
            yield coded.decode()[(0, 2, 3)[before] :]
