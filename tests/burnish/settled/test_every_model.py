"""Every backbone by its name alone, on a small cut of ml-100k: it trains and is tested, or refuses with a cure."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from cut_data import write_cut

import burnish
from burnish.enhancers.zoo import list_backbones
from burnish.errors import BurnishError, DataError, UnsupportedError
from burnish.training.record import read_run

#: Only how long and how large: what a model needs to run at all is for burnish to know.
SIZES: dict[str, Any] = {
    "epochs": 1,
    "train_batch_size": 256,
    "embedding_size": 8,
    "hidden_size": 8,
    "inner_size": 16,
    "n_layers": 2,
    "n_heads": 2,
    "mlp_hidden_size": [16],
    "MAX_ITEM_LIST_LENGTH": 6,
    "threads": 1,
}
SIZES_OF: dict[str, dict[str, Any]] = {
    "ConvNCF": {
        "embedding_size": 16,
        "cnn_channels": [1, 4, 4],
        "cnn_kernels": [4, 4],
        "cnn_strides": [4, 4],
    },
    "RaCT": {"pretrain_epochs": 1},
    "S3Rec": {"pretrain_epochs": 1},
}
_NO_REVIEWS = (DataError, r"has no reviews.*`burnish data` makes one; review_file: PATH names another")
#: Those that refuse on these data: the error, its reason and its cure.
REFUSED: dict[str, tuple[type[BurnishError], str]] = {
    "GRU4RecKG": (
        DataError,
        r"cut.ent does not exist, and GRU4RecKG reads vectors of entities.*put them there, as in",
    ),
    "KSR": (
        DataError,
        r"cut.ent does not exist, and KSR reads vectors of entities.*put them there, as in ent_id:token",
    ),
    **dict.fromkeys(("DReX", "DReXMLP", "DeepCoNN", "HRDR", "NARRE", "PESI"), _NO_REVIEWS),
}
if not (find_spec("xgboost") and find_spec("lightgbm")):
    cure = r"needs a package that is not installed.*pip install lightgbm xgboost"
    REFUSED |= dict.fromkeys(("XGBoost", "LightGBM"), (UnsupportedError, cure))
if not find_spec("faiss"):
    REFUSED["NCL"] = (UnsupportedError, r"faiss.*pip install faiss-cpu")


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cut")
    write_cut(folder)
    return folder


def test_all_are_there() -> None:
    of_recbole = {"general", "context", "sequential", "knowledge", "exlib"}
    assert len([one for one in list_backbones().values() if one in of_recbole]) == 94
    assert set(REFUSED) <= set(list_backbones())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(list_backbones()))
def test_runs_from_its_name(name: str, cut: Path, tmp_path: Path) -> None:
    options = {**SIZES, **SIZES_OF.get(name, {}), "data_path": str(cut)}
    if name in REFUSED:
        error, message = REFUSED[name]
        with pytest.raises(error, match=message):
            burnish.run(name, "cut", config=options, folder=tmp_path / "run", show_progress=False)
        return
    result = burnish.run(name, "cut", config=options, folder=tmp_path / "run", show_progress=False)
    assert result.n_epochs == 1 or name in ("Pop", "XGBoost", "LightGBM")
    assert result.test_result
    assert all(math.isfinite(value) for value in result.test_result.values())
    if name in ("XGBoost", "LightGBM"):
        return  # no weights that can be read again
    # What was settled is recorded as if it had been given, and so the run is read as it was made.
    saved = read_run(tmp_path / "run")
    again = burnish.load_run(tmp_path / "run")
    assert again.config.settled_options == {}
    assert set(saved.options) >= set(options) - {"data_path"}


def test_ml_100k_itself() -> None:
    """RecBole has files of defaults for it; every config is made, or refused for the same reasons."""
    from burnish.enhancers.zoo import find_backbone
    from burnish.training.request import make_config

    refused = {}
    for name in list_backbones():
        try:
            config = make_config(find_backbone(name), "ml-100k", {}, {})
        except BurnishError as error:
            refused[name] = str(error)
            continue
        settled = set(config.settled_options)
        assert settled <= {"train_neg_sample_args", "num_clusters"}, name
    # Models of reviews look for them when they are built.
    expected = {name for name in REFUSED if REFUSED[name] is not _NO_REVIEWS}
    assert set(refused) == expected
