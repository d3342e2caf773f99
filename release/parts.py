"""Keeps of npm's list of parts what is in the pages: `npm sbom --sbom-format=cyclonedx | python ../release/parts.py`.

npm lists what builds and tests the pages too, and its own choice (`--omit=dev`) loses a package that both need. What is
written is release/web.cdx.json, the same bytes each time.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from third_party import ROOT, bundled

WRITTEN = ROOT / "release" / "web.cdx.json"


def kept(listed: dict[str, Any]) -> dict[str, Any]:
    """The list without packages that are not in the pages, and without what differs each time."""
    packages = {(one.name, one.version) for one in bundled()}
    parts = [one for one in listed["components"] if (one["name"], one["version"]) in packages]
    pages = listed["metadata"]["component"]["bom-ref"]
    names = {pages, *(one["bom-ref"] for one in parts)}
    needs = [
        {**one, "dependsOn": [name for name in one["dependsOn"] if name in names]}
        for one in listed["dependencies"]
        if one["ref"] in names
    ]
    about = {name: value for name, value in listed["metadata"].items() if name != "timestamp"}
    without = {name: value for name, value in listed.items() if name != "serialNumber"}
    return {**without, "metadata": about, "components": parts, "dependencies": needs}


if __name__ == "__main__":
    WRITTEN.write_text(json.dumps(kept(json.load(sys.stdin)), indent=2) + "\n", encoding="utf-8")
