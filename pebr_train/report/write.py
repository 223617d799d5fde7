"""Gathers every part of the page, renders it and writes it whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig
from pebr_data.types import Outcome
from pebr_train.done import read_done
from pebr_train.evaluation import Evaluation, load_evaluation
from pebr_train.recipe import BASE
from pebr_train.report.difficulty import correct_counts, skill_bands
from pebr_train.report.forecast import figures, quantity
from pebr_train.report.gallery import gallery
from pebr_train.report.histogram import histogram
from pebr_train.report.provenance import provenance
from pebr_train.report.results import TITLES, point_name, results
from pebr_train.report.svg import number, percent
from pebr_train.report.training import read_log, reward_weights, stage_charts
from pebr_train.rundir import RunDir, write_whole

if TYPE_CHECKING:
    from jinja2 import Template


def write_report(
    run_dir: Path, *, store: Path, config: CatalogConfig, probes: Mapping[str, str], stages: Sequence[str]
) -> Path:
    """Write `report.html` into a run's directory and give its path.

    What is not there yet (an evaluation, a stage's metrics) leaves its part of the page out or says so.

    Args:
        run_dir: The run's directory.
        store: The store with the catalog, its probes and images.
        config: The catalog that was probed and evaluated.
        probes: probe_id by label: `base`, or the stage whose model was probed; the first is drawn as before, the last
            as after.
        stages: The stages' names in training order.

    Raises:
        BusyError: Another process keeps the catalog.
        DataError: An evaluation, a stage's record or the catalog is damaged.
        StorageError: The page cannot be written.
    """
    run = RunDir(run_dir)
    evaluations = {
        label: load_evaluation(path) for label in (BASE, *stages) if (path := run.evaluation(label)).is_file()
    }
    recipe = json.loads(run.recipe.read_text("utf-8")) if run.recipe.is_file() else None
    weights = reward_weights(recipe)
    shown = results(evaluations)
    group_size = config.probe.rollouts
    with Catalog.open(store, read_only=True) as catalog:
        fingerprints = {label: catalog.fingerprint(probe_id) for label, probe_id in probes.items()}
        rates = [
            (
                point_name(label),
                _kind(index, len(probes)),
                catalog.pass_rates(probe_id, group_size, config.name, config.probe.split),
            )
            for index, (label, probe_id) in enumerate(probes.items())
        ]
    counts = [correct_counts(name, kind, table, group_size) for name, kind, table in rates]
    html = _template().render(
        run_name=run_dir.name,
        catalog=config.name,
        group_size=group_size,
        probe_split=config.probe.split,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        evaluation=next(iter(evaluations.values()), None),
        results=shown,
        outcomes=[one for one in Outcome if any(one in dict(row.outcomes) for row in shown.rows)],
        titles=TITLES,
        policies=counts,
        histogram=histogram(counts, label="Pass rates"),
        bands=skill_bands(rates),
        stopped=[
            (name, table.filter((table["band"] != "unprobed") & table["pass_rate"].is_null()).height)
            for name, _, table in rates
        ],
        incomplete=[(name, table.filter(table["band"] == "unprobed").height) for name, _, table in rates],
        stages=[stage_charts(name, read_log(run.stage(name).metrics), weights.get(name, {})) for name in stages],
        first_passes={name: done.first_pass for name in stages if (done := read_done(run.stage(name)))},
        gallery=gallery(store, _ends(evaluations)),
        provenance=provenance(run, recipe, stages, fingerprints, evaluations),
    )
    write_whole(run.report, html)
    return run.report


def _ends(evaluations: Mapping[str, Evaluation]) -> list[tuple[str, str, Evaluation]]:
    """The first and the last evaluation, as sides of the gallery."""
    if len(evaluations) < 2:
        return []
    first, *_, last = evaluations.items()
    return [(point_name(first[0]), "before", first[1]), (point_name(last[0]), "after", last[1])]


def _kind(index: int, total: int) -> str:
    return "before" if index == 0 else "after" if index == total - 1 else "between"


def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pebr_train.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, number=number, points=_points, duration=_duration, quantity=quantity)
    environment.globals["figures"] = figures
    environment.globals["style"] = Markup(_read("page.css"))
    return environment.get_template("page.html.j2")


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")


def _points(share: float) -> str:
    """A difference of shares in percentage points, with its sign: `+17.7`."""
    shown = f"{100 * share:+.1f}"
    return shown.replace("-", "\N{MINUS SIGN}") if shown not in ("+0.0", "-0.0") else "0.0"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
