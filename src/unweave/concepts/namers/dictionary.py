"""Names that come with a dictionary: what its maker called a latent, from texts of many kinds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from unweave.base.plain import plain
from unweave.concepts.concept import GIVEN_BY, LONGEST_DESCRIPTION, LONGEST_NAME, Naming
from unweave.concepts.namers.base import digest


class Given(NamedTuple):
    """What a dictionary calls a latent."""

    latent: int
    name: str
    description: str = ""
    namer: str = ""
    """What made the name there; empty: not stated."""


class DictionaryNamer:
    """Gives latents of a dictionary from elsewhere the names that it has for them; see `base.Namer`."""

    namer = "dictionary"
    a_transaction = 500

    def __init__(self, given: Iterable[Given], dictionary: str) -> None:
        """Take names of latents.

        Args:
            dictionary: what the dictionary is called in the settings.
        """
        self._given = {
            one.latent: one._replace(
                name=plain(one.name, LONGEST_NAME), description=plain(one.description, LONGEST_DESCRIPTION)
            )
            for one in given
        }
        self._dictionary = dictionary
        self.made_with = digest({"version": 2, "names": sorted(self._given.values())})

    def names(self, latents: Sequence[int]) -> Iterator[tuple[int, Naming]]:
        """A naming of each latent, in their order; the corpus's own latents have no name here."""
        for latent in latents:
            of = self._given.get(latent, Given(latent, ""))
            provenance = {"dictionary": self._dictionary} | ({GIVEN_BY: of.namer} if of.namer else {})
            yield (
                latent,
                Naming(self.namer, of.name or None, of.description, made_with=self.made_with, provenance=provenance),
            )
