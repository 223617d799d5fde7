"""Mixtures in the catalog: frozen, found again, every drop with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pebr_data.catalog.mixtures import freeze_mixture
from pebr_data.catalog.store import Catalog
from pebr_data.errors import DataError
from pebr_data.hashing import digest
from pebr_data.types import Mixture

CONFIG = {"policy": "pebr", "band": "easy", "seed": 0}


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path) as opened:
        yield opened


def reasons(drops: Mapping[str, str]) -> pl.DataFrame:
    return pl.DataFrame(list(drops.items()), schema={"sample_id": pl.String, "reason": pl.String}, orient="row")


def id_of(digit: str) -> str:
    return digit.rjust(16, "0")


def save(catalog: Catalog, *kept: str, probe_id: str | None = "p1", **dropped: str) -> Mixture:
    """Freezes and saves a choice among samples that are named by one hex digit."""
    sample_ids = pl.Series(map(id_of, kept), dtype=pl.String)
    drops = reasons({id_of(digit): reason for digit, reason in dropped.items()})
    mixture = freeze_mixture("toys", "perception", probe_id, CONFIG, sample_ids, drops)
    catalog.save_mixture(mixture, drops)
    return mixture


def test_a_mixture_comes_back_as_it_was_frozen(catalog: Catalog) -> None:
    saved = save(catalog, "c", "a", "b", d="band-hard", e="band-hard", f="unprobed")
    assert saved.sample_ids == (id_of("c"), id_of("a"), id_of("b"))
    assert saved.drops == {"band-hard": 2, "unprobed": 1}
    assert saved.digest.startswith(saved.mixture_id)
    assert catalog.mixture(saved.mixture_id) == saved
    assert catalog.drop_reasons(saved.mixture_id) == {
        id_of("d"): "band-hard", id_of("e"): "band-hard", id_of("f"): "unprobed"
    }  # fmt: skip


def test_the_same_choice_is_the_same_mixture(catalog: Catalog) -> None:
    first = save(catalog, "a", "b", d="unprobed")
    assert save(catalog, "a", "b", d="unprobed") == first
    assert [one.mixture_id for one in catalog.mixtures("toys")] == [first.mixture_id]
    assert catalog.mixture(first.mixture_id) == first
    assert catalog.drop_reasons(first.mixture_id) == {id_of("d"): "unprobed"}


def test_another_choice_is_another_mixture_and_the_old_one_stays(catalog: Catalog) -> None:
    first = save(catalog, "a", "b", d="unprobed")
    others = [
        save(catalog, "b", "a", d="unprobed"), save(catalog, "a", "b", d="band-hard"),
        save(catalog, "a", "b", probe_id="p2", d="unprobed"), save(catalog, "a", "b", probe_id=None, d="unprobed"),
    ]  # fmt: skip
    assert len({mixture.mixture_id for mixture in (first, *others)}) == 5
    assert catalog.mixture(first.mixture_id) == first
    listed = [(one.mixture_id, one.num_samples, one.drops) for one in catalog.mixtures()]
    assert listed == [(one.mixture_id, 2, one.drops) for one in (first, *others)]


def test_the_newest_mixture_is_found_by_what_it_was_chosen_under(catalog: Catalog) -> None:
    found = lambda probe_id: catalog.find_mixture("toys", "perception", probe_id, digest(CONFIG))  # noqa: E731
    assert found("p1") is None
    save(catalog, "a")
    newest = save(catalog, "a", "b")
    without = save(catalog, "a", probe_id=None)
    assert found("p1") == newest
    assert found(None) == without
    assert found("p2") is None
    assert catalog.find_mixture("toys", "perception", "p1", digest({**CONFIG, "seed": 1})) is None


names = st.text(max_size=4)


@given(st.lists(names, unique=True), st.dictionaries(names, names), st.one_of(st.none(), names))
def test_the_digest_is_that_of_the_whole_choice(ids: list[str], drops: dict[str, str], probe_id: str | None) -> None:
    kept = [sample_id for sample_id in ids if sample_id not in drops]
    mixture = freeze_mixture("toys", 'a"b', probe_id, CONFIG, pl.Series(kept, dtype=pl.String), reasons(drops))
    whole = {"catalog": "toys", "name": 'a"b', "probe_id": probe_id, "config": CONFIG}
    assert mixture.digest == digest({**whole, "sample_ids": kept, "drops": drops})


def test_decisions_about_a_sample_name_each_mixture(catalog: Catalog) -> None:
    kept = save(catalog, "a")
    dropped = save(catalog, "b", a="over-limit")
    decided = [(one.mixture_id, one.decision, one.position, one.config) for one in catalog.decisions(id_of("a"))]
    assert decided == [(kept.mixture_id, "kept", 0, CONFIG), (dropped.mixture_id, "over-limit", None, CONFIG)]
    assert catalog.decisions(id_of("c")) == []
    assert catalog.decisions("made:7") == []


def test_an_empty_mixture_can_be_frozen(catalog: Catalog) -> None:
    saved = save(catalog, a="band-hard")
    assert catalog.mixture(saved.mixture_id).sample_ids == ()


def test_a_sample_is_in_a_mixture_once_and_never_both_kept_and_dropped(catalog: Catalog) -> None:
    for sample_ids, drops in [(("a", "a"), {}), (("a",), {"a": "unprobed"})]:
        with pytest.raises(DataError, match="twice"):
            save(catalog, *sample_ids, **drops)
    assert catalog.mixtures() == []


def test_an_unknown_mixture_names_the_next_command(catalog: Catalog) -> None:
    with pytest.raises(DataError, match="no mixture feed") as caught:
        catalog.mixture("feed")
    assert "pebr-data select" in str(caught.value.help)
