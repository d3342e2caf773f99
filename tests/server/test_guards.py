"""The explorer's server from within: who is let in, what is too much, how errors are said, which files are served."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from functools import partial
from pathlib import Path

import pytest
from let_in import HERE, TOKEN, client_of, gate
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from unweave.errors import UnweaveError
from unweave.project import Project
from unweave.server import problems
from unweave.server.app import serving
from unweave.server.bounds import Bounded, ReadWhole
from unweave.server.built import NOT_BUILT, WithPages, built_files
from unweave.server.guards import is_loopback
from unweave.server.held import HeldProject

EVERY_ERROR = [UnweaveError, *UnweaveError.__subclasses__()]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    folder = tmp_path_factory.mktemp("served") / "project"
    shutil.copytree(Path(__file__).parents[1] / "kept" / "project", folder)
    return Project.open(folder)


@pytest.fixture(scope="module")
def client(project):
    with client_of(project) as opened:
        yield opened


@pytest.fixture
def stranger(project) -> TestClient:
    """Somebody without the token."""
    return TestClient(serving(HeldProject(project), gate()), base_url=HERE, follow_redirects=False)


# --- who is let in --------------------------------------------------------------------------------


def test_the_token_of_the_address_becomes_a_cookie_and_leaves_the_address(stranger):
    answer = stranger.get(f"/search?q=sea&token={TOKEN}&k=3")
    assert (answer.status_code, answer.headers["location"]) == (303, "/search?q=sea&k=3")
    assert answer.headers["set-cookie"] == f"unweave-8765={TOKEN}; HttpOnly; Path=/; SameSite=strict"
    assert stranger.get("/api/project").status_code == 200  # by the cookie


def test_a_redirect_leads_to_no_other_server(stranger):
    for path in ("//evil.example/", "/\\evil.example/", "///evil.example"):
        place = stranger.get(f"{HERE}{path}?token={TOKEN}").headers["location"]
        assert place.startswith("/") and not place.startswith(("//", "/\\"))


@pytest.mark.parametrize("shown", [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": TOKEN},
                                   {"Cookie": "unweave-8765=nonsense"}, {"Cookie": f"unweave-9000={TOKEN}"},
                                   {"Cookie": "a=\x01;;="}, {"Authorization": "Bearer \u00e9".encode()}])  # fmt: skip
def test_without_the_token_nothing_is_answered(stranger, shown):
    for path in ("/api/project", "/openapi.json", "/", "/nowhere", "/?token=nonsense", "/?token="):
        answer = stranger.get(path, headers=shown)
        assert (answer.status_code, answer.json()["kind"]) == (401, "NoToken")


def test_a_person_without_the_token_reads_a_sentence(stranger):
    answer = stranger.get("/search?q=sea", headers={"Accept": "text/html,*/*"})
    assert answer.status_code == 401
    assert answer.text.endswith("open the whole address that unweave serve printed in its terminal.\n")
    assert "text/plain" in answer.headers["content-type"]


def test_whether_it_is_up_is_said_to_anyone(stranger):
    assert (stranger.get("/healthz").text, stranger.get("/healthz").status_code) == ("ok\n", 200)


@pytest.mark.parametrize("host", ["evil.example:8765", "127.0.0.1", "127.0.0.1:80", "localhost", "", "[::1]:8765",
                                  "127.0.0.1:8765.evil.example", "10.0.0.1:8765"])  # fmt: skip
def test_another_host_is_refused_even_with_the_token(client, host):
    for path in ("/api/project", "/", "/healthz", f"/?token={TOKEN}"):
        answer = client.get(path, headers={"Host": host})
        assert (answer.status_code, answer.json()["kind"]) == (403, "WrongHost")


def test_a_server_on_all_addresses_is_called_by_any_address_in_figures():
    everywhere = gate(host="0.0.0.0")
    assert all(map(everywhere.is_this, ["10.1.2.3:8765", "localhost:8765", "127.0.0.1:8765", "[fe80::1]:8765"]))
    assert not any(map(everywhere.is_this, ["evil.example:8765", "10.1.2.3:80", "10.1.2.3", "1.2.3.4.example:8765"]))
    assert everywhere.address == f"http://127.0.0.1:8765/?token={TOKEN}"
    assert gate(host="::1").is_this("[::1]:8765") and gate(host="::1").address.startswith("http://[::1]:8765/")
    assert [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "10.0.0.1", "example")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"},
                                     {"Origin": "http://127.0.0.1:9000"}, {"Origin": "https://127.0.0.1:8765"},
                                     {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}])  # fmt: skip
def test_another_sites_page_changes_nothing(client, headers):
    for answer in (
        client.post("/api/edits", json={"action": "lock", "latents": [0]}, headers=headers),
        client.delete("/api/jobs/0000abcd", headers=headers),
    ):
        assert (answer.status_code, answer.json()["kind"]) == (403, "ForeignOrigin")


def test_who_only_shows_changes_nothing(project):
    with client_of(project, read_only=True) as client:
        assert client.get("/api/project").json()["read_only"]
        for method, path in (("POST", "/api/edits"), ("POST", "/api/edits/undo"), ("POST", "/api/jobs"),
                             ("DELETE", "/api/jobs/0000abcd"), ("PUT", "/api/project")):  # fmt: skip
            answer = client.request(method, path, json={"action": "lock", "latents": [0]})
            assert (answer.status_code, answer.json()["kind"]) == (403, "ReadOnly")
        assert client.post("/api/try", json={"text": "sea"}).status_code == 200  # which changes nothing


def test_every_answer_keeps_pages_to_themselves(client, stranger):
    answers = [
        client.get("/api/project"), client.get("/api/nowhere"), client.get("/", headers={"Accept": "text/html"}),
        stranger.get("/"), stranger.get(f"/?token={TOKEN}"), client.get("/api/search"), client.get("/healthz"),
        client.get("/api/project", headers={"Host": "evil.example"}),
    ]  # fmt: skip
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'" in policy and "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] in ("no-store", "private, no-cache")
        assert "access-control-allow-origin" not in answer.headers and "server" not in answer.headers


# --- what is too much -----------------------------------------------------------------------------


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(client):
    much = {"text": "x" * 300_000}
    assert client.post("/api/try", json=much).status_code == 413
    pieces = (b'{"text": "' + b"x" * 100_000 for _ in range(3))
    answer = client.post("/api/try", content=pieces, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["kind"]) == (413, "TooLarge")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_body_is_json_which_a_form_of_another_site_cannot_send(client, kind):
    answer = client.post("/api/try", content=b'{"text": "sea"}', headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["kind"]) == (415, "NoJSON")


def test_an_address_that_is_too_long_is_refused(client):
    for path in (f"/api/search?q={'x' * 20_000}", f"/{'x' * 20_000}"):
        assert client.get(path).status_code == 414


def bounded(app, **bounds) -> TestClient:
    return TestClient(Bounded(app, **bounds), base_url=HERE)


def test_a_request_that_takes_too_long_is_told_so_and_counts_until_it_ends():
    async def slow(request):
        await asyncio.sleep(0.5)
        return PlainTextResponse("late")

    with bounded(Starlette(routes=[Route("/", slow)]), most=1, patience=0.05) as client:
        answer = client.get("/")
        assert (answer.status_code, answer.json()["kind"], answer.headers["retry-after"]) == (503, "TooSlow", "10")
        answer = client.get("/")
        assert (answer.status_code, answer.json()["kind"], answer.headers["retry-after"]) == (503, "Busy", "1")
        time.sleep(0.6)
        assert client.get("/").json()["kind"] == "TooSlow"


def test_the_whole_server_bounds_requests_at_once(project, monkeypatch):
    monkeypatch.setattr("unweave.server.app.Bounded", partial(Bounded, most=0))
    with client_of(project) as client:
        assert client.get("/api/project").json()["kind"] == "Busy"


def test_a_body_that_does_not_come_in_is_given_up():
    sent = []

    async def never():
        await asyncio.sleep(10)

    async def send(message):
        sent.append(message)

    async def untouched(scope, receive, send):
        raise AssertionError

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-length", b"9")]}
    asyncio.run(ReadWhole(untouched, slowest=0.05)(scope, never, send))
    assert sent[0]["status"] == 408


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "kind", "said"),
    [
        ("/api/search?q=sea&system=nonsense", 400, "BadData", "there is no system 'nonsense'"),
        ("/api/search?q=%20", 400, "BadData", "the query is empty"),
        ("/api/search?q=sea&system=BM25&boost=1:2", 400, "BadData", "BM25 cannot be steered by boosts"),
        ("/api/search?q=sea&where=nonsense=1", 400, "BadData", "no passage has metadata 'nonsense'"),
        ("/api/search?q=sea&system=reconstructed%20dense", 400, "BadData", "is there to be measured"),
        ("/api/search?q=sea&boost=99999:2", 400, "BadData", "99999"),
        ("/api/passage?id=nonsense", 404, "NotThere", "no passage with the id 'nonsense'"),
        ("/api/concepts/99999", 404, "NotThere", "latent 99999 never fired or does not exist"),
        ("/api/search", 422, "Invalid", "q is missing"),
        ("/api/search?q=sea&k=0", 422, "Invalid", "k cannot be '0'"),
        ("/api/search?q=sea&boost=x", 422, "Invalid", "boost.0 cannot be 'x'"),
        ("/api/nowhere", 404, "Refused", "there is no /api/nowhere here"),
    ],
)
def test_what_cannot_be_answered_is_said_in_a_sentence(client, path, status, kind, said):
    answer = client.get(path)
    assert (answer.status_code, answer.json()["kind"]) == (status, kind)
    assert said in answer.json()["error"]


def test_what_is_quoted_is_made_safe_to_show(client):
    said = client.get("/api/passage", params={"id": "a\x1b[31m\u202eb\x00c" + "x" * 900}).json()["error"]
    assert said.isprintable()
    assert client.get("/api/search", params={"q": "sea", "k": "\x1b\u202e"}).json()["error"].isprintable()


def test_each_error_of_ours_has_a_status_that_is_documented():
    stated = {cls: problems.status_of(cls.__new__(cls)) for cls in EVERY_ERROR}
    assert set(stated.values()) <= set(problems.STATUSES)
    assert [cls.__name__ for cls, status in stated.items() if status >= 500] == ["AccountingError"]


def test_a_bug_shows_nothing_of_its_insides(project, monkeypatch):
    def broken(*_, **__):
        raise ValueError("a secret of the machine")

    monkeypatch.setattr(Project, "overview", broken)
    app = serving(HeldProject(project), gate())
    quiet = TestClient(app, base_url=HERE, headers={"Authorization": f"Bearer {TOKEN}"}, raise_server_exceptions=False)
    answer = quiet.get("/api/project")
    assert (answer.status_code, answer.json()["kind"]) == (500, "Internal")
    assert "secret" not in answer.text
    assert answer.headers["content-security-policy"]


def test_a_full_disk_is_said_and_is_no_bug(project, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Project, "overview", full)
    with client_of(project) as client:
        answer = client.get("/api/project")
    assert (answer.status_code, answer.json()["error"]) == (409, "No space left on device")


# --- pages ----------------------------------------------------------------------------------------


@pytest.fixture
def pages(tmp_path) -> TestClient:
    built = tmp_path / "pages"
    (built / "assets").mkdir(parents=True)
    (built / "index.html").write_text("<!doctype html><title>unweave</title>")
    (built / "assets" / "index-a1B2c3D4.js").write_text("export {}")
    (built / "icon.svg").write_text("<svg/>")
    (tmp_path / "secret.txt").write_text("not for you")
    (built / "link.txt").symlink_to(tmp_path / "secret.txt")

    async def of_the_api(scope, receive, send):
        await PlainTextResponse("api")(scope, receive, send)

    return TestClient(WithPages(of_the_api, built_files(built)), base_url=HERE)


def test_built_files_are_served_and_those_with_a_hash_may_be_kept(pages):
    answer = pages.get("/assets/index-a1B2c3D4.js")
    assert answer.text == "export {}" and answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert pages.get("/icon.svg").headers["content-type"] == "image/svg+xml"
    assert pages.get("/icon.svg").headers["cache-control"] == "no-store"


def test_an_address_of_a_view_gives_the_page_that_reads_it(pages):
    for path in ("/", "/search?q=sea", "/concepts/253", "/a/b/c.d"):
        assert "<title>unweave</title>" in pages.get(path, headers={"Accept": "text/html"}).text
    assert pages.get("/nowhere.js", headers={"Accept": "*/*"}).status_code == 404
    assert [pages.get(path).text for path in ("/api/x", "/openapi.json", "/healthz")] == ["api"] * 3
    assert pages.post("/").text == "api"


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "//secret.txt",
        "/link.txt",
        "/..\\secret.txt",
        "/assets/../../secret.txt",
        "/%00",
        "/etc/passwd",
    ],
)
def test_nothing_but_the_table_is_served(pages, path):
    for accept in ("*/*", "text/html"):
        assert "not for you" not in pages.get(HERE + path, headers={"Accept": accept}).text


def test_pages_that_are_not_built_are_said_to_be(tmp_path):
    bare = TestClient(WithPages(PlainTextResponse("api"), built_files(tmp_path / "nothing")), base_url=HERE)
    assert (bare.get("/").status_code, bare.get("/").text) == (200, NOT_BUILT)
    assert bare.get("/search", headers={"Accept": "text/html"}).status_code == 404
    assert bare.get("/api/project").text == "api"


def test_a_server_is_quiet_about_what_it_refuses(client, caplog):
    with caplog.at_level(logging.WARNING):
        client.get("/api/nowhere")
    assert not caplog.records
