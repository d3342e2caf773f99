"""People who search: each asks one of the project's queries, reads for a while, and asks the next.

Read by locust, in an environment of its own; `serving.py` gives the address, the token and the queries.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

from locust import HttpUser, constant, task

QUERIES = json.loads(Path(os.environ["UNWEAVE_QUERIES"]).read_text(encoding="utf-8"))
EXPLAIN = os.environ["UNWEAVE_EXPLAIN"]
SYSTEM = os.environ["UNWEAVE_SYSTEM"]


class Searcher(HttpUser):
    wait_time = constant(float(os.environ["UNWEAVE_READS_S"]))

    @task
    def search(self) -> None:
        asked = {"q": random.choice(QUERIES), "system": SYSTEM, "explain": EXPLAIN}
        headers = {"Authorization": f"Bearer {os.environ['UNWEAVE_TOKEN']}"}
        with self.client.get("/api/search", params=asked, headers=headers, name="search", catch_response=True) as got:
            if not got.ok or not got.json()["hits"]:
                got.failure(f"{got.status_code}: {got.text[:200]}")
