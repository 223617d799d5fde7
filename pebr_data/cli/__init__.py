"""`pebr-data`: from a catalog YAML to exported mixtures. Each command is a module here: it parses, calls, prints."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pebr_data.cli.audit import audit_grader
from pebr_data.cli.backup import backup
from pebr_data.cli.build import build
from pebr_data.cli.decontaminate import decontaminate
from pebr_data.cli.dedupe import dedupe
from pebr_data.cli.doctor import doctor
from pebr_data.cli.errors import run_app
from pebr_data.cli.export import export
from pebr_data.cli.forecast import forecast
from pebr_data.cli.probe import probe
from pebr_data.cli.probe_status import probe_status
from pebr_data.cli.query import query
from pebr_data.cli.regrade import regrade
from pebr_data.cli.review import review
from pebr_data.cli.select import select
from pebr_data.cli.show import show
from pebr_data.cli.simulate import simulate
from pebr_data.cli.stats import stats
from pebr_data.cli.why import why

COMMANDS: dict[str, Callable[..., Any]] = {
    "build": build,
    "audit-grader": audit_grader,
    "probe": probe,
    "probe status": probe_status,
    "review": review,
    "regrade": regrade,
    "stats": stats,
    "dedupe": dedupe,
    "decontaminate": decontaminate,
    "select": select,
    "forecast": forecast,
    "export": export,
    "simulate": simulate,
    "show": show,
    "why": why,
    "query": query,
    "backup": backup,
    "doctor": doctor,
}
"""Every command: in the order of the flow, then those that look and mend."""


class _Commands(TyperGroup):
    """Knows commands of two words, as `probe status`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        name = " ".join(args[:2])
        return (name, self.commands[name], args[2:]) if name in self.commands else super().resolve_command(ctx, args)


app = typer.Typer(name="pebr-data", cls=_Commands, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; works anywhere.")] = False,
) -> None:
    """Find the samples that will teach your vision-language model anything: build, probe, select, export."""


for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `pebr-data` and return its exit code; the console script."""
    return run_app(app, sys.argv[1:] if argv is None else argv)
