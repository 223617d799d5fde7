"""`pebr-data audit-grader`: try a grader on a catalog's own golds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pebr_data.cli.options import DEFAULT_STORE, AsJson, CatalogPath, GraderName, Store
from pebr_data.cli.output import name_next, print_json, print_table, store_arguments, talk
from pebr_data.cli.progress import progress
from pebr_data.errors import DataError

if TYPE_CHECKING:
    from pebr_data.audit.run import Example, Report

MAX_SHOWN = 60
"""Characters of a gold or an answer in an example; `--json` has all of it."""


def audit_grader(
    catalog: CatalogPath,
    grader: GraderName = "pebr",
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, metavar="N", help="Only N samples, drawn at random but always the same ones."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 65 when a gold is not correct against itself.")
    ] = False,
    store: Store = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """Try a grader on a catalog's own golds.

    Every gold against itself, other spellings, other golds, an empty answer, all options, hedges: says what the grader
    accepts that it should not and rejects that it should not. Reads the sources when the catalog has not been built.
    """
    from pebr_data.audit.run import audit
    from pebr_data.audit.samples import audited_samples, draw
    from pebr_data.config import load_catalog_config
    from pebr_data.grading import Grader
    from pebr_data.prompts import open_template

    config = load_catalog_config(catalog)
    judge = Grader(grader, open_template(config.probe.template).extractors)
    samples, is_built = audited_samples(config, store)
    with progress("audit", "answers") as update:
        report = audit(draw(samples, limit), judge, pool=samples, progress=update)
    if as_json:
        print_json(_as_json(report))
    else:
        _print(report)
    here = store_arguments(store, DEFAULT_STORE)
    if not is_built:
        talk("note: the catalog has not been built; its sources were read")
    if strict and report.num_unfit:
        raise DataError(
            f"{report.num_unfit:,} golds are not correct against themselves",
            where=str(catalog),
            help="correct them: pebr-data regrade CATALOG.yaml --golds FILE, or give their `answer_type`",
        )
    name_next("pebr-data", *(("probe", catalog, "--model", "MODEL") if is_built else ("build", catalog)), *here)


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "grader_version": report.grader_version,
        "num_samples": dict(report.num_samples),
        "num_unfit": report.num_unfit,
        "findings": [
            {
                "answer_type": answer_type,
                "check": check,
                "num_tried": found.num_tried,
                "num_accepted": found.num_accepted,
                "num_rejected": found.num_rejected,
                "num_unknown": found.num_unknown,
                "num_errors": found.num_errors,
                "mistakes": [_example(one) for one in found.mistakes],
                "to_look_at": [_example(one) for one in found.doubtful],
            }
            for (answer_type, check), found in report.findings.items()
        ],
    }


def _example(one: Example) -> dict[str, Any]:
    verdict = one.grade
    return {
        "sample_id": one.sample_id,
        "gold": one.gold,
        "answer": one.answer,
        "outcome": str(verdict.outcome),
        "extracted": verdict.answer,
        "reason": verdict.reason,
    }


def _print(report: Report) -> None:
    rows = [
        (
            answer_type, check, found.num_tried, found.num_accepted, found.num_rejected, found.num_unknown,
            found.num_errors,
        )
        for (answer_type, check), found in report.findings.items()
    ]  # fmt: skip
    header = ("answer type", "check", "tried", "wrongly accepted", "wrongly rejected", "to look at", "no verdict")
    print_table(header, rows)
    mistakes = [(*key, found.mistakes) for key, found in report.findings.items() if found.mistakes]
    doubtful = [(*key, found.doubtful) for key, found in report.findings.items() if found.doubtful]
    _print_examples("wrong", mistakes)
    _print_examples("to look at: accepted, and not known to be wrong", doubtful)
    total = sum(found.num_tried for found in report.findings.values())
    num_wrong = sum(found.num_accepted + found.num_rejected for found in report.findings.values())
    num_samples = sum(report.num_samples.values())
    print(
        f"\n{report.grader_version}: {num_wrong:,} of {total:,} answers to {num_samples:,} samples graded wrongly, "
        f"{report.num_unfit:,} golds not correct against themselves"
    )


def _print_examples(title: str, examples: Sequence[tuple[str, str, Sequence[Example]]]) -> None:
    if not examples:
        return
    print(f"\n{title}")
    rows = [
        (answer_type, check, one.sample_id, _shown(one.gold), _shown(one.answer), one.grade.outcome, one.grade.reason)
        for answer_type, check, shown in examples
        for one in shown
    ]
    print_table(("answer type", "check", "sample", "gold", "answer", "outcome", "reason"), rows)


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_SHOWN else line[: MAX_SHOWN - 1] + "…"
