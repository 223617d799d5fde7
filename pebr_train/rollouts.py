"""Every completion of a GRPO stage on disk: one Parquet file per generation batch, named by its step and process.

A file is written whole, and again when its step is repeated after a resume, so (step, prompt, generation) is unique.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pebr_data.durable import sync

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class RolloutLog:
    """The rollouts directory of a stage."""

    path: Path

    def write(self, step: int, process: int, columns: Mapping[str, Sequence[object]]) -> None:
        """Write what was generated after `step` optimizer steps, on one process, replacing an earlier attempt's.

        NaN, a reward that does not apply, becomes null; its column keeps its type even where that is all there is.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path.mkdir(parents=True, exist_ok=True)
        file = self.path / f"step_{step:06d}_process_{process:03d}.parquet"
        aside = file.with_name(f".{file.name}")
        table = pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()})
        pq.write_table(table, aside, compression="zstd")
        sync(aside)
        aside.replace(file)

    def groups(self, reward: str) -> pl.DataFrame:
        """What each group got of one reward, in order; completions and groups that it does not apply to are left out.

        Columns: step, prompt_index, sample_id; num (completions), mean, low, high and variance (over num) of the
        reward; num_tokens (of all these completions). No rows where the reward was not logged.
        """
        import polars as pl

        files = sorted(self.path.glob("step_*_process_*.parquet"))
        column = f"reward_{reward}"
        schema = pl.Schema(
            {
                "step": pl.Int64,
                "prompt_index": pl.Int64,
                "sample_id": pl.String,
                "num_tokens": pl.Int64,
                column: pl.Float64,
            }
        )
        if not files or column not in pl.read_parquet_schema(files[0]):
            each = pl.DataFrame(schema=schema)
        else:
            each = pl.concat([pl.read_parquet(file, columns=list(schema)).cast(schema) for file in files])
        value = pl.col(column)
        return (
            each.drop_nulls(column)
            .group_by("step", "prompt_index", "sample_id")
            .agg(
                num=pl.len(),
                mean=value.mean(),
                low=value.min(),
                high=value.max(),
                variance=value.var(ddof=0),
                num_tokens=pl.col("num_tokens").sum(),
            )
            .sort("step", "prompt_index")
        )

    def forget_from(self, step: int) -> None:
        """Remove what was generated at `step` or later, because training goes on from there."""
        for file in self.path.glob("step_*_process_*.parquet"):
            if int(file.name.split("_")[1]) >= step:
                file.unlink()
