"""A stranger's project: nothing is sent, fetched, read or written elsewhere before the user has given their word."""

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from misbehaving_server import serving
from unweave import config
from unweave.base.records import Passage, Query
from unweave.cli import main
from unweave.config import DEFAULT_MODEL, EncoderConfig
from unweave.encode.encoders import open_encoder
from unweave.errors import BadData, NotTrusted
from unweave.project import Project
from unweave.settings import FILE, Settings, update
from unweave.stages import trust
from unweave.stages.trust import trust_file
from unweave.texts.collection import Collection

STAGES = {name: type(stage) for name, stage in vars(Settings()).items()}
KEY = "aws-secret-0123456789"


@pytest.fixture(autouse=True)
def own_configuration(tmp_path, monkeypatch):
    """Nobody has given their word for anything."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)


@pytest.fixture
def stranger(tiny_project_folder, tmp_path) -> Path:
    """A copy of a project, as an archive from somebody holds it."""
    return shutil.copytree(tiny_project_folder, tmp_path / "stranger")


def says(project: Path, **stages) -> None:
    """What the stranger wrote into the project's file, with no command of unweave."""
    text = "".join(
        f"[{stage}]\n" + "".join(f"{name} = {value!r}\n" for name, value in settings.items())
        for stage, settings in stages.items()
    )
    (project / FILE).write_text(text)


def run(*arguments):
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def evil(server) -> dict[str, object]:
    return {"base_url": server.base_url, "key_from": "AWS_SECRET_ACCESS_KEY", "input_price": 1e-6, "cap": 1e6}


# --- the language model ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ["name", "--namer", "language-model"],
        ["name", "--namer", "language-model", "--dry-run"],
        ["judge", "--by-model", 2],
    ],
)
def test_a_strangers_project_sends_nothing_and_says_what_it_would(stranger, command):
    with serving() as server:
        says(stranger, language_model=evil(server))
        done = run(command[0], stranger, *command[1:])
        assert server.requests == []
    assert done.exit_code == 1
    assert f"[language_model] base_url = '{server.base_url}' (texts of the corpus are sent there)" in done.output
    assert (
        "key_from = 'AWS_SECRET_ACCESS_KEY' (this environment variable is sent to the server as the key)" in done.output
    )
    assert "cap = '1000000.0' (so much may be spent)" in done.output
    assert f"run: unweave trust {stranger}" in done.output
    assert KEY not in done.output


def test_no_part_of_a_long_value_is_left_out_of_the_question(stranger):
    address = f"https://{'a.' * 200}example.org/v1/{'b' * 200}"
    says(stranger, language_model={"base_url": address})
    assert f"base_url = '{address}' (texts" in run("name", stranger, "--namer", "language-model").output


def test_by_the_users_word_it_is_sent_and_another_value_is_asked_for_anew(stranger):
    with serving() as server, serving() as other:
        says(stranger, language_model=evil(server))
        assert "allowed: [language_model] base_url" in run("trust", stranger).output
        assert run("name", stranger, "--namer", "language-model", "--most", 1).exit_code == 0
        assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
        says(stranger, language_model=evil(other))
        done = run("name", stranger, "--namer", "language-model", "--most", 2)
        assert done.exit_code == 1
        assert other.base_url in done.output
        assert "AWS_SECRET" not in done.output  # that stayed as it was allowed
        assert other.requests == []


def test_an_option_is_the_users_word_for_itself_alone(stranger):
    with serving() as server:
        says(stranger, language_model={"key_from": "AWS_SECRET_ACCESS_KEY"})
        done = run("name", stranger, "--namer", "language-model", "--most", 1, "--base-url", server.base_url)
        assert (done.exit_code, server.requests) == (1, [])
        assert "key_from" in done.output
        assert "base_url" not in done.output


def test_what_was_given_as_an_option_is_not_asked_for_again(stranger):
    with serving() as server:
        given = ["--base-url", server.base_url, "--key-from", "AWS_SECRET_ACCESS_KEY"]
        for n, options in ((1, given), (2, [])):  # it was written to the project's file by the first
            assert run("name", stranger, "--namer", "language-model", "--most", n, *options).exit_code == 0
        assert len(server.requests) == 2


def test_what_a_command_that_failed_was_given_is_not_remembered(stranger):
    with serving("401") as server:
        assert run("name", stranger, "--namer", "language-model", "--base-url", server.base_url).exit_code == 1
    assert not trust_file().exists()


def test_another_folder_with_the_same_file_is_another_project(stranger, tmp_path):
    with serving() as server:
        says(stranger, language_model=evil(server))
        Project.open(stranger).trust()
        copy = shutil.copytree(stranger, tmp_path / "copy")
        with pytest.raises(NotTrusted, match="base_url"):
            Project.open(copy).confirmed("language_model")
        (tmp_path / "link").symlink_to(stranger)
        assert Project.open(tmp_path / "link").confirmed("language_model")  # another name of the same folder


# --- files and folders ----------------------------------------------------------------------------


def test_a_strangers_project_writes_nothing_outside(stranger, tmp_path):
    before = (stranger / "sae/config.json").read_bytes()
    says(stranger, fit={"tensorboard": str(tmp_path / "home/.config"), "steps": 5}, encoder={"model": "precomputed"})
    done = run("fit", stranger)
    assert done.exit_code == 1
    assert f"[fit] tensorboard = '{tmp_path}/home/.config' (files are written there)" in done.output
    assert not (tmp_path / "home").exists()
    assert (stranger / "sae/config.json").read_bytes() == before


def test_a_strangers_project_reads_nothing_outside(stranger, tmp_path):
    (tmp_path / "secrets.txt").write_text("my password is tide\n")
    (stranger / "inside.txt").symlink_to(tmp_path / "secrets.txt")
    for path in (tmp_path / "secrets.txt", stranger / "inside.txt", stranger / "../secrets.txt"):
        says(stranger, lexicon={"lexicon": str(path)}, encoder={"model": "precomputed"})
        done = run("name", stranger, "--namer", "lexicon")
        assert f"[lexicon] lexicon = '{tmp_path}/secrets.txt' (its lines are read" in done.output  # where it leads
        assert (done.exit_code, (stranger / "lexicon").exists()) == (1, False)


@pytest.mark.parametrize("name", ["evil/dictionary", "given", "given/sae.pt"])
def test_a_strangers_project_takes_no_dictionary_from_elsewhere(stranger, tmp_path, name):
    (tmp_path / "given").mkdir()
    (tmp_path / "given/sae.pt").write_bytes(b"not looked at")
    named = name if name == "evil/dictionary" else str(tmp_path / name)
    before = (stranger / "sae/config.json").read_bytes()
    says(stranger, fit={"dictionary": named}, encoder={"model": "precomputed"})
    done = run("fit", stranger)
    assert done.exit_code == 1
    assert f"[fit] dictionary = '{named}' (the dictionary is fetched from the hub, or read from" in done.output
    assert (stranger / "sae/config.json").read_bytes() == before
    assert f"allowed: [fit] dictionary = '{named}'" in run("trust", stranger).output
    assert Project.open(stranger).confirmed("fit").dictionary == named


@pytest.mark.parametrize("name", ["own", "pretrained", "no such", "/no/such/folder"])
def test_a_dictionary_that_reaches_nothing_outside_is_not_asked_for(tmp_path, name):
    assert trust.reaching(Settings().changed({"fit": {"dictionary": name}}), tmp_path) == []


def test_paths_inside_the_project_are_free(stranger):
    (stranger / "phrases.txt").write_text("the sea\n")
    (stranger / "model").mkdir()
    says(stranger, lexicon={"lexicon": str(stranger / "phrases.txt")},
         fit={"tensorboard": str(stranger / "events"), "dictionary": str(stranger / "sae")},
         encoder={"model": str(stranger / "model")})  # fmt: skip
    opened = Project.open(stranger)
    for stage in STAGES:
        assert opened.confirmed(stage) == getattr(opened.settings, stage)
    assert not trust_file().exists()


# --- models ---------------------------------------------------------------------------------------


@contextmanager
def recording():
    """A hub that notes what it is asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_POST = do_GET  # noqa: N815 - the names that the library looks for

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_strangers_project_fetches_nothing(tmp_path):
    made = Project.create(
        tmp_path / "p", Collection(passages=[Passage("1", "", "the sea")], queries=[Query("q", "sea")])
    )
    made.embed()
    says(made.path, encoder={"model": "evil/model"})
    with recording() as (address, asked):
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hub"),
                       "PYTHONPATH": os.pathsep.join(sys.path)}  # fmt: skip

        def run(command: str) -> subprocess.CompletedProcess[str]:
            words = [sys.executable, "-m", "unweave", command, str(made.path)]
            return subprocess.run(words, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)

        for command in ("embed", "tokens"):
            done = run(command)
            assert "[encoder] model = 'evil/model' (the model is fetched from the hub" in done.stderr
            assert (done.returncode, asked) == (1, [])
        # By the user's word it is asked for: the recording would have noticed.
        assert run("trust").returncode == 0
        for command in ("embed", "tokens"):
            asked.clear()
            assert run(command).returncode == 1
            assert any("evil/model" in path for path in asked)


EMBEDS = """
import sys
from unweave.config import EncoderConfig
from unweave.encode.encoders import open_encoder
from unweave.errors import ModelUnavailable
for folder in sys.argv[1:]:
    for pooling in ("", "mean"):
        try:
            encoder = open_encoder(EncoderConfig(model=folder, pooling=pooling))
            print(encoder.encode_passages(["the sea"] * 9).shape)
        except ModelUnavailable as error:
            print("refused", " ".join(str(error).split()))
"""
PARTS = (
    {},
    {"adapter_config.json": {"base_model_name_or_path": "evil/model", "peft_type": "LORA"}},
    {"modules.json": [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.util.http_get"}]},
    {"modules.json": [{"idx": 0, "name": "0", "path": "", "type": "joblib.numpy_pickle"}]},
)
"""What a model's folder may hold beside the packaged model."""


def test_a_model_in_a_folder_asks_nothing_of_the_hub(tmp_path):
    packaged = open_encoder(EncoderConfig()).source
    folders = [shutil.copytree(packaged, tmp_path / str(i)) for i, _ in enumerate(PARTS)]
    for folder, parts in zip(folders, PARTS, strict=True):
        for name, content in parts.items():
            (folder / name).write_text(json.dumps(content))
    with recording() as (address, asked):
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hub"),
                       "PYTHONPATH": os.pathsep.join(sys.path)}  # fmt: skip
        words = [sys.executable, "-c", EMBEDS, *map(str, folders)]
        done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert (done.returncode, asked) == (0, []), done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 2 * len(folders) and said[:2] == ["(9, 384)"] * 2
    assert all(line.startswith(("(9, 384)", "refused")) for line in said)


def test_reading_and_searching_with_defaults_asks_nothing(stranger):
    for command in (["search", "moon", "--system", "BM25"], ["search", "--query-id", "q0", "--explain"],
                    ["concepts"], ["families"], ["evaluate"], ["name"], ["fit"], ["index"]):  # fmt: skip
        words = {"concepts": ["concepts", "list"], "index": ["index", "build"]}.get(command[0], command[:1])
        assert run(*words, stranger, *command[1:]).exit_code == 0
    assert "reach nothing outside" in run("trust", stranger).output
    assert not trust_file().exists()


def test_a_project_that_is_held_to_its_own_encoder_is_asked_nothing(tmp_path):
    made = Project.create(tmp_path / "p", Collection(passages=[Passage("1", "", "the sea")]))
    says(made.path, encoder={"model": "evil/model"})
    assert Project.open(made.path, encoder=lambda texts: [[1.0, 2.0]] * len(texts)).embed()


@pytest.mark.parametrize("name", [DEFAULT_MODEL, "precomputed", "/no/such/folder", "./here", "a/b/c", "no such"])
def test_what_cannot_be_fetched_is_not_asked_for(tmp_path, name):
    settings = Settings().changed({"encoder": {"model": name}})
    assert trust.reaching(settings, tmp_path) == []


# --- the question, and what is kept ---------------------------------------------------------------


def typed(words: list[str], answer: str, folder: Path) -> str:
    """What a command says on a terminal where somebody answers."""
    there, here = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "XDG_CONFIG_HOME": str(folder)}
    running = subprocess.Popen([sys.executable, "-m", "unweave", *words], stdin=here, stdout=here, stderr=here,
                               env=environment)  # fmt: skip
    os.close(here)
    said, deadline, answered = b"", time.monotonic() + 60, False
    while time.monotonic() < deadline:
        ready, _, _ = select.select([there], [], [], 0.1)
        if not ready:
            continue
        try:
            said += os.read(there, 4096)
        except OSError:  # the other side is closed
            break
        if b"[y/N]" in said and not answered:
            os.write(there, answer.encode() + b"\n")
            answered = True
    running.wait(timeout=20)
    os.close(there)
    return said.decode()


def test_on_a_terminal_it_is_asked_once(stranger, tmp_path):
    with serving() as server:
        says(stranger, language_model=evil(server))
        words = ["name", str(stranger), "--namer", "language-model", "--most"]
        refused = typed([*words, "1"], "n", tmp_path / "config")
        assert f"base_url = '{server.base_url}'" in refused
        assert server.requests == []
        assert "allow it" in typed([*words, "1"], "y", tmp_path / "config")
        assert len(server.requests) == 1
        assert "allow it" not in typed([*words, "2"], "n", tmp_path / "config")
        assert len(server.requests) == 2


def test_the_users_word_is_a_file_that_they_can_read(stranger):
    says(stranger, language_model={"base_url": "https://example.org/v1"})
    Project.open(stranger).trust()
    assert tomllib.loads(trust_file().read_text()) == {
        stranger.resolve().as_uri(): {"language_model.base_url": "https://example.org/v1"}
    }


def test_a_damaged_word_is_no_word(stranger):
    says(stranger, language_model={"base_url": "https://example.org/v1"})
    trust_file().parent.mkdir(parents=True)
    trust_file().write_text("[[[")
    with pytest.raises(BadData, match=r"trusted\.toml: not valid TOML"):
        Project.open(stranger).confirmed("language_model")
    trust_file().write_text("x = 3\n")
    with pytest.raises(NotTrusted):
        Project.open(stranger).confirmed("language_model")


def test_a_word_that_cannot_be_kept_is_told_and_holds_for_now(stranger, monkeypatch, caplog, tmp_path):
    (tmp_path / "a-file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "a-file"))
    Project.open(stranger, {"lexicon": {"lexicon": "/etc/words"}}).keep_changes()
    assert "will be asked for again" in caplog.text


def test_escapes_in_what_is_asked_for_do_not_reach_the_terminal(stranger):
    update(stranger / FILE, {"fit": {"tensorboard": "/elsewhere/a"}})
    (stranger / FILE).write_text((stranger / FILE).read_text().replace("/elsewhere/a", "/elsewhere/\\u001b[2J"))
    done = run("fit", stranger)
    assert done.exit_code == 1
    assert "\x1b" not in done.output


def test_every_text_and_every_money_of_the_settings_reaches_or_is_known_to_stay():
    # A setting that is added is either marked in config.py by `reaches`, or listed here because it opens nothing.
    stays = {
        "encoder.query_prefix", "encoder.passage_prefix", "encoder.pooling", "encoder.device", "encoder.precision",
        "embed.language", "fit.refit", "fit.variant", "fit.retrieval_loss", "fit.device", "language_model.prompt",
        "tokens.device", "evaluate.split", "evaluate.sums",
    }  # fmt: skip
    reaches, texts = set(), set()
    for stage, kind in STAGES.items():
        for name, field in kind.__dataclass_fields__.items():
            if field.metadata.get("reaches"):
                reaches.add(f"{stage}.{name}")
            elif field.type == "str":
                texts.add(f"{stage}.{name}")
    assert texts == stays
    assert {"language_model.cap", "language_model.input_price", "encoder.model", "lexicon.lexicon"} <= reaches
    assert config.LanguageModelConfig().base_url.startswith("http://127.0.0.1")
