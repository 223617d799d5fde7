"""How `stats` and `select` grow with the catalog, beside plain Python over JSON lines.

    PYTHONPATH=. python tests/bench/catalog_scale.py --samples 10000 100000 1000000

Makes a synthetic catalog of each size (8 graded rollouts a sample) in a temporary directory that is removed
afterwards, and runs what the commands call, each in a process of its own on two cores. Figures are of whole processes,
imports included; memory is its peak RSS. Beside them, in the same run, the approach of the paper's released scripts: a
JSON line a rollout, read in plain Python, counted in dicts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
COMPLETION = "### Image Description: a red circle at center ### Step 1: count them. ### The final answer is: 3"
YAML = """\
name: big
sources:
  - {name: made, type: shapes, splits: {train: 1}}
probe: {template: question, rollouts: 8}
mixtures:
  warmup: {policy: pebr, band: hard}
  perception: {policy: pebr, band: easy}
  reasoning: {policy: pebr, band: medium}
  random_reasoning: {policy: random, match: reasoning}
"""
SIGNAL = YAML[: YAML.index("  warmup")] + "  best: {policy: signal, limit: 100000, control: true}\n"
OPEN = """
import sys
from pathlib import Path
from pebr_data.catalog.store import Catalog
from pebr_data.config import load_catalog_config
from pebr_data.select.mixture import preview, select
store = Path(sys.argv[1])
"""
TASKS = {
    "select": "select(load_catalog_config(store / 'big.yaml'), store)",
    "select again": "select(load_catalog_config(store / 'big.yaml'), store)",
    "select by signal, and its control": "select(load_catalog_config(store / 'signal.yaml'), store)",
    "forecast of both": """
        from pebr_data.select.forecast import forecast_mixtures
        config = load_catalog_config(store / 'signal.yaml')
        rates, choices = preview(config, store)
        forecast_mixtures(config, store, rates, {name: one.kept for name, one in choices.items()})
    """,
    "stats": """
        with Catalog.open(store, read_only=True) as catalog:
            catalog.stats(), catalog.mixtures()
    """,
    "pass rates as a frame": """
        with Catalog.open(store, read_only=True) as catalog:
            catalog.pass_rates(catalog.probes()[0].probe_id, catalog="big")
    """,
}
PLAIN = """
import json, sys
from collections import Counter, defaultdict
correct, total, outcomes = defaultdict(int), defaultdict(int), Counter()
with open(sys.argv[1] + "/rollouts.jsonl") as lines:
    for line in lines:
        row = json.loads(line)
        total[row["sample_id"]] += 1
        correct[row["sample_id"]] += row["outcome"] == "correct"
        outcomes[row["outcome"]] += 1
bands = defaultdict(list)
for sample_id, count in total.items():
    right = correct[sample_id]
    bands["easy" if right == count else "medium" if right else "hard"].append(sample_id)
"""
MAKE = (
    OPEN
    + """
from datetime import UTC, datetime
from pebr_data.types import Condition, Fingerprint
number, completion = int(sys.argv[2]), sys.argv[3]
policy = Fingerprint("scripted", "1", "question", Condition.IMAGE, 1.2, 0.99, 2048, 802816, "transformers")
names = {"probe_id": policy.probe_id, "completion": completion, "now": datetime.now(UTC).replace(tzinfo=None)}
with Catalog.open(store) as catalog:
    catalog.register_probe(policy)
    for statement in sys.argv[4].split(";"):
        needed = {name: value for name, value in names.items() if f"${name}" in statement}
        catalog._connection.execute(statement, {**needed, **({"number": number} if "$number" in statement else {})})
        catalog._connection.execute("CHECKPOINT")
"""
)
# `hash` is the seed: the same number gives the same catalog.
FILL = """
INSERT INTO catalogs VALUES ('big', $now);
INSERT INTO gradings VALUES ($probe_id, 'bench', $now);
INSERT INTO gradings_in_force VALUES ($probe_id, 'bench', $now);
INSERT INTO samples (sample_id, source, split, position, question, answer, answer_type, options, keywords, description,
                     response, skill, metadata)
SELECT substr(sha256('sample' || i), 1, 16), 'made', 'train', i, 'How many circles are there in picture ' || i || '?',
       (i % 5)::VARCHAR, 'count', [], ['circle'], 'a large red circle, number ' || i, NULL,
       CASE WHEN i % 3 = 0 THEN 'count' WHEN i % 3 = 1 THEN 'compare' ELSE 'subtract' END, '{}'
FROM range($number) AS numbered(i);
INSERT INTO sample_images SELECT sample_id, 0, sha256(sample_id) FROM samples ORDER BY position;
INSERT INTO catalog_samples (catalog, sample_id) SELECT 'big', sample_id FROM samples ORDER BY position;
INSERT INTO rollouts (probe_id, sample_id, idx, seed, completion, num_tokens, finish_reason, num_prompt_tokens,
                      num_image_tokens, error)
SELECT $probe_id, sample_id, idx, position * 8 + idx, $completion || sample_id, 60, 'stop', 100, 64, NULL
FROM samples, range(8) AS numbered(idx) ORDER BY position, idx;
INSERT INTO grades (probe_id, sample_id, idx, grader_version, outcome, answer, reason)
SELECT $probe_id, sample_id, idx, 'bench',
       CASE WHEN hash(sample_id, idx) % 100 < hash(sample_id) % 140 THEN 'correct'
            WHEN hash(idx, sample_id) % 50 = 0 THEN 'truncated' ELSE 'wrong' END, '3', 'equal'
FROM samples, range(8) AS numbered(idx) ORDER BY position, idx
"""
LINES = """
import sys, duckdb
with duckdb.connect(sys.argv[1] + "/catalog.duckdb", read_only=True) as connection:
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET preserve_insertion_order = false")
    connection.execute(
        "COPY (SELECT sample_id, idx, completion, outcome FROM rollouts JOIN grades USING (probe_id, sample_id, idx)) "
        f"TO '{sys.argv[1]}/rollouts.jsonl' (FORMAT json)"
    )
"""


def run(code: str, *arguments: str | Path) -> tuple[float, float, float]:
    """Seconds on the clock, seconds of both cores together, and peak memory (GB) of a process that runs `code`."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    os.sched_setaffinity(process.pid, sorted(os.sched_getaffinity(0))[:2])
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode} of:\n{code}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e9


def measure(num_samples: int, directory: Path) -> dict[str, tuple[float, float, float]]:
    """What `run` measures of each task on a catalog of this size."""
    store = directory / f"store_{num_samples}"
    store.mkdir()
    (store / "big.yaml").write_text(YAML, encoding="utf-8")
    (store / "signal.yaml").write_text(SIGNAL, encoding="utf-8")
    made = run(MAKE, store, str(num_samples), COMPLETION, FILL)
    print(
        f"{num_samples:,} samples made in {made[0]:.0f} s, "
        f"{(store / 'catalog.duckdb').stat().st_size / 1e9:.2f} GB of catalog",
        file=sys.stderr,
        flush=True,
    )
    found = {name: run(OPEN + dedent(code), store) for name, code in TASKS.items()}
    run(LINES, store)
    found["JSON lines in plain Python"] = run(PLAIN, store)
    for path in store.iterdir():
        path.unlink()
    return found


def main() -> None:
    """Prints the tables in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--in", dest="directory", type=Path, default=None, help="where the temporary directory goes")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        measured = {size: measure(size, Path(directory)) for size in arguments.samples}
    if arguments.json:
        print(json.dumps(measured))
        return
    sizes = " | ".join(f"{size:,}" for size in measured)
    print(
        f"load at the end: {os.getloadavg()[0]:.1f}; s = seconds on the clock, CPU = seconds of both cores together\n"
    )
    print(f"| 8 rollouts a sample, so many samples: | {sizes} |\n| --- |{' --- |' * len(measured)}")
    for name in next(iter(measured.values())):
        cells = (
            f"{seconds:.2f} s, {cpu:.2f} CPU, {gigabytes:.2f} GB"
            for seconds, cpu, gigabytes in (one[name] for one in measured.values())
        )
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
