"""`pebr-data show`: one sample and what every policy made of it, or the samples that two graders dispute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pebr_data.cli.disputed import show_disputed
from pebr_data.cli.draw import draw_image
from pebr_data.cli.options import DEFAULT_STORE, DEFAULT_WAIT, AsJson, Store, Wait
from pebr_data.cli.output import name_next, print_json, store_arguments
from pebr_data.errors import UsageError
from pebr_data.types import Outcome

if TYPE_CHECKING:
    from pebr_data.catalog.mixtures import Decision
    from pebr_data.catalog.perception import PartScore
    from pebr_data.catalog.rollouts import KnownProbe
    from pebr_data.types import Json, Rollout, Sample


def show(
    sample_id: Annotated[
        str | None, typer.Argument(metavar="[SAMPLE_ID]", help="The sample's 16 hex digits.", show_default=False)
    ] = None,
    disputed: Annotated[
        bool, typer.Option("--disputed", help="Instead of one sample, list those whose grades two graders dispute.")
    ] = False,
    graders: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--graders",
            metavar="A B",
            help="With --disputed: two grader versions, or graders' names; what counts and the newest other one when "
            "not given.",
        ),
    ] = None,
    catalog: Annotated[
        str | None, typer.Option("--catalog", metavar="NAME", help="With --disputed: only this catalog's samples.")
    ] = None,
    store: Store = DEFAULT_STORE,
    wait: Wait = DEFAULT_WAIT,
    as_json: AsJson = False,
) -> None:
    """Show a sample and what each policy made of it.

    Question, answer, image files, the decision of every mixture, and the rollouts of every probe.
    """
    if disputed == (sample_id is not None):
        raise UsageError("give either a SAMPLE_ID or --disputed", help="pebr-data show --help")
    if sample_id is None:
        show_disputed(graders, catalog, store, as_json)
    elif graders is not None or catalog is not None:
        raise UsageError("--graders and --catalog belong to --disputed", help="pebr-data show --help")
    else:
        _show_sample(sample_id, store, as_json)


def _show_sample(sample_id: str, store: Path, as_json: bool) -> None:
    from pebr_data.catalog.store import Catalog
    from pebr_data.grading.versions import SOURCE_GOLDS
    from pebr_data.images import ImageStore
    from pebr_data.select.diagnoses import diagnosis_of

    with Catalog.open(store, read_only=True) as catalog:
        sample = catalog.samples(sample_ids=[sample_id])[0]
        told = diagnosis_of(catalog, sample)
        source_answer = catalog.samples(sample_ids=[sample_id], golds=SOURCE_GOLDS)[0].answer
        probed = [(probe, catalog.rollouts(probe.probe_id, [sample_id])) for probe in catalog.known_probes()]
        parts = {probe.probe_id: catalog.perception.of(probe.probe_id, sample_id) for probe, _ in probed}
        decisions = catalog.decisions(sample_id)
    image_store = ImageStore(store / "images")
    images = [image_store.path(image_hash) for image_hash in sample.image_hashes]
    probed = [(probe, rollouts) for probe, rollouts in probed if rollouts]
    if as_json:
        print_json(_as_json(sample, source_answer, images, decisions, probed, told, parts))
        return
    for path in images:
        draw_image(path)
    _print_sample(sample, source_answer, images, decisions)
    for probe, rollouts in probed:
        _print_rollouts(probe, sample, rollouts)
        _print_parts(parts[probe.probe_id])
        if probe.probe_id in told:
            print(f"  diagnosis {told[probe.probe_id]['diagnosis_reason']}")
    name_next("pebr-data", "stats", *store_arguments(store, DEFAULT_STORE))


def _as_json(
    sample: Sample,
    source_answer: str,
    images: Sequence[Path],
    decisions: Sequence[Decision],
    probed: Sequence[tuple[KnownProbe, list[Rollout]]],
    told: Mapping[str, Mapping[str, Json]],
    parts: Mapping[str, Sequence[PartScore]],
) -> Json:
    return {
        "sample_id": sample.sample_id,
        "source": sample.source,
        "split": sample.split,
        "skill": sample.skill,
        "images": images,
        "question": sample.question,
        "answer": sample.answer,
        "source_answer": source_answer,
        "answer_type": sample.answer_type,
        "options": list(sample.options),
        "keywords": list(sample.keywords),
        "description": sample.description,
        "response": sample.response,
        "metadata": dict(sample.metadata),
        "mixtures": [
            {"mixture": one.name, "mixture_id": one.mixture_id, "decision": one.decision} for one in decisions
        ],
        "probes": [
            {
                "probe_id": probe.probe_id,
                "fingerprint": probe.fingerprint.to_json(),
                "grader_version": probe.grader_version,
                **_pass_rate(rollouts),
                **told.get(probe.probe_id, {}),
                "perception": {
                    one.part: {"mean": one.mean, "deviation": one.deviation, "noise": one.noise}
                    for one in parts[probe.probe_id]
                },
                "rollouts": [
                    {
                        "index": rollout.key.index,
                        "seed": rollout.key.seed,
                        "outcome": str(rollout.grade.outcome),
                        "answer": rollout.grade.answer,
                        "reason": rollout.grade.reason,
                        "num_tokens": rollout.generation.num_tokens,
                        "finish_reason": rollout.generation.finish_reason,
                        "completion": rollout.generation.completion,
                        "option_order": list(rollout.order) or None,
                    }
                    for rollout in rollouts
                ],
            }
            for probe, rollouts in probed
        ],
    }


def _print_sample(sample: Sample, source_answer: str, images: Sequence[Path], decisions: Sequence[Decision]) -> None:
    facts: list[tuple[str, object]] = [
        ("sample", sample.sample_id),
        ("source", f"{sample.source}, split {sample.split}"),
        ("skill", sample.skill),
        *(("image", path) for path in images),
        ("question", sample.question),
        ("answer", sample.answer if sample.answer_type is None else f"{sample.answer} ({sample.answer_type})"),
        ("corrected", None if sample.answer == source_answer else f"the source's answer is {source_answer}"),
        ("options", " | ".join(sample.options)),
        ("keywords", ", ".join(sample.keywords)),
        ("description", sample.description),
        ("response", sample.response),
        *((str(name), value) for name, value in sample.metadata.items()),
        *(("mixture", f"{one.name} ({one.mixture_id}): {one.decision}") for one in decisions),
    ]
    for name, value in facts:
        if value not in (None, "", [], {}):
            print(f"{name + ':':<13} {_indented(str(value), 14)}")


def _print_rollouts(probe: KnownProbe, sample: Sample, rollouts: Sequence[Rollout]) -> None:
    from pebr_data.shuffled import reordered

    fingerprint = probe.fingerprint
    num_correct = sum(rollout.grade.outcome == "correct" for rollout in rollouts)
    print(
        f"\n{fingerprint.model} ({fingerprint.condition}, temperature {fingerprint.temperature:g}), "
        f"probe {probe.probe_id}: {len(rollouts)} rollouts, {num_correct} correct by {probe.grader_version}"
    )
    rate = _pass_rate(rollouts)
    if rate["num_rollouts"]:
        low, high = rate["pass_rate_low"], rate["pass_rate_high"]
        print(f"  pass rate between {low:.2f} and {high:.2f} (95 %, whatever ended the probe, with no prior)")
    for rollout in rollouts:
        grade, generation = rollout.grade, rollout.generation
        print(f"  {rollout.key.index}: {grade.outcome}, {generation.num_tokens} tokens, {grade.reason}")
        if rollout.order:
            print(f"     options: {' | '.join(reordered(sample, rollout.order).options)}")
        print(f"     {_indented(generation.completion, 5)}")


def _pass_rate(rollouts: Sequence[Rollout]) -> dict[str, Json]:
    """Counts, and the interval that holds however the number of rollouts came about."""
    from pebr_data.difficulty.intervals import confidence_sequence

    outcomes = [rollout.grade.outcome for rollout in rollouts]
    outcomes = [one for one in outcomes if one not in (Outcome.UNGRADABLE, Outcome.ERROR)]
    num_correct, num_rollouts = outcomes.count(Outcome.CORRECT), len(outcomes)
    low, high = (float(end) for end in confidence_sequence(num_correct, num_rollouts))
    return {
        "num_correct": num_correct, "num_rollouts": num_rollouts, "pass_rate_low": low, "pass_rate_high": high
    }  # fmt: skip


def _print_parts(parts: Sequence[PartScore]) -> None:
    told = [
        f"{one.part} {one.mean:.2f}" + ("" if one.deviation is None else f", deviation {one.deviation:.2f}")
        for one in parts
    ]
    if told:
        print(f"  perception reward: {'; '.join(told)}")


def _indented(text: str, width: int) -> str:
    return text.replace("\n", "\n" + " " * width)
