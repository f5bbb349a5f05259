"""`export_embeddings`: the rows of the right tables, under the right ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from burnish.enhancers.conformance.data import NAME, write_data
from burnish.enhancers.conformance.presets import preset
from burnish.errors import ConfigurationError, UnknownNameError, UnsupportedError
from burnish.trained.export import export_embeddings, save_embeddings
from burnish.training.train import train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


def trained(model: str, data: Path, folder: Path | None = None, enhancers: Any = None) -> Any:
    options = {**preset(model), "data_path": str(data), "threads": 1, "epochs": 2}
    return train(model, NAME, options=options, enhancers=enhancers, folder=folder)


def test_a_plain_table_by_its_ids(data: Path, tmp_path: Path) -> None:
    result = trained("BPR", data, tmp_path / "run")
    embeddings = export_embeddings(tmp_path / "run", "user")
    assert sorted(embeddings.ids) == sorted(f"u{n}" for n in range(1, 41))
    row = list(embeddings.ids).index("u7")
    internal = int(result.dataset.token2id("user_id", np.array(["u7"]))[0])
    expected = result.model.user_embedding.weight[internal].detach().numpy()
    np.testing.assert_array_equal(embeddings.vectors[row], expected)
    assert embeddings.seen_in_training.all()


def test_rows_that_are_not_finite_are_told(data: Path) -> None:
    result = trained("BPR", data, enhancers={"rvrec": {}})
    with torch.no_grad():
        result.model.enhancers.anatomy.of("item")[0].raw()[3, 1] = float("nan")
    with pytest.warns(UserWarning, match=r"1 of \d+ rows of item_embedding\.weight are not finite"):
        export_embeddings(result, "item")


def test_refined_and_raw_of_an_enhanced_model(data: Path) -> None:
    result = trained("BPR", data, enhancers={"rvrec": {}})
    refined, raw = (export_embeddings(result, "item", kind) for kind in ("refined", "raw"))
    model = result.model
    stored = model.state_dict()["item_embedding.weight"]
    np.testing.assert_array_equal(raw.vectors, stored[1:].numpy())
    np.testing.assert_allclose(refined.vectors, model.item_embedding.weight[1:].detach().numpy(), rtol=1e-6)
    assert np.abs(refined.vectors - raw.vectors).max() > 0


def test_the_output_of_a_graph_backbone_gives_the_scores(data: Path) -> None:
    result = trained("LightGCN", data)
    users, items = (export_embeddings(result, side, "output") for side in ("user", "item"))
    from recbole.data.interaction import Interaction

    with torch.no_grad():
        scores = result.model.full_sort_predict(Interaction({"user_id": torch.arange(1, 41)})).view(40, -1)
    np.testing.assert_allclose(users.vectors @ items.vectors.T, scores[:, 1:].numpy(), rtol=1e-4, atol=1e-6)


def test_several_tables_and_wrong_names(data: Path) -> None:
    result = trained("NeuMF", data)
    first = export_embeddings(result, "item")
    assert first.table == "item_mf_embedding.weight"
    other = export_embeddings(result, "item", table="item_mlp_embedding.weight")
    np.testing.assert_array_equal(other.vectors, result.model.item_mlp_embedding.weight[1:].detach().numpy())
    with pytest.raises(
        UnknownNameError, match=r"Known: item_mf_embedding\.weight, item_mlp_embedding\.weight"
    ):
        export_embeddings(result, "item", table="item_embedding")
    with pytest.raises(UnsupportedError, match="take kind 'refined' or 'raw'"):
        export_embeddings(result, "item", "output")
    with pytest.raises(UnknownNameError, match="Did you mean 'item'"):
        export_embeddings(result, "items")  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="SASRec has no user embeddings; it has item tables"):
        export_embeddings(trained("SASRec", data), "user")


def test_formats_hold_the_same(data: Path, tmp_path: Path) -> None:
    embeddings = export_embeddings(trained("DeepFM", data), "item")
    assert embeddings.vectors.shape == (60, 8)
    for name in ("a.npz", "a.parquet", "a.csv"):
        save_embeddings(embeddings, tmp_path / "new" / name)
    with np.load(tmp_path / "new" / "a.npz", allow_pickle=False) as arrays:
        assert list(arrays["ids"]) == list(embeddings.ids)
        np.testing.assert_array_equal(arrays["vectors"], embeddings.vectors)
    for frame in (pd.read_parquet(tmp_path / "new" / "a.parquet"), pd.read_csv(tmp_path / "new" / "a.csv")):
        assert list(frame["id"]) == list(embeddings.ids)
        np.testing.assert_allclose(frame.filter(regex=r"^d\d+$").to_numpy(), embeddings.vectors, rtol=1e-6)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.csv", "a.npz", "a.parquet"]
    with pytest.raises(ConfigurationError, match=r"suffix '\.txt'"):
        save_embeddings(embeddings, tmp_path / "a.txt")
