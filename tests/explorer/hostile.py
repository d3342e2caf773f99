"""A corpus by somebody who means harm: markup, links that run, templates, marks that turn text round, a megabyte."""

from __future__ import annotations

from pathlib import Path

from invoked import unweave
from unweave.base.records import Passage, Query
from unweave.project import Project
from unweave.texts.collection import Collection

SCRIPT = "<script>alert('script')</script>"
IMAGE = '<img src="https://elsewhere.example/x.png" onerror="alert(\'image\')">'
LINK = '<a href="javascript:alert(1)">javascript:alert(2)</a>'
STYLE = "<style>body{display:none}</style><link rel=stylesheet href=//elsewhere.example/x.css>"
FRAME = "<iframe srcdoc='<script>parent.alert(3)</script>'></iframe><svg/onload=alert(4)>"
TEMPLATE = "{{1337*3}} ${1337*3} <%= 1337*3 %> #{1337*3} {{constructor.constructor('alert(5)')()}}"
CLOSING = "</title></textarea></script>--></bdi></table></svg><h1 id=main>owned</h1>"
BIDI = "safe \u202egnp.exe\u202c \u2066isolated \u200f\u061c mark"
CONTROL = "bell \x07 escape \x1b[31mred\x1b[0m backspace \x08 zero \x00 delete \x7f next \x85 line \u2028 end"
PILED = "Z" + "\u0335\u0321\u0322\u0327\u0328" * 60 + "algo piled up"
LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 8
ARABIC = "البراكين هي فتحات في قشرة الأرض تخرج منها الحمم والرماد والغازات عند الثوران."
HEBREW = "הר געש הוא פתח בקרום כדור הארץ שממנו פורצים לבה, אפר וגזים."
EMOJI = "👩‍👩‍👧‍👦 \U0001f9d1\U0001f3ff\u200d\U0001f680 \ud83d family and astronaut".replace("\ud83d", "\ufffd")
MEGABYTE = "The volcano erupted and ash fell on the town. " * 23_000

TEXTS = {
    "script": SCRIPT, "image": IMAGE, "link": LINK, "style": STYLE, "frame": FRAME, "template": TEMPLATE,
    "closing": CLOSING, "bidi": BIDI, "control": CONTROL, "piled": PILED, "long": LONG, "arabic": ARABIC,
    "hebrew": HEBREW, "emoji": EMOJI, "megabyte": MEGABYTE,
}  # fmt: skip
IDS = [
    "../../etc/passwd", "a/b\\c", "%2e%2e%2f", "quo\"te'", "<b>id</b>", "a&b=c#d?e", "two, commas", "ünïcode ✓",
    "__proto__", "constructor", "javascript:alert(6)", " blanks ",
]  # fmt: skip
METADATA = {"topic": IMAGE, SCRIPT: "value", "bidi": BIDI, "nested": {"<i>key</i>": [LINK, None, 1.5]}}


def hostile_collection() -> Collection:
    """Each text with its name as the id and markup as its title, then plain texts under hostile ids."""
    plain = "A plain sentence about the sea, the wind and passage number"
    passages = [Passage(name, f"{SCRIPT} {name}", f"{text} about {name}", METADATA) for name, text in TEXTS.items()]
    passages += [Passage(one, "", f"{plain} {i}.", {"topic": one}) for i, one in enumerate(IDS)]
    return Collection(
        passages=passages,
        queries=[Query("<q>", SCRIPT), Query("q/2", f"{BIDI} {CONTROL}"), Query("q3", "wind and sea")],
        qrels={"test": {"<q>": {"script": 1}, "q/2": {"control": 1}, "q3": {IDS[0]: 1}}},
    )


def hostile_project(folder: Path) -> Path:
    """The whole path with the real encoder."""
    Project.create(folder, hostile_collection())
    small = ["--n-latents", "48", "--k", "6", "--steps", "30", "--batch-size", "16"]
    for command, options in (
        ("embed", ["--sentences", "60"]), ("fit", small), ("name", []), ("index build", []),
        ("evaluate", []), ("map", []),
    ):  # fmt: skip
        done = unweave(*command.split(), folder, *options)
        assert done.exit_code == 0, done.output
    return folder
