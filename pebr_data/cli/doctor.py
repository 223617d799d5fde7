"""`pebr-data doctor`: what of a store is damaged, and bringing it back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from pebr_data.cli.options import DEFAULT_STORE, DEFAULT_WAIT, AsJson, Store, Wait
from pebr_data.cli.output import print_json, talk


def doctor(
    repair: Annotated[
        bool, typer.Option("--repair", help="Restore from the newest backup and the spools; damaged files move aside.")
    ] = False,
    images: Annotated[
        bool, typer.Option("--images", help="Read every image and compare it with its hash, not only look for it.")
    ] = False,
    store: Store = DEFAULT_STORE,
    wait: Wait = DEFAULT_WAIT,
    as_json: AsJson = False,
) -> None:
    """Verify the store: silent when it is whole.

    Reads every block of the catalog, checks that its rows fit together, and compares spools, images, exports and the
    newest backup with it. Each damage is named with the command that mends it; so are images that an older pebr did
    not look at, and what killed writes have left.
    """
    from pebr_data.doctor.examine import examine
    from pebr_data.doctor.repair import repair as repair_store
    from pebr_data.errors import DataError

    found = examine(store, hash_images=images)
    done: list[str] = []
    if found and repair:
        done = repair_store(store)
        found = examine(store, hash_images=images)
    if as_json:
        print_json({"repaired": done, "findings": [asdict(one) for one in found]})
    for step in done:
        talk(f"repaired: {step}")
    if not as_json:
        for one in found:
            print(f"{one.part}: {one.what}, {one.where}\n  help: {one.help}")
    if found:
        raise DataError(f"{len(found):,} things are wrong", where=str(store), help=found[0].help)
