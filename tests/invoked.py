"""Commands run in this process, for tests of what they say."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from unweave.cli import main


def unweave(*arguments: object) -> Result:
    """What a command did."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(result: Result) -> str:
    """What a command that could not be done said, which is no traceback."""
    assert isinstance(result.exception, SystemExit), f"a traceback: {result.exception!r}"
    assert result.exit_code == 1
    return result.stderr


def written(path: Path, content: str | bytes) -> Path:
    """A file of a stranger's, with the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
