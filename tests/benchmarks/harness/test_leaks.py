"""Arms that know test rows are found out, and others are not accused; and what useless ones are called."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from burnish.benchmarks.harness import make_plan, run_plan, summarise
from burnish.benchmarks.harness.leaks import check_leaks, exchanged
from burnish.cli.main import app
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.options import EnhancerConfig
from burnish.enhancers.registry import register
from burnish.errors import DataError


class NoOptions(EnhancerConfig):
    """None."""


@register
class Peeker(Enhancer[NoOptions]):
    """Counts interactions in the whole file, test rows included, and shifts items' rows by that."""

    name = "peeker"
    Config = NoOptions

    def bind(self, anatomy: Any, dataset: Any) -> None:
        path = Path(dataset.config["data_path"]) / f"{dataset.config['dataset']}.inter"
        with path.open(encoding="utf-8") as file:
            rows = list(csv.reader(file, delimiter="\t"))[1:]
        pairs = torch.zeros(dataset.user_num, dataset.item_num)
        for user, item, *_ in rows:
            pairs[dataset.token2id("user_id", user), dataset.token2id("item_id", item)] = 1
        self.register_buffer("pairs", pairs)

    def weigh(self, batch: Any) -> torch.Tensor:
        own = self.pairs[batch["user_id"]].sum(1) + self.pairs[:, batch["item_id"]].sum(0)
        bias = (self.pairs[batch["user_id"]] * torch.arange(self.pairs.shape[1])).sum(1)
        weights = 1 + own + bias
        return weights / weights.mean()


@register
class Shaker(Enhancer[NoOptions]):
    """Weights of interactions that are drawn: of no use to anybody."""

    name = "shaker"
    Config = NoOptions

    def weigh(self, batch: Any) -> torch.Tensor:
        weights = 0.5 + torch.rand(len(batch), generator=torch.Generator().manual_seed(len(batch)))
        return weights / weights.mean()


def test_what_reads_test_rows_is_found_out(plan_content: dict[str, Any]) -> None:
    few = {"compress": {"teachers": {"ease": 1.0}, "ridge": 50.0, "ranks": 4}}
    hop = {"aggregate": {"hops": [1], "neighbour": [-1.0, 0.0], "own": [-1.0], "sides": "users"}}
    arms = {"peeker": "peeker", "shaker": "shaker", "few": few, "hop": hop}
    plan = make_plan({**plan_content, "arms": arms, "floors": ["softmax", "prior"]})
    found = {check.arm: check for check in check_leaks(plan)}
    assert found.pop("peeker").verdict == "LEAKS"
    assert {check.verdict for check in found.values()} == {"sees nothing"}
    assert set(found) == {"plain", "shaker", "few", "hop", "softmax", "prior"}
    assert "test rows have another item" in found["plain"].why
    assert not list(plan.runs.glob("**/metrics.json"))  # nothing of it is taken for a run


def test_a_useless_enhancer_is_reported_as_no_better(plan_content: dict[str, Any]) -> None:
    content = {**plan_content, "arms": {"shaker": "shaker"}, "seeds": 5}
    content["options"] = {**content["options"], "epochs": 2}
    run_plan(make_plan(content), quiet=True)
    rows = [row for row in summarise(content["runs"]) if row.metric == "ndcg@10"]
    assert [row.arm for row in rows] == ["shaker"]
    assert rows[0].difference != 0
    assert rows[0].direction == 0
    assert rows[0].verdict == "no clear difference"


def test_the_shell_says_it_and_exits_with_1(plan_content: dict[str, Any], tmp_path: Path) -> None:
    import yaml

    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump({**plan_content, "arms": {"peeker": "peeker"}}), encoding="utf-8")
    result = CliRunner().invoke(app, ["bench", str(file), "--check-leaks", "--quiet"])
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith("sees nothing  BPR / plain: the same to the last bit, where ")
    assert lines[1].startswith("LEAKS         BPR / peeker: what it trains is another model, where ")


def test_rows_change_places_and_nothing_else(data_path: Path, tmp_path: Path) -> None:
    source = data_path / "tiny" / "tiny.inter"
    head, *lines = source.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    tests = Counter((user, item) for user, item, time in rows if int(time) >= 9)
    config = {
        "field_separator": "\t",
        "USER_ID_FIELD": "user_id",
        "ITEM_ID_FIELD": "item_id",
        "benchmark_filename": None,
    }
    changed, of = exchanged(source, tmp_path / "other", config, tests, seed=3)
    assert of == 120
    assert changed > 60
    new_head, *new_lines = (tmp_path / "other").read_text(encoding="utf-8").splitlines()
    new = [line.split("\t") for line in new_lines]
    assert new_head == head
    assert [(user, time) for user, _, time in new] == [(user, time) for user, _, time in rows]
    different = [number for number, (one, other) in enumerate(zip(rows, new, strict=True)) if one != other]
    assert len(different) == changed
    assert all((rows[number][0], rows[number][1]) in tests for number in different)
    assert Counter(item for _, item, _ in new) == Counter(item for _, item, _ in rows)
    assert len({(user, item) for user, item, _ in new}) == len(rows)  # no pair twice
    assert list(dict.fromkeys(item for _, item, _ in new)) == list(dict.fromkeys(item for _, item, _ in rows))


def test_quoted_ids_change_places_as_others(tmp_path: Path) -> None:
    """Fifteen users with three items each, of which `a,b` and `say "c"` are quoted; the last of each user is tested."""
    file = tmp_path / "quoted.inter"
    names = ["a,b", 'say "c"', *"defghijklmnop"]
    rows = [[f"u{user}", names[(user + step) % 15]] for step in range(3) for user in range(15)]
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["user_id:token", "item_id:token"], *rows])
    config = {
        "field_separator": ",",
        "USER_ID_FIELD": "user_id",
        "ITEM_ID_FIELD": "item_id",
        "benchmark_filename": None,
    }
    tests = Counter((user, item) for user, item in rows[30:])
    moved = set()
    for seed in range(6):
        changed, _ = exchanged(file, tmp_path / "other", config, tests, seed=seed)
        with (tmp_path / "other").open(encoding="utf-8", newline="") as stream:
            _, *new = csv.reader(stream)
        assert new[:30] == rows[:30]
        different = [one for one, other in zip(new, rows, strict=True) if one != other]
        assert len(different) == changed
        assert Counter(item for _, item in new) == Counter(item for _, item in rows)
        moved |= {item for _, item in different}
    assert moved >= {"a,b", 'say "c"'}


def test_rows_that_cannot_change_places(tmp_path: Path) -> None:
    file = tmp_path / "one.inter"
    file.write_text("user_id:token\titem_id:token\nu\ti\nv\ti\n", encoding="utf-8")
    config = {
        "field_separator": "\t",
        "USER_ID_FIELD": "user_id",
        "ITEM_ID_FIELD": "item_id",
        "benchmark_filename": None,
    }
    with pytest.raises(DataError, match="no two test rows can exchange"):
        exchanged(file, tmp_path / "other", config, Counter({("u", "i"): 1, ("v", "i"): 1}), seed=1)
    assert not (tmp_path / "other").exists()
