"""The files that a corpus comes in, on a disk or in an object store, and how one is cut into shards."""

from __future__ import annotations

import glob
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from unweave.base.addresses import is_remote
from unweave.base.plain import plain
from unweave.cluster.scratch import Scratch
from unweave.cluster.shards import CutFile, Shard, Source, folder_of, read_source, write_source
from unweave.cluster.store import Store, file_system
from unweave.errors import BadData
from unweave.texts.corpus import Corpus
from unweave.texts.queries import QuerySet
from unweave.texts.readers import READERS, ending, passages_of_file

_WILD = frozenset("*[")


def addresses_of(patterns: Sequence[str]) -> list[str]:
    """The addresses of the files that are meant, each once, those of a pattern in the order of their names.

    Args:
        patterns: paths or addresses of files or folders, in whose last part `*` and `[…]` may stand for others; what
            follows an address's `?` are its options.

    Raises:
        BadData: one means no file, or one whose format cannot be told.
    """
    found: list[str] = []
    for pattern in patterns:
        some = _in_a_store(pattern) if is_remote(pattern) else _on_disk(pattern)
        if not some:
            raise BadData(
                f"{plain(pattern, 200)} holds no file of passages; expected files that end in "
                f"{', '.join(sorted(READERS))}, gzipped or not"
            )
        found += [address for address in sorted(some) if address not in found]
    return found


def is_meant(address: str, pattern: str) -> bool:
    """Whether a file's address is one that a path or address with `*` and `[…]` stands for."""
    return fnmatchcase(address, pattern if is_remote(pattern) else str(Path(pattern).resolve()))


def _on_disk(pattern: str) -> list[str]:
    path = Path(pattern)
    found = path.iterdir() if path.is_dir() else map(Path, glob.glob(pattern))  # noqa: PTH207 - it may be absolute
    there = [p for p in found if p.is_file()]
    return [str(p.resolve()) for p in there if ending(p) in READERS]


def _in_a_store(pattern: str) -> list[str]:
    from pyarrow import fs

    address, options = _apart(pattern)
    if not _WILD & set(PurePosixPath(address).name):
        if ending(Path(address)) in READERS:
            return [pattern]
        address = f"{address.rstrip('/')}/*"
    folder, _, wanted = address.rpartition("/")
    system, root = file_system(folder + options)
    there = system.get_file_info(fs.FileSelector(root, allow_not_found=True))
    names = [info.base_name for info in there if info.type == fs.FileType.File]
    return [f"{folder}/{n}{options}" for n in names if fnmatchcase(n, wanted) and ending(Path(n)) in READERS]


def _name_of(source: Source) -> str:
    """What errors call it."""
    return PurePosixPath(_apart(source.address)[0]).name


def _apart(address: str) -> tuple[str, str]:
    """An address without its options, and these, with the question mark that they begin with."""
    path, mark, options = address.partition("?")
    return path, mark + options


@dataclass(frozen=True)
class Cut:
    """Cuts one file into shards of some passages; what it made is noted when all of them are there."""

    store: Store
    size: int

    def __call__(self, source: Source) -> tuple[Shard, ...]:
        noted = read_source(self.store, source.number)
        if noted is not None and noted[:2] == (source.address, self.size) and all(map(self._is_whole, noted.shards)):
            return noted.shards
        with Scratch() as scratch:
            shards = tuple(self._shards(source, scratch))
            if not shards:
                raise BadData(f"{_name_of(source)} holds no passage; take it out, or check its format")
            write_source(self.store, source.number, CutFile(source.address, self.size, shards), scratch)
        return shards

    def _is_whole(self, shard: Shard) -> bool:
        """Whether a shard's passages are there, so that the file need not be read again."""
        return self.store.is_whole(f"{folder_of(shard.name)}/corpus", Corpus.kind, shard.corpus)

    def _shards(self, source: Source, scratch: Path) -> Iterator[Shard]:
        passages = passages_of_file(self._local(source, scratch))
        for nth in itertools.count():
            some = itertools.islice(passages, self.size)
            first = next(some, None)
            if first is None:
                return
            shard = f"{source.number:06d}-{nth:06d}"
            made = scratch / shard
            corpus = Corpus.write(
                made / "corpus", itertools.chain([first], some), settings={"about": {"source": _name_of(source)}}
            )
            QuerySet.write(made / "queries", (), {}, settings={})
            for name in ("queries", "corpus"):
                self.store.publish(made / name, name, f"{folder_of(shard)}/{name}")
            yield Shard(shard, len(corpus), corpus.manifest.fingerprint)

    def _local(self, source: Source, scratch: Path) -> Path:
        """The file on this machine's disk."""
        if not is_remote(source.address):
            return Path(source.address)
        path, options = _apart(source.address)
        folder, _, name = path.rpartition("/")
        whole = scratch / PurePosixPath(name).name
        Store(folder + options).fetch_file(name, whole)
        return whole


def some_of(sources: Sequence[Source]) -> str:
    """The first files, for people to read."""
    more = f" and {len(sources) - 3:,} more" if len(sources) > 3 else ""
    return plain(", ".join(source.address for source in sources[:3]), 300) + more
