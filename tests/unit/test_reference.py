"""The README's reference agrees with the code: every key with its default, every name in a dict."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from pebr_data import config, engine_options
from pebr_data.engines.base import ENGINES
from pebr_data.export.formats import FORMATS
from pebr_data.export.formats.trl import FEATURES
from pebr_data.prompts import TEMPLATES
from pebr_data.select.policies import POLICIES
from pebr_data.sources.base import SOURCES
from pebr_train import recipe
from pebr_train.rewards import REWARDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
TABLES: dict[str, type[BaseModel]] = {
    "The catalog": config.CatalogConfig,
    "A source of type `shapes`": config.ShapesSourceConfig,
    "A source of rows": config.RowSourceConfig,
    "A source of type `json` or `jsonl`": config.FileSourceConfig,
    "A source of type `parquet` or `arrow`": config.TableSourceConfig,
    "A source of type `webdataset`": config.WebDatasetSourceConfig,
    "A source of type `folder`": config.FolderSourceConfig,
    "A source of type `hub`": config.HubSourceConfig,
    "`fields` of a source of rows": config.FieldsConfig,
    "A condition of `keep_if`": config.RowCondition,
    "`probe`": config.ProbeConfig,
    "`perception` of a probe": config.PerceptionConfig,
    "Options of `transformers`": engine_options.TransformersOptions,
    "Options of `vllm`": engine_options.VllmOptions,
    "Options of `server`": engine_options.ServerOptions,
    "Options of `ray`": engine_options.RayOptions,
    "A mixture": config.MixtureConfig,
    "`where` of a mixture": config.WhereConfig,
    "`quotas` of a mixture": config.QuotasConfig,
    "`caps` of a mixture": config.CapsConfig,
    "The recipe": recipe.Recipe,
    "A stage of kind `sft`": recipe.SftStage,
    "A stage of kind `grpo`": recipe.GrpoStage,
    "`rewards` of such a stage": recipe.RewardConfig,
    "`reward_models`": recipe.RewardModels,
    "`evaluation`": recipe.EvaluationConfig,
}
EDGE_ONLY = {"path"}
"""Fields the loader fills in, which no YAML holds."""


def rows(title: str) -> dict[str, str]:
    """Key -> default of the table under a `### title`."""
    section = re.search(rf"^### {re.escape(title)}\n(.*?)(?=^##)", README, re.MULTILINE | re.DOTALL)
    assert section is not None, f"the README has no section `### {title}`"
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section[1], re.MULTILINE))


def shown(default: Any) -> str:
    """A default as the README shows it."""
    match default:
        case _ if default is PydanticUndefined:
            return "required"
        case None | () | BaseModel():
            return "–"
        case bool():
            return f"`{str(default).lower()}`"
        case Enum():
            return f"`{default.value}`"
        case _:
            return f"`{default}`"


@pytest.mark.parametrize("title", TABLES)
def test_every_yaml_key_is_documented_with_its_default(title: str) -> None:
    table = TABLES[title]
    shared = config.RowSourceConfig.model_fields if issubclass(table, config.RowSourceConfig) else {}
    elsewhere = EDGE_ONLY if table is config.RowSourceConfig else EDGE_ONLY | set(shared)
    fields = {field.alias or name: field for name, field in table.model_fields.items() if name not in elsewhere}
    expected = {
        name: "–" if field.default_factory is not None else shown(field.default) for name, field in fields.items()
    }
    assert rows(title) == expected


@pytest.mark.parametrize(
    "names", [SOURCES, ENGINES, TEMPLATES, POLICIES, FORMATS, REWARDS, FEATURES], ids=lambda names: " ".join(names)[:40]
)
def test_every_name_of_an_extension_point_is_documented(names: dict[str, object]) -> None:
    assert [name for name in names if f"`{name}`" not in README] == []


def test_the_excerpt_of_the_shapes_catalog_is_what_the_catalog_says() -> None:
    excerpt = re.search(r"```yaml\n(name: shapes\n.*?)```", README, re.DOTALL)
    assert excerpt is not None
    shown_catalog = yaml.safe_load(excerpt[1])
    catalog = yaml.safe_load((ROOT / "catalogs/shapes.yaml").read_text("utf-8"))
    assert shown_catalog["sources"] == catalog["sources"]
    assert shown_catalog["probe"] == catalog["probe"]
    assert shown_catalog["mixtures"].items() <= catalog["mixtures"].items()
