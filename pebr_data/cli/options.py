"""The options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

CatalogPath = Annotated[
    Path,
    typer.Argument(
        metavar="CATALOG.yaml", help="The catalog: where its samples come from and which mixtures to choose."
    ),
]
Store = Annotated[
    Path,
    typer.Option("--store", envvar="PEBR_STORE", help="The directory that holds catalog, images, probes and exports."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and what that costs; change nothing.")]
Probe = Annotated[
    str | None, typer.Option("--probe", metavar="ID", help="The probe to go by; the catalog's only probe by default.")
]
Mixtures = Annotated[
    list[str] | None,
    typer.Option("--mixture", metavar="NAME", help="Only this mixture; may be given several times. All by default."),
]
GraderName = Annotated[
    str,
    typer.Option("--grader", metavar="NAME", help="`pebr`, or `paper` for the rule of the paper's released scripts."),
]

DEFAULT_STORE = Path("store")
