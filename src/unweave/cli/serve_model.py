"""The command that serves a language model on this machine."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("serve-model")
@click.option("--model", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A GGUF file; by default the weights that the extra local-model brings.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; it asks for no key.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--context", default=4096, show_default=True, type=click.IntRange(min=512),
              help="Tokens of a request and its answer together.")  # fmt: skip
def serve_model(model: Path | None, host: str, port: int, context: int) -> None:
    """Serve a language model on this machine, for: unweave name --namer language-model

    It speaks the OpenAI API and ends with ctrl-c. It needs the extra local-model, which compiles llama.cpp.

    \b
    Examples:
      unweave serve-model
      unweave serve-model --model model.gguf
    """
    from unweave.language.local import serve

    serve(model, host, port, context)
