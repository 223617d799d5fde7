from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from pebr_data.config import CatalogConfig, EngineName, FileSourceConfig, ShapesSourceConfig, load_catalog_config
from pebr_data.engines.base import ENGINES
from pebr_data.errors import ConfigError
from pebr_data.strict_yaml import FileModel, StrictModel, load_yaml
from pebr_data.types import Band, Condition

CATALOGS = Path(__file__).parents[2] / "catalogs"

SMALL = """\
name: small
sources:
  - {name: shapes, type: shapes, splits: {train: 4}}
"""


class Warmup(StrictModel):
    kind: Literal["warmup"]
    learning_rate: float = 1e-5
    frozen: tuple[str, ...] = ()


class Grpo(StrictModel):
    kind: Literal["grpo"]
    rewards: dict[str, float]
    num_generations: int = 8


class Recipe(FileModel):
    stages: list[Annotated[Warmup | Grpo, Field(discriminator="kind")]]
    output: Path = Path("runs")
    trl: dict[str, Any] = Field(default_factory=dict)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "file.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(tmp_path: Path, text: str, model: type[StrictModel] | None = None) -> list[str]:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_catalog_config(path) if model is None else load_yaml(path, model)
    assert caught.value.exit_code == 78
    assert caught.value.help
    return [problem.removeprefix(f"{path}:") for problem in caught.value.problems]


@pytest.mark.parametrize("path", sorted(CATALOGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_catalog_is_valid(path: Path) -> None:
    config = load_catalog_config(path)
    assert config.name == path.stem
    assert config.base_dir == CATALOGS
    assert set(config.mixtures) >= {"warmup", "perception", "reasoning"}


def test_the_defaults_of_the_probe_are_the_papers(tmp_path: Path) -> None:
    probe = load_catalog_config(written(tmp_path, SMALL)).probe
    assert (probe.temperature, probe.top_p, probe.max_completion_length, probe.rollouts) == (1.2, 0.99, 2048, 8)
    assert (probe.template, probe.condition, probe.max_pixels) == ("sections", Condition.IMAGE, 802_816)


def test_sources_are_told_apart_by_their_type(tmp_path: Path) -> None:
    text = SMALL + "  - {name: mine, type: jsonl, file: a/rows.jsonl, fields: {question: q}}\n"
    shapes, files = load_catalog_config(written(tmp_path, text)).sources
    assert isinstance(shapes, ShapesSourceConfig)
    assert isinstance(files, FileSourceConfig)
    assert files.file == Path("a/rows.jsonl")
    assert (files.fields.question, files.fields.answer) == ("q", "answer")


def test_bands_are_read_as_bands(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL + "mixtures: {warmup: {policy: pebr, band: hard}}\n")
    assert load_catalog_config(path).mixtures["warmup"].band is Band.HARD


@pytest.mark.parametrize(
    ("mixtures", "controls"),
    [
        ("{one: {policy: pebr, band: easy}, two: {policy: signal, limit: 5}}", {"one_control", "two_control"}),
        ("{one: {policy: pebr, band: easy, control: false}}", set()),
        ("{one: {policy: pebr, band: easy}, mine: {policy: random, match: one}}", set()),
        ("{one: {policy: pebr, band: easy, control: true}, mine: {policy: random, match: one}}", {"one_control"}),
        ("{one: {policy: all}}", set()),
    ],
)
def test_what_is_selected_has_a_control_unless_there_is_one_or_none_is_wanted(
    tmp_path: Path, mixtures: str, controls: set[str]
) -> None:
    config = load_catalog_config(written(tmp_path, SMALL + f"mixtures: {mixtures}\n"))
    assert config.controls == controls
    again = CatalogConfig.model_validate({**config.model_dump(mode="json"), "path": config.path})
    assert again.controls == controls


def test_the_digest_does_not_depend_on_where_the_file_lies(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    here, there = written(tmp_path, SMALL), written(tmp_path / "elsewhere", SMALL + "# a comment\n")
    assert load_catalog_config(here).digest() == load_catalog_config(there).digest()
    changed = written(tmp_path, SMALL.replace("train: 4", "train: 5"))
    assert load_catalog_config(changed).digest() != load_catalog_config(there).digest()


def test_all_mistakes_are_reported_at_once_by_line_with_the_nearest_right_key(tmp_path: Path) -> None:
    text = """\
name: 3
sources:
  - name: shapes
    type: shapes
    sed: 4
    splits: {train: "768", test: true}
  - {name: x, type: shape}
  - type: jsonl
    nmae: a
    file: a.json
    fields:
      quesiton: q
  - {name: z}
probes: {}
path: x
probe:
  top_p: 3
  condition: images
mixtures:
  a: {policy: pebr, band: esy}
  b: {policy: pebr}
"""
    assert problems(tmp_path, text) == [
        "1: `name`: expected text, got 3",
        "5: `sources[0].sed` is not a key here; did you mean `seed`?",
        "6: `sources[0].splits.test`: expected a whole number, got true",
        '6: `sources[0].splits.train`: expected a whole number, got "768"',
        "7: `sources[1].type`: expected 'shapes', 'json', 'jsonl', 'parquet', 'arrow', 'webdataset', 'folder', 'hub', "
        "got \"shape\"; did you mean 'shapes'?",
        "9: `sources[2].nmae` is not a key here; did you mean `name`?",
        "12: `sources[2].fields.quesiton` is not a key here; did you mean `question`?",
        "13: `sources[3].type`: this key is missing",
        "14: `probes` is not a key here; did you mean `probe`?",
        "15: `path` is not a key here; expected `name`, `sources`, `probe`, `mixtures`",
        "17: `probe.top_p`: expected a value less than or equal to 1, got 3",
        "18: `probe.condition`: expected 'image', 'blind' or 'described', got \"images\"; did you mean 'image'?",
        "20: `mixtures.a.band`: expected 'easy', 'medium' or 'hard', got \"esy\"; did you mean 'easy'?",
        "21: `mixtures.b`: the policy `pebr` needs a `band`: easy, medium or hard",
    ]


def test_names_must_be_unique_and_matches_must_exist(tmp_path: Path) -> None:
    text = SMALL + (
        "  - {name: shapes, type: shapes, splits: {test: 4}}\n"
        "mixtures:\n"
        "  warmup: {policy: pebr, band: hard}\n"
        "  control: {policy: random, match: warmpu}\n"
        "  again: {policy: random, match: control}\n"
    )
    assert problems(tmp_path, text) == [
        "4: another source is called `shapes` already",
        "7: there is no mixture `warmpu`; did you mean `warmup`?",
        "8: `control` must have the policy `pebr`, `signal` or `diagnosis` to be matched",
    ]


@pytest.mark.parametrize(
    ("mixture", "complaint"),
    [
        ("{policy: pebr, band: easy, match: a}", "`match` belongs to the policy `random`"),
        ("{policy: random, band: easy, limit: 3}", "`band` belongs to the policy `pebr`"),
        ("{policy: random}", "the policy `random` needs `match` (a mixture's name) or `limit` (a number)"),
    ],
)
def test_a_mixture_has_what_its_policy_needs(tmp_path: Path, mixture: str, complaint: str) -> None:
    assert problems(tmp_path, SMALL + f"mixtures:\n  a: {mixture}\n") == [f"5: `mixtures.a`: {complaint}"]


def test_keys_of_a_recipe_are_suggested_from_the_stage_of_that_kind(tmp_path: Path) -> None:
    text = """\
stages:
  - kind: warmup
    learning_rte: 1e-4
  - kind: grpo
    num_generation: 8
    rewards: {accuracy: high}
  - kind: grpo
trl: {anything: [1, {goes: here}]}
"""
    assert problems(tmp_path, text, Recipe) == [
        "3: `stages[0].learning_rte` is not a key here; did you mean `learning_rate`?",
        "5: `stages[1].num_generation` is not a key here; did you mean `num_generations`?",
        '6: `stages[1].rewards.accuracy`: expected a number, got "high"',
        "7: `stages[2].rewards` is missing",
    ]


def test_a_check_reports_with_the_line_of_its_location(tmp_path: Path) -> None:
    path = written(tmp_path, "stages:\n  - kind: warmup\ntrl:\n  beta: 1\n  gamma: 2\n")
    with pytest.raises(ConfigError) as caught:
        load_yaml(path, Recipe, check=lambda recipe: ((("trl", name), f"no {name}") for name in recipe.trl))
    assert caught.value.problems == (f"{path}:4: no beta", f"{path}:5: no gamma")


def test_scalars_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    trl = "{a: 1e-6, b: no, c: on, d: 2024-01-01, e: 0x10, f: 1:30, g: ~, h: True, i: 010, j: -.5, k: =}"
    assert load_yaml(written(tmp_path, f"stages: []\ntrl: {trl}\n"), Recipe).trl == {
        "a": 1e-6, "b": "no", "c": "on", "d": "2024-01-01", "e": 16, "f": "1:30",
        "g": None, "h": True, "i": 10, "j": -0.5, "k": "=",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: a\nname: b\nsources: []\n", "2: the key `name` is there twice (first on line 1)"),
        ("name: a\nsources:\n\t- x\n", "3: not YAML: while scanning for the next token found character"),
        ("name: [a\n", "2: not YAML: while parsing a flow sequence"),
        ("name: !!python/object:os.system x\n", "1: the tag 'tag:yaml.org,2002:python/object:os.system' is not"),
        ("name: &a x\n<<: *a\n", "2: merge keys (`<<`) are not supported"),
        ("name: a\n---\nname: b\n", "2: not YAML: expected a single document in the stream"),
        ("a: *unknown\n", "1: not YAML: found undefined alias"),
        ("1: a\n", "1: a key must be text, got 1"),
        ("- a\n", "1: expected a mapping of keys to values"),
        ("", "1: `name` is missing"),
        ("name: a\x00b\n", "1: not YAML"),
        ('name: "\\ud800"\n', "1: the text holds half of a surrogate pair"),
        ("a: &a [*a]\n", "1: not YAML: nested too deeply"),
        ("a: " + "[" * 5000, "1: "),
    ],
)
def test_broken_yaml_is_a_mistake_with_a_line(tmp_path: Path, text: str, expected: str) -> None:
    assert problems(tmp_path, text)[0].startswith(expected)


def test_a_bomb_of_aliases_is_refused_quickly(tmp_path: Path) -> None:
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    assert "too large once aliases are expanded" in problems(tmp_path, "a0: &a0 x\n" + levels)[0]


def test_a_missing_file_and_a_directory_are_config_errors(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.yaml", "there is no such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=reason) as caught:
            load_catalog_config(path)
        assert str(path) in str(caught.value)
        assert not caught.value.problems


def test_text_that_is_not_utf_8_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes(b"name: a\nsources: \xff\n")
    with pytest.raises(ConfigError) as caught:
        load_catalog_config(path)
    assert caught.value.problems == (f"{path}:2: the file is not UTF-8 text",)


@given(st.text(alphabet=st.sampled_from('abn:-[]{}"\n #&*!<>|%@`,?1.e~'), max_size=60))
def test_any_text_is_a_config_or_a_config_error(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            load_yaml(path, Recipe)
        except ConfigError as error:
            assert error.problems


def test_unknown_keys_and_repeated_ones_do_not_hide_what_names_do_not_exist(tmp_path: Path) -> None:
    text = "name: a\nname: b\nsources:\n  - {name: s, type: shapes, splits: {train: 4}}\n" + (
        "probe: {template: section, tmp: 1}\nmixtures:\n  a: {policy: random, match: b}\n"
    )
    said = problems(tmp_path, text)
    assert [line.split(":")[0] for line in said] == ["2", "5", "5", "7"]
    assert "5: there is no prompt template `section`; did you mean `sections`?" in said
    assert "7: there is no mixture `b`; there are: a" in said


def test_the_engines_a_catalog_may_name_are_those_there_are() -> None:
    assert get_args(EngineName) == tuple(ENGINES)
