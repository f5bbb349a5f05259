"""What floors are run with beside a backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from burnish.benchmarks.harness import make_plan
from burnish.benchmarks.harness.same_cases import comparable_options


def write_graph(folder: Path, columns: tuple[str, ...]) -> None:
    """Thirty users with five of twenty items, and a graph in which items are of one of three kinds."""
    own = folder / "wide"
    own.mkdir(parents=True)
    values = {"rating": "4", "timestamp": "1"}
    head = "\t".join(["user_id:token", "item_id:token", *(f"{name}:float" for name in columns)])
    rows = [
        "\t".join([f"u{user}", f"i{(user + 3 * step) % 20}", *(values[name] for name in columns)])
        for user in range(30)
        for step in range(5)
    ]
    graph = ["head_id:token\trelation_id:token\ttail_id:token", *(f"e{k}\tis\tt{k % 3}" for k in range(20))]
    link = ["item_id:token\tentity_id:token", *(f"i{k}\te{k}" for k in range(20))]
    for ending, lines in (("inter", [head, *rows]), ("kg", graph), ("link", link)):
        (own / f"wide.{ending}").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("columns", [(), ("rating",), ("rating", "timestamp")])
def test_columns_that_a_kind_of_backbones_reads_need_not_be_there(
    tmp_path: Path, columns: tuple[str, ...]
) -> None:
    """RecBole reads rating and timestamp for knowledge models, where there are such."""
    write_graph(tmp_path / "data", columns)
    options: dict[str, Any] = {"data_path": str(tmp_path / "data"), "epochs": 1}
    plan = make_plan(
        {
            "name": "graphs",
            "dataset": "wide",
            "backbones": ["CKE"],
            "arms": {},
            "floors": ["Pop"],
            "seeds": [1],
            "options": options,
            "runs": str(tmp_path / "runs"),
        },
        origin="",
    )
    found, _ = comparable_options(plan, plan.backbones[0])
    assert found["load_col"]["inter"] == ["user_id", "item_id", *columns]
    assert set(found["load_col"]) == {"inter", "kg", "link"}
