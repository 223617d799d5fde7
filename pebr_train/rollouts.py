"""Every completion of a GRPO stage on disk: one Parquet file per generation batch, named by its step and process.

A file is written whole, and again when its step is repeated after a resume, so (step, prompt, generation) is unique.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pebr_data.durable import sync


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

    def forget_from(self, step: int) -> None:
        """Remove what was generated at `step` or later, because training goes on from there."""
        for file in self.path.glob("step_*_process_*.parquet"):
            if int(file.name.split("_")[1]) >= step:
                file.unlink()
