"""`burnish models` and `burnish enhancers`."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import Field
from typer.testing import CliRunner

from burnish.cli.enhancers import option_table
from burnish.cli.main import app
from burnish.enhancers import registry
from burnish.enhancers.options import EnhancerConfig
from burnish.enhancers.zoo import NEEDS, find_backbone, list_backbones

runner = CliRunner()


def test_models_lists_every_backbone() -> None:
    shown = runner.invoke(app, ["models"])
    assert shown.exit_code == 0
    words = set(shown.stdout.replace(",", " ").replace("│", " ").split())
    assert set(list_backbones()) <= words
    assert {"general", "sequential", "context", "knowledge"} <= words


def test_models_of_one_category_one_a_line() -> None:
    shown = runner.invoke(app, ["models", "--category", "sequential", "--quiet"])
    names = shown.stdout.split()
    assert names == [name for name, category in list_backbones().items() if category == "sequential"]
    assert "SASRec" in names
    assert "BPR" not in names


def test_models_say_what_they_need() -> None:
    shown = runner.invoke(app, ["models", "-c", "reviews"], env={"COLUMNS": "200"})
    assert all(words in shown.stdout for words in ("DReX", "a file of", "reviews;"))
    assert "EMF" not in shown.stdout
    assert set(NEEDS) >= set(list_backbones().values())


def test_burnishs_own_models_are_listed_by_what_they_read() -> None:
    from burnish.backbones.review_model import ReviewModel

    own = {name: kind for name, kind in list_backbones().items() if kind in ("ratings", "reviews")}
    assert set(own) == {"DReX", "DReXMLP", "EMF", "DeepCoNN", "NARRE", "HRDR", "PESI"}
    for name, kind in own.items():
        assert issubclass(find_backbone(name), ReviewModel) == (kind == "reviews"), name


def test_unknown_category() -> None:
    shown = runner.invoke(app, ["models", "-c", "sequentail"])
    assert shown.exit_code == 2
    assert "Did you mean 'sequential'" in shown.stderr


def test_enhancers_shows_options_and_source() -> None:
    shown = runner.invoke(app, ["enhancers", "rvrec"])
    assert shown.exit_code == 0
    assert "rvrec (from burnish)" in shown.stdout
    row = next(line for line in shown.stdout.splitlines() if line.startswith("│ weight "))
    assert "float, >= 0" in row


def test_enhancers_quiet_gives_names() -> None:
    shown = runner.invoke(app, ["-q", "enhancers"])
    assert shown.stdout.split() == sorted(registry.list_enhancers())


def test_unknown_enhancer() -> None:
    shown = runner.invoke(app, ["enhancers", "rvrek"])
    assert shown.exit_code == 2
    assert "Did you mean 'rvrec'" in shown.stderr


def test_a_broken_plug_in_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> Any:
        raise ImportError("no module named frob")

    known = {"broken": registry.EnhancerInfo("broken", "their-package", load), **registry.list_enhancers()}
    monkeypatch.setattr(registry, "list_enhancers", lambda: known)
    shown = runner.invoke(app, ["enhancers"])
    assert shown.exit_code == 0
    assert "broken (from their-package)" in shown.stdout
    assert "cannot be loaded: ImportError: no module named frob" in shown.stdout
    assert "rvrec (from burnish)" in shown.stdout


def test_option_rows() -> None:
    class Config(EnhancerConfig):
        scores: str
        keys: int | None = Field(default=256, gt=1, le=9000, description="how many [keys]")
        side: Literal["user", "both"] = "both"
        wide: bool | None = None
        layers: list[int] = Field(default_factory=lambda: [64, 32])

    table: Any = option_table(Config.model_fields)
    rows = list(zip(*[list(column.cells) for column in table.columns], strict=True))
    assert rows[1] == ("scores", "required", "str", "")
    assert rows[2] == ("keys", "256", "int | null, > 1, <= 9000", "how many [keys]")
    assert rows[3] == ("side", "both", "user | both", "")
    assert rows[4] == ("wide", "null", "bool | null", "")
    assert rows[5] == ("layers", "[64, 32]", "list[int]", "")


def test_an_enhancer_without_a_docstring_is_listed() -> None:
    class Silent(registry.Enhancer):  # type: ignore[type-arg]
        name = "silent"

    with registry.registered([Silent]):
        shown = runner.invoke(app, ["enhancers"])
    assert shown.exit_code == 0, shown.output
    assert "silent" in shown.stdout
