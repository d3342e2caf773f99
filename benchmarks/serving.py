"""How does `unweave serve` bear fifty people who search and read explanations?

    python benchmarks/serving.py [--project FOLDER] [--seconds 60] [--users 50] [--system dense] [--quick]

The project is the demo's, made first where it is not there. Locust, in an environment of its own on the same machine,
plays the people: each asks one of the project's queries, with the explanation of every hit, reads for a second, and
asks the next; the same without explanations beside it, and with people who do not read at all, which shows the most
that the server answers. Measured too are how soon the server answers, its memory over the run, whether it ends when it
is told to in the middle of a load, how many bytes the first view takes, compressed, and how soon it can be typed into.

Writes results/serving.json; the last line is one JSON object with the figures to hold a change against.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from environments import python_of
from measuring import about

from unweave.base.files import write_atomically
from unweave.cli.show import table
from unweave.project import Project
from unweave.server.built import built_files

HERE = Path(__file__).parent
ROOT = HERE.parent
RESULTS = HERE / "results" / "serving.json"
LOCUST = HERE / "serving_users"
RUNS = {
    "searches with explanations": {"explain": "true", "reads_s": 1.0},
    "searches alone": {"explain": "false", "reads_s": 1.0},
    "searches with explanations, no pause": {"explain": "true", "reads_s": 0.0},
}
STARTS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, default=ROOT / "demo")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--system", default="dense")
    parser.add_argument("--quick", action="store_true", help="ten seconds of each load")
    options = parser.parse_args()
    seconds = 10 if options.quick else options.seconds
    if not (options.project / "unweave.toml").exists():
        subprocess.run([sys.executable, "-m", "unweave", "demo", options.project], check=True)
    found: dict[str, Any] = {
        "about": about("fastapi", "uvicorn", "numpy") | {"users": options.users, "system": options.system},
        "ready_s": [ready_seconds(options.project) for _ in range(STARTS)],
        "first_view_kb": first_view_kb(),
        "loads": {},
    }
    with served(options.project) as server:
        found["interactive_s"] = interactive_seconds(server)
        for name, run in RUNS.items():
            found["loads"][name] = load(server, options.users, seconds, options.system, run)
            print(name, found["loads"][name], flush=True)
        found["stop"] = stopped_under_load(server, options.users, options.system)
    write_atomically(RESULTS, lambda aside: aside.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8"))
    print("\n".join(summary(found)))
    print(json.dumps(headline(found)))


# --- the server -----------------------------------------------------------------------------------


class Server(NamedTuple):
    """A running server."""

    process: subprocess.Popen[str]
    origin: str
    token: str
    project: Path


@contextmanager
def served(project: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "unweave", "serve", str(project), "--no-open", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, f"the server printed no address but {line!r}"
        parts = urlsplit(found.group())
        yield Server(process, f"{parts.scheme}://{parts.netloc}", parse_qs(parts.query)["token"][0], project)
    finally:
        process.terminate()
        process.wait(30)


def ready_seconds(project: Path) -> float:
    """From the command to the first answer about the project."""
    began = time.perf_counter()
    with served(project) as server:
        asked(server, "/api/project")
        return time.perf_counter() - began


def asked(server: Server, path: str) -> bytes:
    request = urllib.request.Request(server.origin + path, headers={"Authorization": f"Bearer {server.token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        content: bytes = answer.read()
    return content


def held(server: Server) -> int:
    """Bytes of memory that the server holds."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


# --- the first view -------------------------------------------------------------------------------


def first_view_kb() -> float:
    """Thousands of bytes, compressed, of what the page loads before anything can be typed: nothing that comes later."""
    files = built_files()
    index = files["/index.html"].content.decode()
    names = ["/index.html", *re.findall(r'(?:src|href)="(/[^"]+)"', index)]
    return sum(len(gzip.compress(files[name].content)) for name in names) / 1000


def interactive_seconds(server: Server) -> list[float] | None:
    """From asking for the page to a query that can be typed into it, in Chromium; None where there is none."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    found = chromium()
    if found is None:
        return None
    path, environment = found
    seconds = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"], env={**os.environ, **environment}
        )
        for _ in range(STARTS):
            page = browser.new_context().new_page()
            began = time.perf_counter()
            page.goto(f"{server.origin}/?token={server.token}", wait_until="commit")
            page.locator("input[type=search]").first.fill("wind")
            seconds.append(time.perf_counter() - began)
        browser.close()
    return seconds


def chromium() -> tuple[str, dict[str, str]] | None:
    """Where Chromium is, and what it needs in its environment: this machine's, else npm's, as tests have it."""
    for name in ("chromium", "google-chrome"):
        if (there := shutil.which(os.environ.get("UNWEAVE_CHROMIUM", name))) is not None:
            return there, {}
    if shutil.which("node") is None:
        return None
    said = subprocess.run(
        ["node", ROOT / "web" / "scripts" / "chromium.mjs"], capture_output=True, text=True, check=False
    )
    path, *libraries = said.stdout.split() or [""]
    return (path, {"LD_LIBRARY_PATH": ":".join(libraries)} if libraries else {}) if path else None


# --- load -----------------------------------------------------------------------------------------


def load(server: Server, users: int, seconds: int, system: str, run: dict[str, Any]) -> dict[str, Any]:
    """What locust saw, and the server's memory over the run."""
    memory: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1):
            memory.append(held(server))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        row = locust(server, users, seconds, system, run)
    finally:
        over.set()
        watching.join()
    third = len(memory) // 3
    return {
        "requests": int(row["Request Count"]), "errors": int(row["Failure Count"]),
        "requests_per_s": float(row["Requests/s"]), "p50_ms": float(row["50%"]), "p99_ms": float(row["99%"]),
        "memory_mb": [round(statistics.median(memory[at : at + third]) / 1e6) for at in (0, third, 2 * third)],
    }  # fmt: skip


def locust(server: Server, users: int, seconds: int, system: str, run: dict[str, Any]) -> dict[str, str]:
    """The line of all searches in locust's table."""
    queries = [query.text for query in Project.open(server.project).queries.all]
    with tempfile.TemporaryDirectory() as folder:
        asked_for = Path(folder) / "queries.json"
        asked_for.write_text(json.dumps(queries), encoding="utf-8")
        environment = {
            **os.environ, "UNWEAVE_QUERIES": str(asked_for), "UNWEAVE_TOKEN": server.token, "UNWEAVE_SYSTEM": system,
            "UNWEAVE_EXPLAIN": run["explain"], "UNWEAVE_READS_S": str(run["reads_s"]),
        }  # fmt: skip
        command = [python_of(LOCUST / "requirements-locust.txt"), "-m", "locust", "-f", LOCUST / "locustfile.py",
                   "--headless", "--host", server.origin, "-u", users, "-r", users, "-t", f"{seconds}s",
                   "--csv", Path(folder) / "found", "--only-summary"]  # fmt: skip
        subprocess.run([*map(str, command)], env=environment, capture_output=True, check=False)  # 1: some failed
        with (Path(folder) / "found_stats.csv").open(encoding="utf-8", newline="") as file:
            return next(row for row in csv.DictReader(file) if row["Name"] == "Aggregated")


def stopped_under_load(server: Server, users: int, system: str) -> dict[str, Any]:
    """Whether the server ends by itself when it is told to while people search, and how soon."""
    run = {"explain": "true", "reads_s": 0.0}
    loading = threading.Thread(target=locust, args=(server, users, 8, system, run))
    loading.start()
    time.sleep(4)
    began = time.perf_counter()
    server.process.send_signal(signal.SIGTERM)
    code = server.process.wait(30)
    seconds = time.perf_counter() - began
    loading.join()
    return {"exit_code": code, "seconds": seconds}


# --- what is shown --------------------------------------------------------------------------------


def headline(found: dict[str, Any]) -> dict[str, Any]:
    explained = found["loads"]["searches with explanations"]
    return {
        "errors": sum(of["errors"] for of in found["loads"].values()),
        "p50_ms": explained["p50_ms"], "p99_ms": explained["p99_ms"], "requests_per_s": explained["requests_per_s"],
        "first_view_kb": round(found["first_view_kb"], 1), "ready_s": round(statistics.median(found["ready_s"]), 2),
    }  # fmt: skip


def summary(found: dict[str, Any]) -> list[str]:
    """What the documentation shows."""
    rows = [
        {
            "load": name, "requests": f"{of['requests']:,}", "errors": f"{of['errors']}",
            "a second": f"{of['requests_per_s']:.0f}", "p50": f"{of['p50_ms']:.0f} ms", "p99": f"{of['p99_ms']:.0f} ms",
            "memory, by thirds": " → ".join(f"{mb:,}" for mb in of["memory_mb"]) + " MB",
        }
        for name, of in found["loads"].items()
    ]  # fmt: skip
    seconds = found["interactive_s"]
    typed = "" if seconds is None else f", and can be typed into after {statistics.median(seconds):.2f} s"
    stop, ready = found["stop"], statistics.median(found["ready_s"])
    said = (
        f"ready after {ready:.2f} s; the first view takes {found['first_view_kb']:.0f} kB{typed}; told to stop under "
        f"load, it ended with {stop['exit_code']} after {stop['seconds']:.1f} s"
    )
    return [*table(rows), "", said]


if __name__ == "__main__":
    main()
