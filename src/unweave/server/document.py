"""`python -m unweave.server.document > web/openapi.json`: the API as the pages' types are made of it."""

from __future__ import annotations

import json
import sys

from unweave.server.app import make_app


def document() -> str:
    """The OpenAPI document as text, in the order in which the routes stand."""
    return json.dumps(make_app().openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
