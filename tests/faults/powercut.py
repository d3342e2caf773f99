"""What a disk may hold after a power cut: a log of changes, replayed without some of those that were not synced.

A change of a file is on the disk once the file was synced; a change of names (a creation, a renaming, a removal) once
the folder was. Of what was not, a disk may hold any of what `MODELS` lists. As ALICE does (Pillai et al. 2014, "All
file systems are not created equal"), the states are made from the log and not waited for.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

(CREATE, OPEN, TRUNCATE, WRITE, RENAME, UNLINK, RMDIR, MKDIR, SYMLINK, LINK, SYNC, CLOSE, SYNC_ALL) = range(1, 14)
_HEADER = struct.Struct("<4I3Q")
_EXCHANGE = 2
_SECTOR = 512

WHOLE, SYNCED, EMPTY, ZEROS, ORDERED, WEAK = "whole", "synced only", "names, empty", "names, zeros", "ordered", "weak"
MODELS = (SYNCED, EMPTY, ZEROS, ORDERED, WEAK)
"""What is lost of the changes that were not synced:

synced only   all of them
names, empty  everything written to files, not their names: what a copy of an ext4 image shows after a cut
names, zeros  the same, but files have their sizes, and zeros where nothing was written
ordered       names change in the order in which they did, up to some moment; files are lost, zeros, torn or whole
weak          the same, but each folder's names up to a moment of its own; of each file, any of its writes
"""


class Event(NamedTuple):
    """One change."""

    op: int
    first: str
    """Path, from the watched folder."""
    second: str
    inode: int
    """Of the file; of a renaming, its flags."""
    offset: int
    data: bytes
    number: int = 0
    """As the library counts, calls that failed included."""


def read(log: bytes, root: Path) -> list[Event]:
    """The events of a log, their paths relative to the watched folder."""
    events, at, before = [], 0, len(os.fsencode(root.resolve())) + 1
    while at < len(log):
        op, first, second, number, inode, offset, n = _HEADER.unpack_from(log, at)
        at += _HEADER.size
        paths = log[at : at + first], log[at + first : at + first + second]
        at += first + second
        data = log[at : at + n] if op == WRITE else b""
        at += len(data)
        target = paths[1] if op == SYMLINK else paths[1][before:]
        events.append(Event(op, os.fsdecode(paths[0][before:]), os.fsdecode(target), inode, offset, data, number))
    return events


@dataclass(eq=False)
class Node:
    """A file, folder or link, whatever it is called."""

    data: bytes = b""
    """Of a file, before the first event; of a link, its target."""
    entries: dict[str, Node] | None = None
    """Of a folder, before the first event."""
    is_link: bool = False
    changes: list[Event] = field(default_factory=list)
    when: list[int] = field(default_factory=list)
    """The number of the event of each change."""
    synced: list[int] = field(default_factory=list)
    """The numbers of the events that synced it."""


class Renamed(NamedTuple):
    """A change of names: what each entry of a folder becomes."""

    event: int
    entries: tuple[tuple[Node, str, Node | None], ...]


class Replay:
    """A folder as it was, and what then happened to it."""

    def __init__(self, folder: Path) -> None:
        """Read a folder whose changes are about to be logged."""
        self._by_inode: dict[int, Node] = {}
        self.root = self._read(folder)
        self.names: list[Renamed] = []
        self.n_events = 0
        self._live: dict[Node, dict[str, Node]] = {}

    def _read(self, path: Path) -> Node:
        inode = path.lstat().st_ino
        if inode not in self._by_inode:
            if path.is_symlink():
                node = Node(os.fsencode(path.readlink()), is_link=True)
            elif path.is_dir():
                node = Node(entries={child.name: self._read(child) for child in path.iterdir()})
            else:
                node = Node(path.read_bytes())
            self._by_inode[inode] = node
        return self._by_inode[inode]

    # --- what happened ---------------------------------------------------------------------------

    def happened(self, events: Iterable[Event]) -> None:
        """Take note of everything that was done to the folder."""
        for event in events:
            number, self.n_events = self.n_events, self.n_events + 1
            if event.op in (TRUNCATE, WRITE):
                node = self._by_inode[event.inode]
                node.changes.append(event)
                node.when.append(number)
            elif event.op == SYNC:
                self._by_inode[event.inode].synced.append(number)
            elif event.op == SYNC_ALL:
                for node in self._by_inode.values():
                    node.synced.append(number)
            elif event.op not in (OPEN, CLOSE):
                self._rename(number, event)

    def _rename(self, number: int, event: Event) -> None:
        if event.op in (CREATE, MKDIR, SYMLINK):
            node = self._by_inode[event.inode] = Node(
                os.fsencode(event.second) if event.op == SYMLINK else b"",
                {} if event.op == MKDIR else None,
                is_link=event.op == SYMLINK,
            )
            entries = [(*self._place(event.first), node)] if event.first else []  # a file may be made without a name
        elif event.op == LINK:
            entries = [(*self._place(event.first), self._by_inode[event.inode])]
        elif event.op in (UNLINK, RMDIR):
            entries = [(*self._place(event.first), None)]
        else:
            old, new = self._place(event.first), self._place(event.second)
            there = self._now(new[0]).get(new[1]) if event.inode & _EXCHANGE else None
            entries = [(*old, there), (*new, self._now(old[0])[old[1]])]
        for folder, name, node in entries:
            _set(self._now(folder), name, node)
        self.names.append(Renamed(number, tuple(entries)))

    def _now(self, folder: Node) -> dict[str, Node]:
        if folder not in self._live:
            self._live[folder] = dict(folder.entries or {})
        return self._live[folder]

    def _place(self, path: str) -> tuple[Node, str]:
        *parents, name = path.split("/")
        folder = self.root
        for parent in parents:
            folder = self._now(folder)[parent]
        return folder, name

    # --- what is left ----------------------------------------------------------------------------

    def cut(self, at: int, model: str, random: Random, to: Path) -> None:
        """Write what a disk may hold after a power cut before event `at` to a new folder."""
        kept = self._kept_names(at, model, random)
        folders: dict[Node, dict[str, Node]] = {}
        for renamed in kept:
            for folder, name, node in renamed.entries:
                _set(folders.setdefault(folder, dict(folder.entries or {})), name, node)
        self._write(self.root, folders, at, model, random, to)

    def _write(
        self, node: Node, folders: dict[Node, dict[str, Node]], at: int, model: str, random: Random, to: Path
    ) -> None:
        if node.is_link:
            to.symlink_to(os.fsdecode(node.data))
        elif node.entries is None:
            to.write_bytes(content(node, at, model, random))
        else:
            to.mkdir()
            for name, child in sorted(folders.get(node, node.entries).items()):
                self._write(child, folders, at, model, random, to / name)

    def _kept_names(self, at: int, model: str, random: Random) -> list[Renamed]:
        """The changes of names that are on the disk, in their order."""
        happened = [renamed for renamed in self.names if renamed.event < at]
        if model in (WHOLE, EMPTY, ZEROS):
            return happened
        if model == ORDERED:  # a journal: whatever is synced takes all earlier changes of names with it
            last = max((n for node in self._nodes() for n in node.synced if n < at), default=-1)
            forced = sum(renamed.event < last for renamed in happened)
            return happened[: random.randint(forced, len(happened))]
        forced_too = _synced(happened, at)
        kept, cut = [], set[Node]()
        for renamed, is_forced in zip(happened, forced_too, strict=True):
            folders = {folder for folder, _, _ in renamed.entries}
            if is_forced or (model == WEAK and not folders & cut and random.random() < 0.8):
                kept.append(renamed)
            else:
                cut |= folders
        return kept

    def _nodes(self) -> set[Node]:
        found, todo = set[Node](), [self.root, *(n for r in self.names for _, _, n in r.entries if n is not None)]
        while todo:
            node = todo.pop()
            if node not in found:
                found.add(node)
                todo += (node.entries or {}).values()
        return found


def _synced(happened: Sequence[Renamed], at: int) -> list[bool]:
    """Which changes of names are on the disk for sure: those of a folder that was synced later, and all before them."""
    until: dict[Node, int] = {}
    forced = []
    for renamed in reversed(happened):
        folders = [folder for folder, _, _ in renamed.entries]
        is_forced = any(
            renamed.event < until.get(folder, -1) or any(renamed.event < n < at for n in folder.synced)
            for folder in folders
        )
        if is_forced:
            until.update((folder, max(renamed.event, until.get(folder, -1))) for folder in folders)
        forced.append(is_forced)
    return forced[::-1]


def content(node: Node, at: int, model: str, random: Random) -> bytes:
    """What a disk may hold of a file after a power cut before event `at`."""
    happened = [change for change, when in zip(node.changes, node.when, strict=True) if when < at]
    if model == WHOLE:
        return applied(node.data, happened)
    synced = max((n for n in node.synced if n < at), default=-1)
    n_safe = sum(when < synced for when in node.when)
    safe, loose = applied(node.data, happened[:n_safe]), happened[n_safe:]
    if not loose or model in (SYNCED, EMPTY):
        return safe
    fate = ZEROS if model == ZEROS else random.choice((SYNCED, ZEROS, WHOLE, "torn", "some"))
    if fate == SYNCED:
        return safe
    if fate == ZEROS:
        size = len(applied(safe, loose))
        return safe[:size].ljust(size, b"\0")
    if fate == WHOLE:
        return applied(safe, loose)
    if fate == "some" and model == WEAK:
        return applied(safe, [change for change in loose if random.random() < 0.5])
    before, last = loose[: (last_at := random.randrange(len(loose)))], loose[last_at]
    torn = last._replace(data=last.data[: random.randrange(len(last.data) + 1) // _SECTOR * _SECTOR])
    return applied(safe, [*before, torn])


def applied(data: bytes, changes: Iterable[Event]) -> bytes:
    """A file after some changes."""
    file = bytearray(data)
    for change in changes:
        if change.op == TRUNCATE:
            file = file[: change.offset].ljust(change.offset, b"\0")
        else:
            file = file.ljust(change.offset, b"\0")
            file[change.offset : change.offset + len(change.data)] = change.data
    return bytes(file)


def _set(entries: dict[str, Node], name: str, node: Node | None) -> None:
    if node is None:
        entries.pop(name, None)
    else:
        entries[name] = node
