"""SAEs on the hub: huggingface_hub's own client against a small hub of ours on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

pytest.importorskip("huggingface_hub")
from huggingface_hub import constants

from unweave.base.artifact import MANIFEST
from unweave.base.building import build
from unweave.cli.sae import sae as commands
from unweave.dictionaries.dictionary import from_pretrained
from unweave.dictionaries.pull import pull_from_hub
from unweave.errors import CorruptArtifact, MissingArtifact, MissingExtra, ModelUnavailable
from unweave.sae.formats import export_sae
from unweave.sae.given import located, read_sae
from unweave.sae.hub import model_card, push_to_hub
from unweave.sae.model import SAE, WEIGHTS

# huggingface_hub's, about its own call of its HTTP library.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

RESULTS = {
    "trained_on": {"passages": 12345, "queries": 678},
    "nmse": 0.2134,
    "l0": 31.5,
    "live_latents": 23,
    "n_texts": 4096,
    "cosine": 0.91,
    "held_out": {"passages": {"nmse": 0.2571, "l0": 30.4, "live_latents": 21, "n_texts": 512, "cosine": 0.89}},
}


class Hub(ThreadingHTTPServer):
    """What of the hub an upload and a download need: repositories of one commit, small and large (LFS) files."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.large: dict[str, bytes] = {}
        self.calls: list[str] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_):
        pass

    def answer(self, body=b"", status=200, **headers):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, code):
        self.answer({"error": code}, status, X_Error_Code=code, X_Error_Message=code)

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_POST(self):
        path, body = urlsplit(self.path).path, self.body()
        self.server.calls.append(f"POST {path}")
        if self.headers.get("Authorization") != "Bearer hf_test":
            return self.refuse(401, "InvalidToken")
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            if asked.get("visibility") == "private" or asked.get("private"):
                self.server.private.add(name)
            self.server.repositories.setdefault(name, {})
            return self.answer({"url": f"{self.server.address}/{name}"})
        if path == "/api/validate-yaml":
            assert json.loads(body)["content"].startswith(("---\n", "# Mine"))
            return self.answer({"errors": [], "warnings": []})
        if path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                {**asked, "actions": {"upload": {"href": f"{self.server.address}/large/{asked['oid']}"}}}
                for asked in json.loads(body)["objects"]
            ]
            return self.answer({"transfer": "basic", "objects": objects})
        _, _, _, owner, name, verb, *_ = path.split("/")
        if verb == "preupload":
            modes = [
                {"path": file["path"], "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                 "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]  # fmt: skip
            return self.answer({"files": modes})
        assert verb == "commit"
        files = self.server.repositories[f"{owner}/{name}"]
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "lfsFile":
                files[line["value"]["path"]] = self.server.large[line["value"]["oid"]]
        return self.answer({"commitUrl": f"{self.server.address}/{owner}/{name}/commit/x", "commitOid": commit(files)})

    def do_PUT(self):
        oid, body = self.path.rpartition("/")[2], self.body()
        assert hashlib.sha256(body).hexdigest() == oid
        self.server.large[oid] = body
        self.answer()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.server.calls.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        files = self.server.repositories.get(name)
        if files is None:
            return self.refuse(404, "RepoNotFound")
        asked = parts[5] if parts[0] == "api" else parts[3]
        if asked not in ("main", commit(files)):
            return self.refuse(404, "RevisionNotFound")
        if parts[0] == "api" and parts[4] == "tree":
            return self.answer([entry(path, content) for path, content in files.items()])
        if parts[0] == "api":
            siblings = [{"rfilename": path} for path in files]
            return self.answer({"id": name, "sha": commit(files), "siblings": siblings})
        content = files.get("/".join(parts[4:]))
        if content is None:
            return self.refuse(404, "EntryNotFound")
        tag = f'"{hashlib.sha256(content).hexdigest()}"'
        return self.answer(content, X_Repo_Commit=commit(files), ETag=tag)

    do_HEAD = do_GET  # noqa: N815


def commit(files):
    return hashlib.sha1(b"".join(name.encode() + content for name, content in sorted(files.items()))).hexdigest()


def entry(path, content):
    file = {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
    if path.endswith(".safetensors"):
        file["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return file


def use(monkeypatch, address, cache):
    """Let the client in this process use the hub at this address."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    # The client waits half a minute, in all, for one that nobody answers at; nobody will answer then either.
    monkeypatch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda seconds: None))


@pytest.fixture
def hub(monkeypatch, tmp_path):
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    use(monkeypatch, server.address, tmp_path / "cache")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def sae(random_sae):
    made = random_sae(7)
    return replace(made, config=replace(made.config, encoder="sentence-transformers/all-MiniLM-L6-v2"))


@pytest.fixture
def folder(sae, tmp_path):
    sae.save(tmp_path / "sae", results=RESULTS)
    return tmp_path / "sae"


def same(left: SAE, right: SAE):
    assert left.config == right.config
    for name in ("W_enc", "b_enc", "W_dec", "b_pre", "threshold"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), strict=True)


# --- there and back --------------------------------------------------------------------------------------


def test_what_is_uploaded_is_what_is_downloaded(hub, folder, sae):
    assert push_to_hub(folder, "someone/an-sae") == f"{hub.address}/someone/an-sae"
    assert set(hub.repositories["someone/an-sae"]) == {MANIFEST, WEIGHTS, "README.md"}
    assert len(hub.large) == 1, "the weights went as a large file"
    same(from_pretrained("someone/an-sae").sae, sae)


def test_uploading_again_replaces_the_files_and_keeps_the_repository(hub, folder, sae, random_sae, tmp_path):
    push_to_hub(folder, "someone/an-sae")
    random_sae(8).save(tmp_path / "other")
    push_to_hub(tmp_path / "other", "someone/an-sae")
    same(from_pretrained("someone/an-sae").sae, random_sae(8))
    assert list(hub.repositories) == ["someone/an-sae"]


def test_a_revision_is_the_commit_that_was_asked_for(hub, folder, sae):
    push_to_hub(folder, "someone/an-sae")
    same(from_pretrained("someone/an-sae", commit(hub.repositories["someone/an-sae"])).sae, sae)
    with pytest.raises(ModelUnavailable, match=r"cannot download someone/an-sae .*check the name"):
        from_pretrained("someone/an-sae", "no-such-branch")


def test_a_repository_is_private_when_asked_for(hub, folder):
    push_to_hub(folder, "someone/open")
    push_to_hub(folder, "someone/closed", private=True)
    assert hub.private == {"someone/closed"}


def test_a_model_card_in_the_folder_is_the_one_that_is_uploaded(hub, folder, sae):
    (folder / "README.md").write_text("# Mine\n")
    push_to_hub(folder, "someone/an-sae")
    assert hub.repositories["someone/an-sae"]["README.md"] == b"# Mine\n"
    same(from_pretrained("someone/an-sae").sae, sae)


def test_a_downloaded_sae_is_there_without_the_hub(hub, folder, sae, monkeypatch, tmp_path):
    push_to_hub(folder, "someone/an-sae")
    from_pretrained("someone/an-sae")
    use(monkeypatch, "http://127.0.0.1:9", tmp_path / "cache")
    same(from_pretrained("someone/an-sae").sae, sae)


def test_a_project_names_a_dictionary_on_the_hub_by_its_repository(hub, folder, sae):
    push_to_hub(folder, "someone/an-sae")
    same(read_sae(located("someone/an-sae")), sae)
    with pytest.raises(ModelUnavailable, match="cannot download someone/nothing"):
        located("someone/nothing")


def test_an_sae_of_another_tool_is_read_from_a_folder_of_its_repository(hub, sae, tmp_path):
    # As latentsae's are laid out: a folder for each k and expansion; the encoder's own weights are left where they are.
    export_sae(sae, tmp_path / "theirs", "latentsae")
    files = {path.name: path.read_bytes() for path in (tmp_path / "theirs").iterdir()}
    hub.repositories["someone/saes"] = {f"64_32/{name}": content for name, content in files.items()} | {
        "model.safetensors": b"an encoder", "64_32/train.py": b"raise", "128_4/sae.safetensors": b"another",
    }  # fmt: skip
    for read in (from_pretrained("someone/saes/64_32").sae, pull_from_hub("someone/saes/64_32", tmp_path / "ours"),
                 SAE.load(tmp_path / "ours")):  # fmt: skip
        for name in ("W_enc", "W_dec", "b_pre"):
            np.testing.assert_array_equal(getattr(read, name), getattr(sae, name))
        np.testing.assert_array_equal(read.threshold, np.broadcast_to(sae.threshold, read.b_enc.shape))
    fetched = {call.rpartition("/")[2] for call in hub.calls if "/resolve/" in call}
    assert fetched == set(files)
    with pytest.raises(MissingArtifact, match=r"holds no SAE in 32_32/: none of .*; if one of its folders does, name"):
        from_pretrained("someone/saes/32_32")


@pytest.mark.parametrize("kind", ["saelens", "sparsify", "latentsae", "sentence-transformers"])
def test_names_in_the_files_of_another_tool_come_with_it(hub, sae, tmp_path, kind):
    export_sae(
        sae,
        tmp_path / "theirs",
        kind,
        as_top_k=kind in ("sparsify", "sentence-transformers"),
        names={0: "tides", 2: "sand"},
    )
    hub.repositories["someone/saes"] = {path.name: path.read_bytes() for path in (tmp_path / "theirs").iterdir()}
    pull_from_hub("someone/saes", tmp_path / "ours")
    for folder in ("someone/saes", tmp_path / "ours"):
        assert {one.latent: one.name for one in from_pretrained(folder).latents} == {0: "tides", 2: "sand"}


def test_a_folder_on_this_machine_goes_first(folder, sae):
    same(from_pretrained(folder).sae, sae)
    with pytest.raises(ValueError, match="has no revision 'main'"):
        from_pretrained(folder, "main")


def test_pulling_makes_an_sae_folder_of_plain_files(hub, folder, sae, tmp_path):
    push_to_hub(folder, "someone/an-sae")
    same(pull_from_hub("someone/an-sae", tmp_path / "mine"), sae)
    same(SAE.load(tmp_path / "mine"), sae)
    assert sorted(path.name for path in tmp_path.joinpath("mine").iterdir()) == [MANIFEST, WEIGHTS]
    assert not any(path.is_symlink() for path in tmp_path.joinpath("mine").iterdir())
    with pytest.raises(ValueError, match="exists already"):
        pull_from_hub("someone/an-sae", tmp_path / "mine")


def test_the_hub_of_the_environment_is_used(hub, folder, tmp_path):
    # In a process of its own: the client reads its settings once, when it is imported.
    script = f"""
from unweave.dictionaries.dictionary import from_pretrained
from unweave.sae.hub import push_to_hub
print(push_to_hub({str(folder)!r}, "someone/an-sae"))
print(from_pretrained("someone/an-sae").sae.config.n_latents)
"""
    environment = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_test",
                   "HF_HUB_DISABLE_XET": "1", "PATH": "/usr/bin:/bin"}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{hub.address}/someone/an-sae", "24"]


def test_a_card_says_which_latents_are_another_dictionarys(sae, tmp_path):
    settings = {"sae": asdict(sae.config), "given": {"n_latents": 20}}
    with build(tmp_path / "sae", "sae", settings=settings, made_from={}) as made:
        sae.write_weights(made.path / WEIGHTS)
    assert "| The first of them, taken unchanged from another dictionary | 20 |" in model_card(tmp_path / "sae")


# --- what goes wrong -------------------------------------------------------------------------------------


def test_an_unreachable_hub_is_one_clear_error(folder, monkeypatch, tmp_path):
    use(monkeypatch, "http://127.0.0.1:9", tmp_path / "cache")  # nothing listens at the discard port
    with pytest.raises(ModelUnavailable, match=r"cannot download someone/an-sae .*check the name and the connection"):
        from_pretrained("someone/an-sae")
    with pytest.raises(ModelUnavailable, match=r"cannot upload .* to someone/an-sae .*HF_ENDPOINT"):
        push_to_hub(folder, "someone/an-sae")


def test_a_repository_that_does_not_exist_is_one_clear_error(hub):
    with pytest.raises(ModelUnavailable, match=r"cannot download someone/nothing .*RepositoryNotFound.*your token"):
        from_pretrained("someone/nothing")


def test_a_token_that_is_refused_is_one_clear_error(hub, folder, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(ModelUnavailable, match=r"cannot upload .*hf auth login"):
        push_to_hub(folder, "someone/an-sae")


@pytest.mark.parametrize("name", ["nothing", "../up", "a/b/../c", "https://example.org/x"])
def test_a_name_that_no_repository_has_is_not_asked_for(name, hub):
    with pytest.raises(MissingArtifact, match="a repository on the hub would be OWNER/NAME"):
        from_pretrained(name)
    assert hub.calls == []


def test_a_repository_without_an_sae_says_so(hub):
    hub.repositories["someone/text"] = {"README.md": b"hello", "config.json": b"{}"}
    with pytest.raises(MissingArtifact, match=r"holds no SAE: none of model\.safetensors"):
        from_pretrained("someone/text")


def test_weights_that_were_changed_on_the_hub_are_refused(hub, folder):
    push_to_hub(folder, "someone/an-sae")
    files = hub.repositories["someone/an-sae"]
    weights = bytearray(files[WEIGHTS])
    weights[-1] ^= 1
    files[WEIGHTS] = bytes(weights)
    with pytest.raises(CorruptArtifact, match="does not match its checksum"):
        from_pretrained("someone/an-sae")


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/hostname", "README.md"])
def test_a_manifest_that_lists_other_files_than_its_own_is_refused(name, hub, folder, tmp_path):
    push_to_hub(folder, "someone/an-sae")
    files = hub.repositories["someone/an-sae"]
    manifest = json.loads(files[MANIFEST])
    secret = tmp_path / "outside.txt"
    secret.write_text("secret")
    listed = {"bytes": 6, "sha256": hashlib.sha256(b"secret").hexdigest()}
    manifest["files"][name] = listed
    files[MANIFEST] = json.dumps(manifest | {"checksum": ""}).encode()
    with pytest.raises(CorruptArtifact):
        pull_from_hub("someone/an-sae", tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
    (folder / MANIFEST).write_bytes(files[MANIFEST])
    if name.startswith(".."):
        with pytest.raises(CorruptArtifact, match=r"lists '\.\./outside\.txt', which is not in its folder"):
            push_to_hub(folder, "someone/stolen")
    assert "someone/stolen" not in hub.repositories


def test_a_folder_that_is_no_sae_is_not_uploaded(hub, tmp_path):
    with pytest.raises(MissingArtifact, match="there is no sae in"):
        push_to_hub(tmp_path, "someone/an-sae")
    assert hub.calls == []


def test_without_the_client_the_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"pip install 'unweave\[hub\]'"):
        push_to_hub(folder, "someone/an-sae")


# --- the model card --------------------------------------------------------------------------------------


def test_the_card_states_data_nmse_l0_and_live_latents(folder):
    card = model_card(folder, "someone/an-sae")
    for line in [
        'base_model: "sentence-transformers/all-MiniLM-L6-v2"',
        "# license: yours to choose, e.g. apache-2.0; mind that of the training texts and of the encoder",
        r"| Encoder whose embeddings it reads | sentence\-transformers/all\-MiniLM\-L6\-v2 |",
        "| Latents (`n_latents`) | 24 |",
        "| Active latents a text that training aimed at (`k`) | 4 |",
        "| Trained on | 12,345 passages, 678 queries |",
        "| training texts | 4,096 | 0.2134 | 31.5 | 23 | 0.9100 |",
        "| held-out passages | 512 | 0.2571 | 30.4 | 21 | 0.8900 |",
        'sae = uw.from_pretrained("someone/an-sae").sae',
    ]:
        assert line in card.splitlines()


def test_the_card_says_no_row_twice(identity_sae, tmp_path):
    # Three held-out passages: all were measured at once. Of 9,000 a part was measured in both precisions.
    few = {"n_texts": 3, "nmse": 0.25, "l0": 1.5, "live_latents": 3, "cosine": 0.875}
    half, many = {**few, "nmse": 0.2501}, {**few, "n_texts": 9000, "nmse": 0.26}
    for held_out, shown in ((few, ["passages", "half"]), (many, ["passages", "full", "half"])):
        results = {**few, "held_out": {"passages": held_out}, "precision": {"full": few, "half": half}}
        identity_sae.save(tmp_path / "sae", results=results)
        rows = [line for line in model_card(tmp_path / "sae").splitlines() if line.startswith("| held-out")]
        assert [next(word for word in ("half", "full", "passages") if word in row) for row in rows] == shown
        assert rows[-1] == "| held-out passages, directions in half precision | 3 | 0.2501 | 1.5 | 3 | 0.8750 |"


def test_what_is_not_known_is_said_not_to_be(identity_sae, tmp_path):
    identity_sae.save(tmp_path / "sae")
    card = model_card(tmp_path / "sae")
    assert "| Trained on | not stated |" in card
    assert "| training texts | not stated | not stated | not stated | not stated | not stated |" in card
    assert "base_model" not in card


def test_markup_in_names_is_shown_and_not_followed(sae, tmp_path):
    hostile = 'a|b\n---\nlicense: mit <script>alert(1)</script> [x](javascript:y) `c` **d** "'
    named = replace(sae, config=replace(sae.config, encoder=hostile))
    results = {"trained_on": {"<img src=x>|": 3}, "held_out": {"a\n# b": {"nmse": "<b>"}}, "nmse": "<i>"}
    named.save(tmp_path / "sae", results=results)
    card = model_card(tmp_path / "sae", 'x") ; import os\n#')
    assert card.count("\n---\n") == 1, "the header ends where it should"
    for markup in ("<script", "<img", "<b>", "<i>", "[x](", "**d**", "\nlicense:", "\n# b", "a|b"):
        assert markup not in card
    assert r"&lt;script&gt;alert\(1\)&lt;/script&gt;" in card
    assert 'from_pretrained("x\\") ; import os #")' in card


# --- the commands ----------------------------------------------------------------------------------------


def test_the_commands_take_an_sae_there_and_back(hub, folder, sae, tmp_path):
    from click.testing import CliRunner

    def run(*arguments):
        return CliRunner().invoke(commands, [str(a) for a in arguments], catch_exceptions=False)

    assert run("push", folder, "someone/an-sae", "--private").stdout == f"{hub.address}/someone/an-sae\n"
    assert hub.private == {"someone/an-sae"}
    done = run("pull", "someone/an-sae", tmp_path / "mine")
    assert done.stdout == f"{tmp_path / 'mine'}: 24 latents on 8 dimensions, selected by threshold\n"
    same(SAE.load(tmp_path / "mine"), sae)
    assert run("export", folder, tmp_path / "out", "--format", "saelens").output == f"{tmp_path / 'out'}\n"
    done = run("import", tmp_path / "out", tmp_path / "back", "--encoder", sae.config.encoder)
    assert done.output == f"{tmp_path / 'back'}: 24 latents on 8 dimensions, selected by threshold\n"
    same(SAE.load(tmp_path / "back"), sae)
    done = run("import", tmp_path / "out", tmp_path / "back")
    assert done.exit_code == 2
    assert "exists already; give a folder that does not" in done.output
    for command in commands.commands.values():
        assert command.help


def test_the_command_line_offers_the_formats_there_are():
    from unweave.sae.formats import FORMATS

    (option,) = [p for p in commands.commands["import"].params if p.name == "kind"]
    assert tuple(option.type.choices) == FORMATS
