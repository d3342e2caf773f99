"""The command line: each command parses, makes one call and shows what came back."""

from unweave.cli.app import main

__all__ = ["main"]
