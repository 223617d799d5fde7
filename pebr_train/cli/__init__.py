"""`pebr-train`: run a recipe, or evaluate a model. Each command is a module here: it parses, calls, prints."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from pebr_data.cli.errors import run_app
from pebr_train.cli.evaluate import evaluate
from pebr_train.cli.run import run

COMMANDS: dict[str, Callable[..., Any]] = {"run": run, "evaluate": evaluate}
"""Every command."""

app = typer.Typer(name="pebr-train", no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; works anywhere.")] = False,
) -> None:
    """Train a vision-language model by a recipe: warm-up, perception, reasoning."""


for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `pebr-train` and return its exit code; the console script."""
    return run_app(app, sys.argv[1:] if argv is None else argv)
