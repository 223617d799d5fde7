"""`pebr-data probe status`: how far a catalog's probes are, while they run and after."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pebr_data.cli.options import DEFAULT_STORE, DEFAULT_WAIT, AsJson, CatalogPath, Store, Wait
from pebr_data.cli.output import name_next, print_json, print_table, store_arguments, talk
from pebr_data.cli.progress import duration, rate_text
from pebr_data.types import Outcome

if TYPE_CHECKING:
    from pebr_data.catalog.rollouts import Usage
    from pebr_data.probe.progress import RunProgress
    from pebr_data.types import Fingerprint


def probe_status(
    catalog: CatalogPath, store: Store = DEFAULT_STORE, wait: Wait = DEFAULT_WAIT, as_json: AsJson = False
) -> None:
    """Show how far the probes of a catalog are.

    For each probe what it has made, in outcomes and tokens; for its runs, which may be going on, how fast they are and
    how long the rest takes.
    """
    from pebr_data.catalog.rollouts import Usage
    from pebr_data.catalog.store import Catalog
    from pebr_data.config import load_catalog_config
    from pebr_data.probe.fingerprint import FINGERPRINT_FILE, read_fingerprint

    name = load_catalog_config(catalog).name
    with Catalog.open(store, read_only=True) as opened:
        probes = [(one.fingerprint, opened.usage(one.probe_id, name)) for one in opened.known_probes(name)]
        merged = {probe.probe_id for probe in opened.known_probes()}
    # What has just begun has merged nothing yet; it may be of another catalog.
    spooled = [read_fingerprint(path.parent) for path in sorted(store.glob(f"probes/*/{FINGERPRINT_FILE}"))]
    begun = [policy for policy in spooled if policy is not None and policy.probe_id not in merged]
    probes += [(policy, Usage({}, 0, 0)) for policy in begun]
    told = [_status(store / "probes" / policy.probe_id, policy, usage) for policy, usage in probes]
    if as_json:
        print_json(told)
    else:
        _print(told)
    name_next("pebr-data", "stats", *store_arguments(store, DEFAULT_STORE))


def _status(directory: Path, policy: Fingerprint, usage: Usage) -> dict[str, Any]:
    from pebr_data.probe.lock import held_shards
    from pebr_data.probe.progress import read_progress

    held = held_shards(directory)
    return {
        "probe_id": policy.probe_id,
        "fingerprint": policy.to_json(),
        "num_rollouts": usage.num_rollouts,
        "outcomes": {str(outcome): count for outcome, count in usage.outcomes.items()},
        "num_tokens": usage.num_tokens,
        "num_prompt_tokens": usage.num_prompt_tokens,
        "runs": [_run(run, held.get(run.shard)) for run in read_progress(directory)],
    }


def _run(run: RunProgress, holder: str | None) -> dict[str, Any]:
    state = "running" if holder else "finished" if run.num_done >= run.num_wanted else "stopped"
    figures = {"rate": run.rate, "seconds": run.seconds, "seconds_left": run.seconds_left if holder else None}
    return {**asdict(run), **figures, "state": state, "process": holder}


def _print(told: list[dict[str, Any]]) -> None:
    if not told:
        talk("note: nothing has been probed")
        return
    rows = []
    outcomes = [str(outcome) for outcome in Outcome if any(one["outcomes"].get(outcome) for one in told)]
    for one in told:
        policy = one["fingerprint"]
        shown = (one["probe_id"], policy["model"], policy["condition"], policy["temperature"], one["num_rollouts"])
        counts = (one["outcomes"].get(name, 0) for name in outcomes)
        rows.append((*shown, *counts, one["num_tokens"], one["num_prompt_tokens"]))
    header = ("probe", "model", "condition", "temperature", "rollouts", *outcomes, "tokens", "prompt tokens")
    print_table(header, rows)
    runs = [
        (
            one["probe_id"],
            run["shard"].replace("-of-", "/"),
            run["state"] if run["process"] is None else f"running, process {run['process']}",
            run["num_done"],
            run["num_wanted"],
            None if run["rate"] is None else rate_text(run["rate"]),
            None if run["seconds_left"] is None else duration(run["seconds_left"]),
            duration(run["seconds"]),
            run["num_tokens"],
        )
        for one in told
        for run in one["runs"]
    ]
    if runs:
        print("\nthe last run of each, and of each shard")
        print_table(("probe", "shard", "state", "done", "of", "rate", "left", "time", "tokens"), runs)
