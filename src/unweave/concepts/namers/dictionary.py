"""Names that come with a dictionary: what its maker called a latent, from texts of many kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from unweave.base.plain import plain
from unweave.concepts.concept import LONGEST_NAME, Naming
from unweave.concepts.namers.base import digest


class DictionaryNamer:
    """Gives latents of a dictionary from elsewhere the names that it has for them; see `base.Namer`."""

    namer = "dictionary"
    a_transaction = 500

    def __init__(self, names: Mapping[int, str], dictionary: str) -> None:
        """Take names by latent.

        Args:
            dictionary: what the dictionary is called in the settings.
        """
        self._names = {latent: plain(name, LONGEST_NAME) for latent, name in names.items()}
        self._provenance = {"dictionary": dictionary}
        self.made_with = digest({"version": 1, "names": sorted(self._names.items())})

    def names(self, latents: Sequence[int]) -> Iterator[tuple[int, Naming]]:
        """A naming of each latent, in their order; the corpus's own latents have no name here."""
        for latent in latents:
            name = self._names.get(latent) or None
            yield latent, Naming(self.namer, name, made_with=self.made_with, provenance=self._provenance)
