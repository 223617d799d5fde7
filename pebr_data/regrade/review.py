"""The review list: suspected golds for a person to look at, in the format that `regrade --golds` reads.

    rows = review_rows(found, samples, images)
    write_review(rows, Path("review.jsonl"))

A person fills in `verdict`, and `answer` where the gold is wrong. What is left as it is says nothing.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from pebr_data.errors import RefusedError, StorageError
from pebr_data.images import ImageStore
from pebr_data.regrade.golds import COLUMNS, TOLD, VERDICT
from pebr_data.types import Diagnosis, Json, Sample

ORDER = ("sample_id", *TOLD, VERDICT, *COLUMNS[1:])


def review_rows(found: pl.DataFrame, samples: Mapping[str, Sample], images: ImageStore) -> list[dict[str, Json]]:
    """A row for each suspected gold, the likeliest to be wrong first.

    Args:
        found: What `read_diagnoses` gave.
        samples: The samples among them, by id.
        images: Where their images are.
    """
    suspected = found.filter(pl.col("diagnosis") == str(Diagnosis.SUSPECTED_GOLD))
    return [
        {
            "sample_id": row["sample_id"],
            "question": samples[row["sample_id"]].question,
            "images": [str(images.path(one)) for one in samples[row["sample_id"]].image_hashes],
            "gold": row["gold_answer"],
            "majority": row["majority_answer"],
            **{name: row[name] for name in ("num_majority", "num_correct", "num_rollouts")},
            "suspicion": round(row["suspicion"], 3),
            VERDICT: "",
            "answer": "",
            "reason": "",
        }
        for row in suspected.sort("suspicion", "sample_id", descending=[True, False]).iter_rows(named=True)
    ]


def write_review(rows: Sequence[Mapping[str, Json]], path: Path) -> None:
    """Writes the list: CSV when the name ends so, else JSON lines.

    Raises:
        RefusedError: The file is there already: somebody may have edited it.
        StorageError: It cannot be written.
    """
    text = io.StringIO(newline="")
    if path.suffix.lower() == ".csv":
        table = csv.DictWriter(text, ORDER)
        table.writeheader()
        table.writerows({**row, "images": " ".join(row["images"])} for row in rows)
    else:
        text.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())
    except FileExistsError as error:
        raise RefusedError(
            "the file is there already, and may hold what somebody said", where=str(path), help="name another with --to"
        ) from error
    except OSError as error:
        raise StorageError(
            f"the review list could not be written: {error.strerror}", where=str(path), help="name another with --to"
        ) from error
