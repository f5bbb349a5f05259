"""Valuations: arithmetic, files, summaries, and shap's view of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from burnish.enhancers.shapley.valuation import Valuation
from burnish.errors import ConfigurationError, DataError, NonFiniteError, UnknownNameError


def players(n: int = 6) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user": [f"u{place // 3}" for place in range(n)],
            "item": [f"i{place % 4}" for place in range(n)],
            "row": np.arange(n) * 2,
            "title": [f"Title, {place % 4}" if place % 4 else None for place in range(n)],
        }
    )


def valuation(n: int = 6, seed: int = 0, **changes: object) -> Valuation:
    draw = torch.Generator().manual_seed(seed)
    given = {
        "values": torch.randn(n, 2, generator=draw, dtype=torch.float64),
        "standard_error": torch.rand(n, 2, generator=draw, dtype=torch.float64),
        "evaluations": 10 + seed,
        "seconds": 0.5,
        "converged": True,
        "outputs": ("accuracy", "tail"),
        "players": players(n),
    }
    return Valuation(**{**given, **changes})  # type: ignore[arg-type]


def test_sum_and_product() -> None:
    one, other = valuation(), valuation(seed=1, converged=False)
    both = one + other
    assert torch.equal(both.values, one.values + other.values)
    expected = np.sqrt(one.standard_error.numpy() ** 2 + other.standard_error.numpy() ** 2)
    np.testing.assert_allclose(both.standard_error.numpy(), expected, rtol=1e-12)
    assert (both.evaluations, both.seconds, both.converged) == (21, 1.0, False)
    scaled = -2 * one
    assert torch.equal(scaled.values, one.values * -2)
    assert torch.equal(scaled.standard_error, one.standard_error * 2)
    assert torch.equal((one * 3.0).values, one.values * 3)
    with pytest.raises(TypeError):
        one * "2"  # type: ignore[operator]
    with pytest.raises(TypeError):
        one + 1  # type: ignore[operator]


def test_sum_of_different_players_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must be the same"):
        valuation() + valuation(5)
    with pytest.raises(ConfigurationError, match="must be the same"):
        valuation() + valuation(outputs=("accuracy", "other"))
    moved = players().assign(user="u9")
    with pytest.raises(ConfigurationError, match="different interactions"):
        valuation() + valuation(players=moved)


def test_totals() -> None:
    one = valuation()
    values = one.values.numpy()
    np.testing.assert_allclose(one.total().numpy(), values[:, 0] + values[:, 1])
    np.testing.assert_allclose(one.total([0.5, 2]).numpy(), 0.5 * values[:, 0] + 2 * values[:, 1])
    np.testing.assert_allclose(one.total({"tail": 3}).numpy(), 3 * values[:, 1])
    with pytest.raises(ConfigurationError, match="one number for each"):
        one.total([1.0])
    with pytest.raises(UnknownNameError, match="Did you mean 'tail'"):
        one.total({"tails": 1.0})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"values": torch.zeros(6)}, r"\[n_players, 2\]"),
        ({"outputs": ("a",)}, r"\[n_players, 1\]"),
        ({"outputs": ("a", "a")}, "same name"),
        ({"standard_error": torch.zeros(6, 1)}, "must have the same"),
        ({"players": players(5)}, "5 rows for 6 players"),
    ],
)
def test_shapes_that_do_not_fit(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        valuation(**changes)


def test_a_value_that_is_no_number() -> None:
    values = torch.zeros(6, 2)
    values[4, 1] = torch.nan
    with pytest.raises(NonFiniteError, match="player 4 for output 'tail' is nan"):
        valuation(values=values)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_saved_and_loaded(tmp_path: Path, dtype: torch.dtype) -> None:
    one = valuation()
    errors = one.standard_error.to(dtype)
    errors[2, 0] = torch.nan
    one = valuation(values=one.values.to(dtype), standard_error=errors)
    path = one.save(tmp_path / "new" / "values.parquet")
    again = Valuation.load(path)
    assert torch.equal(again.values, one.values)
    assert again.values.dtype == dtype
    torch.testing.assert_close(again.standard_error, errors, rtol=0, atol=0, equal_nan=True)
    assert (again.evaluations, again.seconds, again.converged, again.outputs) == (
        10,
        0.5,
        True,
        one.outputs,
    )
    assert again.players is not None
    for name in ("user", "item", "row"):
        assert again.players[name].tolist() == players()[name].tolist()
    assert again.players["title"].isna().tolist() == players()["title"].isna().tolist()
    assert [file.name for file in path.parent.iterdir()] == ["values.parquet"]
    (one + again).save(path)  # the same interactions still
    without = valuation(players=None)
    assert Valuation.load(without.save(path)).players is None


def test_the_file_has_ranks_and_original_ids(tmp_path: Path) -> None:
    values = torch.tensor([[3.0], [5.0], [5.0], [1.0]])
    one = Valuation(values, torch.zeros(4, 1), 0, 0.0, True, ("v",), players(4))
    frame = pd.read_parquet(one.save(tmp_path / "v.parquet"))
    assert frame["rank.v"].tolist() == [3, 1, 1, 4]
    assert frame["value.v"].tolist() == [3.0, 5.0, 5.0, 1.0]
    assert frame["user"].tolist() == ["u0", "u0", "u0", "u1"]


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        Valuation.load(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="not a parquet file"):
        Valuation.load(tmp_path / "text.parquet")
    players().to_parquet(tmp_path / "other.parquet")
    with pytest.raises(DataError, match="does not hold a valuation"):
        Valuation.load(tmp_path / "other.parquet")
    table = pq.read_table(valuation().save(tmp_path / "v.parquet"))
    pq.write_table(table.drop_columns(["value.tail"]), tmp_path / "cut.parquet")
    with pytest.raises(DataError, match="does not hold a valuation"):
        Valuation.load(tmp_path / "cut.parquet")
    later = {b"burnish.valuation": b'{"format": 2}'}
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata(later), tmp_path / "later.parquet")
    with pytest.raises(DataError, match="later burnish"):
        Valuation.load(tmp_path / "later.parquet")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a folder"):
        valuation().save(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        valuation().save(tmp_path / "file" / "values.parquet")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "v.parquet"
    target.write_text("old")

    def full(table: pa.Table, path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(ConfigurationError, match="No space left"):
        valuation().save(target)
    assert target.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_summary_against_plain_counting() -> None:
    draw = np.random.default_rng(3)
    items = [f"i{item}" for item in draw.zipf(1.6, size=400) if item < 60]
    n = len(items)
    frame = pd.DataFrame({"user": [f"u{place % 17}" for place in range(n)], "item": items, "row": range(n)})
    values = torch.tensor(draw.normal(size=(n, 1)))
    most_valuable = Valuation(values, torch.zeros(n, 1), 0, 0.0, True, ("v",), frame).summary(top=3)
    numbers = values[:, 0].numpy()
    assert most_valuable.most["value"].tolist() == sorted(numbers, reverse=True)[:3]
    assert most_valuable.least["value"].tolist() == sorted(numbers)[:3]
    assert most_valuable.most["item"][0] == items[int(numbers.argmax())]
    assert most_valuable.users["interactions"].sum() == n
    mine = most_valuable.users.set_index("user").loc["u5"]
    expected = [value for place, value in enumerate(numbers) if place % 17 == 5]
    assert mine["mean"] == pytest.approx(np.mean(expected))
    assert mine["total"] == pytest.approx(np.sum(expected))
    assert most_valuable.users["mean"].is_monotonic_decreasing
    assert most_valuable.deciles["interactions"].sum() == n
    assert most_valuable.deciles["items"].sum() == len(set(items))
    filled = most_valuable.deciles[most_valuable.deciles["interactions"] > 0]
    assert (
        filled["popularity_to"].iloc[:-1].to_numpy() <= filled["popularity_from"].iloc[1:].to_numpy()
    ).all()
    average = (filled["mean"] * filled["interactions"]).sum() / n
    assert average == pytest.approx(numbers.mean())
    assert "least valuable interactions" in str(most_valuable)


def test_summary_of_an_output_and_of_the_sum() -> None:
    one = valuation()
    best = int(one.values[:, 1].argmax())
    most_valuable = one.summary(output="tail", top=1).most.iloc[0]
    assert most_valuable["value"] == one.values[best, 1]
    assert most_valuable["standard_error"] == one.standard_error[best, 1]
    summed = one.summary(top=1)
    assert summed.output is None
    assert summed.most["value"][0] == one.total().max()
    assert summed.most["standard_error"].isna().all()
    with pytest.raises(DataError, match="no user and item"):
        valuation(players=None).summary()
    with pytest.raises(ConfigurationError, match="whole number"):
        one.summary(top=0)


class TestShap:
    """What shap sees, and that its plots take it."""

    shap = pytest.importorskip("shap")

    def test_all_players(self) -> None:
        one = valuation()
        seen = one.to_shap()
        np.testing.assert_array_equal(seen.values, one.values.numpy())
        assert seen.feature_names == ["accuracy", "tail"]
        assert seen.base_values.tolist() == [0.0] * 6
        assert one.to_shap(base=range(6)).base_values.tolist() == list(range(6))

    def test_one_player_and_one_output(self) -> None:
        one = valuation()
        np.testing.assert_array_equal(one.to_shap(2).values, one.values[2].numpy())
        seen = one.to_shap(output="tail", base=0.25)
        np.testing.assert_array_equal(seen.values, one.values[:, 1].numpy())
        assert seen.base_values == 0.25
        assert seen.feature_names == ["i0", "Title, 1", "Title, 2", "Title, 3", "i0", "Title, 1"]

    def test_bad_views(self) -> None:
        with pytest.raises(ConfigurationError, match="give one of them"):
            valuation().to_shap(1, output="tail")
        with pytest.raises(ConfigurationError, match="6 players"):
            valuation().to_shap(6)
        with pytest.raises(ConfigurationError, match="one a player"):
            valuation().to_shap(base=[1.0, 2.0])
        with pytest.raises(ConfigurationError, match="data has the shape"):
            valuation().to_shap(data=np.zeros((6, 3)))

    @pytest.mark.parametrize("plot", ["bar", "beeswarm", "waterfall", "waterfall of players"])
    def test_plots(self, plot: str, tmp_path: Path) -> None:
        matplotlib = pytest.importorskip("matplotlib")
        matplotlib.use("Agg")
        import matplotlib.pyplot as plt

        one = valuation(60)
        plots = self.shap.plots
        if plot == "waterfall":
            plots.waterfall(one.to_shap(3), show=False)
        elif plot == "waterfall of players":
            plots.waterfall(one.to_shap(output="accuracy"), show=False)
        else:
            getattr(plots, plot)(one.to_shap(), show=False)
        words = {text.get_text() for text in plt.gcf().findobj(matplotlib.text.Text)}
        assert any("tail" in word or "Title" in word for word in words)
        plt.savefig(tmp_path / "plot.png")
        plt.close("all")
