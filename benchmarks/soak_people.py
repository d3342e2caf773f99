"""Those who write and read in soak.py: a writer, visitors of the server, a typist of commands, a program in Python.

Four passages are the writer's own, a log that it replaces whole in every round; each says of which edition it is. So an
answer that mixes two states of the project shows itself: it has passages of two editions.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from serving import Server

from unweave.base.records import Passage
from unweave.errors import UnweaveError
from unweave.project import Project
from unweave.texts.collection import Collection
from unweave.texts.vital_articles import vital_articles

EVERY_NTH = 16
"""Of the demo's ten thousand articles one in so many is served."""
LOG = tuple(f"log-{part}" for part in range(4))
ASKED_LOG = "what the keeper of the lighthouse wrote about weather and ships"
OTHERS = (
    "device to generate electricity from wind", "a river in the north of Asia", "how plants turn light into sugar",
    "capital of an old empire", "instrument with strings", "particle with a negative charge",
)  # fmt: skip
SYSTEMS = ("CL-SR", "codes", "dense", "BM25", "CL-SR rescored", "BM25 + codes")
FIT = ("--n-latents", "512", "--k", "16", "--steps", "150", "--batch-size", "128")
FIT_ON = ("--steps", "30")


class Answer(NamedTuple):
    """What became of one request."""

    seconds: float
    """When it was sent, since the beginning."""
    kind: str
    ms: float
    refused: str = ""
    """Why there was no answer, where that was said as it should be."""
    problem: str = ""
    """What is wrong."""


def log_of(edition: int) -> list[Passage]:
    """The writer's own passages, all of one edition."""
    return [
        Passage(name, f"Log of the lighthouse, part {part}", f"The keeper of the lighthouse wrote down the weather and "
                f"the ships of part {part} of the year. This is edition {edition}.", {"edition": edition})
        for part, name in enumerate(LOG)
    ]  # fmt: skip


def base_project(folder: Path) -> Path:
    """The project as it is before the writer begins; made once."""
    if not (folder / "index").exists():
        articles = vital_articles().passages[::EVERY_NTH]
        project = Project.create(folder, Collection(passages=[*articles, *log_of(0)]))
        for words in (("embed", "--sentences", "500"), ("fit", *FIT), ("name",), ("index", "build")):
            command, options = (words, ()) if words[0] == "index" else (words[:1], words[1:])
            subprocess.run([*_UNWEAVE, *command, project.path, *options], check=True, stdout=sys.stderr)
    return folder


_UNWEAVE = (sys.executable, "-m", "unweave")


# --- what an answer must be -----------------------------------------------------------------------


class Reader:
    """Remembers which edition it has seen, and says what is wrong with hits."""

    def __init__(self) -> None:
        self._newest = 0

    def wrong(self, hits: Sequence[Mapping[str, Any]]) -> str:
        """What is wrong with hits, as the server and the command print them; "" if nothing."""
        scores = [hit["score"] for hit in hits]
        if not hits or scores != sorted(scores, reverse=True):
            return "scores rise" if hits else "nothing was found"
        for hit in hits:
            parts = _parts(hit.get("explanation"))
            if parts is not None and abs(sum(parts) - hit["score"]) > 1e-4 * max(1e-3, sum(map(abs, parts))):
                return f"the parts of {hit['passage_id']} add up to {sum(parts)}, not to {hit['score']}"
        of_log = [hit["text"] for hit in hits if hit["passage_id"] in LOG]
        editions = {int(said[1]) for text in of_log if (said := _EDITION.search(text))}
        if len(editions) > 1:
            return f"one answer has editions {sorted(editions)}"
        if editions and max(editions) < self._newest:
            return f"edition {max(editions)} came after {self._newest}"
        self._newest = max(editions, default=self._newest)
        return ""


_EDITION = re.compile(r"edition (\d+)")


def _parts(explanation: Mapping[str, Any] | None) -> list[float] | None:
    """What a score is the sum of: concepts, or systems, or both."""
    if explanation is None:
        return None
    of = [*explanation["contributions"], *explanation.get("parts", ())]
    return [*(part["value"] for part in of), explanation["bias"], explanation["residual"]]


# --- people ---------------------------------------------------------------------------------------


class Person(threading.Thread):
    """Somebody who asks, thinks, and asks again until it is over."""

    KINDS: tuple[str, ...] = ()

    def __init__(
        self, server: Server, over: threading.Event, answers: list[Answer], began: float, think: float
    ) -> None:
        super().__init__(daemon=True)
        self.server, self.over, self.answers, self.began, self.think = server, over, answers, began, think
        self.random = random.Random(self.name)
        self.reader = Reader()

    def run(self) -> None:
        while not self.over.wait(self.think * self.random.uniform(0.5, 1.5)):
            self.ask()

    def ask(self) -> None:
        raise NotImplementedError

    def note(self, kind: str, asking: Callable[[], tuple[str, str]]) -> None:
        """Ask, and write down how long it took and what was refused or wrong with it."""
        began = time.monotonic()
        try:
            refused, problem = asking()
        except Exception as error:  # whatever it is, it is written down
            refused, problem = "", f"{type(error).__name__}: {error}"
        took = 1000 * (time.monotonic() - began)
        self.answers.append(Answer(round(began - self.began, 1), kind, round(took, 1), refused, problem[:300]))

    def query(self) -> str:
        return ASKED_LOG if self.random.random() < 0.5 else self.random.choice(OTHERS)


class Visitor(Person):
    """Asks the server over HTTP, as its pages do."""

    KINDS = ("explained searches", "searches", "concepts")

    def __init__(
        self, server: Server, over: threading.Event, answers: list[Answer], began: float, kind: str, think: float
    ) -> None:
        super().__init__(server, over, answers, began, think)
        self.kind = kind

    def ask(self) -> None:
        self.note(self.kind, self._concepts if self.kind == "concepts" else self._search)

    def _search(self) -> tuple[str, str]:
        explain = str(self.kind == "explained searches").lower()
        asked = {"q": self.query(), "system": self.random.choice(SYSTEMS), "explain": explain}
        found, refused = got(self.server, f"/api/search?{urlencode(asked)}")
        return (refused, "") if refused else ("", self.reader.wrong(found["hits"]))

    def _concepts(self) -> tuple[str, str]:
        path = self.random.choice(("/api/project", "/api/concepts?limit=50", "/api/edits", "/api/families", "card"))
        if path == "card":
            found, refused = got(self.server, "/api/concepts?limit=20")
            if refused:
                return refused, ""
            path = f"/api/concepts/{self.random.choice(found['rows'])['latent']}"
        return got(self.server, path)[1], ""


def got(server: Server, path: str) -> tuple[Any, str]:
    """What is answered, or why there is no answer because of the state of the project.

    Raises:
        urllib.error.HTTPError: it is refused for another reason.
    """
    request = urllib.request.Request(server.origin + path, headers={"Authorization": f"Bearer {server.token}"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer), ""
    except urllib.error.HTTPError as error:
        said = json.loads(error.read())
        if error.code not in (404, 409):
            raise RuntimeError(f"{error.code} {path}: {said}") from error
        return None, reason(said["error"])


def reason(said: str) -> str:
    """A refusal without what changes from one to the next."""
    return re.sub(r"/\S+/project", "PROJECT", re.sub(r"\b\d+\b", "N", said))[:160]


class Typist(Person):
    """Types `unweave search`: a process each time."""

    def ask(self) -> None:
        self.note("unweave search", self._search)

    def _search(self) -> tuple[str, str]:
        system = self.random.choice(("CL-SR", "BM25", "codes"))
        command = [*_UNWEAVE, "search", self.server.project, self.query(), "--system", system, "--explain", "--json"]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            line = done.stderr.strip()
            return (reason(line), "") if re.fullmatch(r"Error: [^\n]+", line) else ("", f"rc {done.returncode}: {line}")
        return "", self.reader.wrong(json.loads(done.stdout)["hits"])


class Writer(Person):
    """Changes the project, by the commands that a person would type."""

    def __init__(
        self, server: Server, over: threading.Event, answers: list[Answer], began: float, every_round: float
    ) -> None:
        super().__init__(server, over, answers, began, 0.0)
        self._every = every_round
        self._spare = [passage for n, passage in enumerate(vital_articles().passages) if n % EVERY_NTH]
        self.rounds, self.passages = 0, len(Project.open(server.project).corpus)
        self.done: Counter[str] = Counter()

    def run(self) -> None:
        while not self.over.is_set():
            began = time.monotonic()
            self._round()
            self.over.wait(max(0.0, self._every - (time.monotonic() - began)))

    def _round(self) -> None:
        """Replace the log, add a passage, and make everything that follows from it."""
        edition = self.rounds + 1
        file = self.server.project.with_name("more.jsonl")
        rows = [*log_of(edition), self._spare[edition]]
        lines = [{"_id": one.passage_id, "title": one.title, "text": one.text} for one in rows]
        file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
        for words in (("add", "--corpus", str(file)), ("embed",), ("fit", *FIT_ON), ("name",), ("index build",)):
            if self.over.is_set():
                return
            self._command(*words)
        self.rounds, self.passages = edition, self.passages + 1
        self._edit(edition)

    def _command(self, name: str, *options: str, arguments: Sequence[str] = ()) -> None:
        def run() -> tuple[str, str]:
            command = [*_UNWEAVE, *name.split(), str(self.server.project), *arguments, *options]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
            self.done[name] += 1
            return "", f"{name}: rc {done.returncode}: {done.stderr.strip()[-250:]}" if done.returncode else ""

        self.note("the writer's commands", run)

    def _edit(self, edition: int) -> None:
        """Rename a concept, see that the server knows at once, and take it back."""
        found, refused = got(self.server, "/api/concepts?limit=20")
        if refused:
            return
        latent = str(found["rows"][edition % 20]["latent"])
        name = f"what edition {edition} is about"
        self._command("concepts rename", arguments=(latent, name))
        self.note("an edit is seen", lambda: self._seen(latent, name))
        self._command("concepts undo")

    def _seen(self, latent: str, name: str) -> tuple[str, str]:
        found, refused = got(self.server, f"/api/concepts/{latent}")
        return refused, "" if refused or name in json.dumps(found) else f"concept {latent} is not yet called {name!r}"


# --- a program that holds the project open --------------------------------------------------------


def held_open(folder: Path, seconds: float) -> dict[str, Any]:
    """Search from Python for so long, with one `Project`: every answer, and the memory at each quarter."""
    answers: list[Answer] = []
    person = Person(Server(None, "", "", folder), threading.Event(), answers, time.monotonic(), 3.0)  # type: ignore[arg-type]
    project, memory = Project.open(folder), list[float]()

    def search() -> tuple[str, str]:
        try:
            project.reread()
            hits = project.search(person.query(), system=person.random.choice(SYSTEMS), explain=True)
        except UnweaveError as error:
            return reason(str(error)), ""
        return "", person.reader.wrong([hit.to_dict() for hit in hits])

    while (passed := time.monotonic() - person.began) < seconds:
        person.note("from Python", search)
        if len(memory) < 4 and passed >= seconds * (len(memory) + 0.5) / 4:
            memory.append(int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1e3)  # type: ignore[index]
        time.sleep(person.think * person.random.uniform(0.5, 1.5))
    return {"memory": memory, "answers": answers}


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(json.dumps(held_open(Path(sys.argv[1]), float(sys.argv[2]))))
