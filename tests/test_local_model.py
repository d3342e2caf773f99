"""A language model on this machine: weights joined from packages, a server that takes the process's place."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from unweave.errors import BadData, MissingExtra, ModelUnavailable
from unweave.language import local


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packages that carry a model in three pieces."""
    names = [f"invented_model_part{number}" for number in (1, 2, 3)]
    for name, piece in zip(names, (b"GGUF one ", b"two ", b"three"), strict=True):
        (tmp_path / "packages" / name / "data").mkdir(parents=True)
        (tmp_path / "packages" / name / "__init__.py").touch()
        (tmp_path / "packages" / name / "data" / "part.bin").write_bytes(piece)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.setattr(local, "_PARTS", names)
    return tmp_path / "packages"


def test_the_pieces_are_joined_in_their_order_and_once(packages: Path, tmp_path: Path) -> None:
    file = local.packaged_model(tmp_path / "cache")
    assert file.read_bytes() == b"GGUF one two three"
    made = file.stat().st_mtime_ns
    assert local.packaged_model(tmp_path / "cache").stat().st_mtime_ns == made


def test_a_file_that_is_not_whole_is_joined_again(packages: Path, tmp_path: Path) -> None:
    file = local.packaged_model(tmp_path / "cache")
    file.write_bytes(b"GGUF one")
    assert local.packaged_model(tmp_path / "cache").read_bytes() == b"GGUF one two three"


def test_a_missing_piece_is_named_with_two_ways_out(packages: Path, tmp_path: Path) -> None:
    (packages / "invented_model_part2" / "data" / "part.bin").unlink()
    with pytest.raises(ModelUnavailable, match=r"invented-model-part2 .*unweave\[local-model\].*--model FILE"):
        local.packaged_model(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_weights_are_kept_where_caches_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert local.cache_folder() == Path("/somewhere/unweave")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert local.cache_folder() == Path.home() / ".cache" / "unweave"


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"unweave\[local-model\]"):
        local.serve(None, "127.0.0.1", 8080, 4096)


def test_a_file_of_another_kind_is_refused_before_anything_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    (tmp_path / "model.gguf").write_bytes(b"PK\x03\x04")
    with pytest.raises(BadData, match="not a GGUF file"):
        local.serve(tmp_path / "model.gguf", "127.0.0.1", 8080, 4096)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("llama_cpp") is None, reason="needs the extra local-model, which takes minutes to compile"
)
def test_the_packaged_model_answers(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "unweave", "serve-model", "--port", str(port)]
    server = subprocess.Popen(command, env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)}, stderr=subprocess.DEVNULL)
    try:
        asked = {"messages": [{"role": "user", "content": "Say one word."}], "max_tokens": 5}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/chat/completions",
            json.dumps(asked).encode(),
            {"Content-Type": "application/json"},
        )
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(request) as answer:
                    assert json.load(answer)["choices"][0]["message"]["content"]
                return
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline
                time.sleep(1)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
