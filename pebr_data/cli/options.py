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
Radius = Annotated[
    int,
    typer.Option(
        "--radius", min=0, max=11, help="Bits of 64 in which perceptual hashes of images that look the same may differ."
    ),
]
Forget = Annotated[bool, typer.Option("--forget", help="Take the marks off instead, so that all count again.")]


def _be_patient(seconds: float) -> float:
    from pebr_data.catalog.connection import patience

    patience.set(seconds)
    return seconds


Wait = Annotated[
    float,
    typer.Option(
        "--wait",
        min=0,
        metavar="SECONDS",
        callback=_be_patient,
        help="How long to wait for another process to let go of the catalog.",
    ),
]

DEFAULT_STORE = Path("store")
DEFAULT_WAIT = 30.0
