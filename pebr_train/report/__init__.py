"""The report of a run: one HTML file without scripts and without a network, from results to provenance.

    write_report(Path("runs/quickstart"), store=store, config=config, probes={"base": …}, stages=["warmup", …])

Each part of the page has its file: results, difficulty, training, gallery, provenance. Charts are inline SVG.
"""

from __future__ import annotations

from pebr_train.report.write import write_report

__all__ = ["write_report"]
