"""The HTTP API's reference: routes of `unweave serve` and the shapes of their answers, from its OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from unweave.server.app import make_app

_HEAD = """# The HTTP API

What `unweave serve` answers to its pages, and to a script that shows the token of the address that it prints, in the
header `Authorization: Bearer TOKEN`; made from the OpenAPI document that the server's routes state. The server listens
on this machine alone unless `--host` says otherwise. An error is a [Problem](#problem) with its HTTP status. What
exceeds a limit is refused.

"""
Schema = Mapping[str, Any]


def write(folder: Path) -> None:
    """Write the page of routes and shapes."""
    (folder / "http.md").write_text(_HEAD + "\n".join(page(make_app().openapi())) + "\n", encoding="utf-8")


def page(document: Schema) -> Iterator[str]:
    """The lines below the head: a section a tag, a part a route; then a part a shape."""
    routes = [
        (method.upper(), path, route) for path, routes in document["paths"].items() for method, route in routes.items()
    ]
    for tag, tagged in groupby(sorted(routes, key=_tag), key=_tag):
        yield f"## {tag.capitalize()}\n"
        for method, path, route in tagged:
            yield from _route(method, path, route)
    yield "## Shapes\n"
    for name, schema in document["components"]["schemas"].items():
        yield from _shape(name, schema)


def _tag(route: tuple[str, str, Schema]) -> str:
    return str(route[2]["tags"][0])


def _route(method: str, path: str, route: Schema) -> Iterator[str]:
    yield f"### `{method} {path}`\n\n{route.get('description', '')}\n"
    rows = [
        (p["name"], p["in"] + ("" if p.get("required") else ", optional"), p["schema"], p.get("description", ""))
        for p in route.get("parameters", ())
    ]
    if rows:
        yield "| parameter | where | type | |\n| --- | --- | --- | --- |"
        yield from (f"| `{name}` | {where} | {_type(of)} | {cell(said)} |" for name, where, of, said in rows)
        yield ""
    if "requestBody" in route:
        yield f"Body: {_type(_json(route['requestBody']))}.\n"
    done = {status: answer for status, answer in route["responses"].items() if status.startswith("2")}
    for status, answer in done.items():
        yield f"Answer {status}: {_type(_json(answer))}.\n"


def _json(of: Schema) -> Schema:
    return dict(of.get("content", {}).get("application/json", {}).get("schema", {}))


def _shape(name: str, schema: Schema) -> Iterator[str]:
    yield f"### {name}\n\n{schema.get('description', '')}\n"
    if fields := schema.get("properties"):
        needed = schema.get("required", ())
        yield "| field | type | |\n| --- | --- | --- |"
        for field, of in fields.items():
            optional = "" if field in needed else ", optional"
            yield f"| `{field}` | {_type(of)}{optional} | {cell(of.get('description', ''))} |"
        yield ""


def _type(of: Schema) -> str:
    """A schema's type in words, with a link where it is a shape."""
    if "$ref" in of:
        name = of["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "const" in of or "enum" in of:
        return " or ".join(f"`{value}`" for value in of.get("enum", [of.get("const")]))
    for either in ("anyOf", "oneOf"):
        if either in of:
            return " or ".join(_type(one) for one in of[either])
    if of.get("type") == "array":
        items = of.get("prefixItems")
        return f"a list of {' and '.join(map(_type, items)) if items else _type(of.get('items', {}))}"
    if of.get("type") == "object" and isinstance(of.get("additionalProperties"), Mapping):
        return f"an object whose values are {_type(of['additionalProperties'])}"
    return str(of.get("type", "anything")) + _bounds(of)


def _bounds(of: Schema) -> str:
    """What a value has to keep to, such as " (1 to 100, 10 if not given)"."""
    said = []
    low, high = (of.get(f"{side}imum", of.get(f"{side}Length")) for side in ("min", "max"))
    if low is not None and high is not None:
        said.append(f"{low:,} to {high:,}" + " characters" * ("maxLength" in of))
    elif high is not None:
        said.append(f"at most {high:,}" + " characters" * ("maxLength" in of))
    if of.get("default") not in (None, "", []):
        said.append(f"{of['default']} if not given")
    return f" ({', '.join(said)})" if said else ""


def cell(said: str) -> str:
    """What is said, as it may stand in a cell of a table."""
    return " ".join(said.split()).replace("|", "\\|")
