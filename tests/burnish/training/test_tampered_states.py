"""The state of a run and the weights of a model set numbers that training changes, and nothing else."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from burnish.enhancers.conformance.data import NAME, write_data
from burnish.enhancers.conformance.presets import preset
from burnish.errors import DataError
from burnish.training.fitting import check_fits, check_name
from burnish.training.load import load_run
from burnish.training.state import saved_states
from burnish.training.train import resume, train

Tree = dict[str, Any]


class Payload:
    """Unpickling one makes a folder `EXECUTED` where the process is."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (os.mkdir, ("EXECUTED",))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    write_data(folder / "data")
    options = {**preset("LightGCN"), "data_path": str(folder / "data"), "threads": 1, "epochs": 2}
    train("LightGCN", NAME, options=options, enhancers="rvrec", folder=folder / "run", save_every=1)
    return folder / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A copy, unfinished, with a pickle where RecBole would look for one."""
    monkeypatch.chdir(tmp_path)
    folder = Path(shutil.copytree(trained, tmp_path / "run"))
    content = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**content, "finished": False}))
    (folder / "checkpoint.pth").write_bytes(pickle.dumps(Payload()))
    yield folder
    assert not Path("EXECUTED").exists()


def rewritten(path: Path, change: Callable[[Tree], None]) -> None:
    """Change the description in a file of tensors."""
    with safe_open(str(path), framework="pt") as file:
        tree = json.loads(file.metadata()["burnish"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(tree)
    save_file(tensors, str(path), metadata={"burnish": json.dumps(tree)})


def mapping(**values: Any) -> Tree:
    return {"$": "dict", "items": [[name, value] for name, value in values.items()]}


def put(*place: tuple[str, Any], value: Any = 1) -> Callable[[Tree], None]:
    entry = {"place": [list(step) for step in place], "value": value, "in_place": False}
    return lambda tree: tree["model"].append(entry)


CHANGES: dict[str, Callable[[Tree], None]] = {
    "run weights": lambda tree: tree["run"]["items"].append(["weights", None]),
    "run _goes_on": lambda tree: tree["run"]["items"].append(["_goes_on", False]),
    "run best_valid_score": lambda tree: tree["run"]["items"].append(["best_valid_score", 0.5]),
    "run keeper": lambda tree: tree["run"]["items"].append(["keeper", None]),
    "run trust": lambda tree: tree["run"]["items"].append(["trust", True]),
    "run losses": lambda tree: tree["run"]["items"].append(["losses", "many"]),
    "run seconds": lambda tree: tree["run"]["items"].append(["seconds", mapping(train="long")]),
    "run best_epoch": lambda tree: tree["run"]["items"].append(["best_epoch", "../x"]),
    **{
        f"trainer {name}": lambda tree, name=name: tree["trainer"].update({name: "thesis.txt"})  # type: ignore[misc]
        for name in (
            *("saved_model_file", "checkpoint_dir", "_save_checkpoint", "config", "model", "evaluator"),
            *("optimizer", "__class__", "valid_metric", "new", "best_valid_score", "best_valid_result"),
        )
    },
    "trainer fit": lambda tree: tree["trainer"].update({"fit": 1}),
    "trainer new": lambda tree: tree["trainer"].update({"new": 1}),
    "trainer epochs": lambda tree: tree["trainer"].update({"epochs": 10**9}),
    "helper model": lambda tree: tree["helpers"].append({"name": "model", "state": mapping()}),
    "helper same_as": lambda tree: tree["helpers"].append({"name": "optimizer", "same_as": "model"}),
    "helper rate": lambda tree: tree["helpers"][0]["state"]["items"].append(["param_groups", [mapping(lr="x")]]),
    "model forward": put(("a", "forward")),
    "model predict": put(("a", "predict"), value="x"),
    "model class": put(("a", "__class__")),
    "model hooks": put(("a", "_forward_hooks"), value=mapping(a=1)),
    "model config": put(("a", "config"), ("a", "final_config_dict"), ("k", "checkpoint_dir"), value="x"),
    "model device": put(("a", "device"), value="cuda"),
    "model n_layers": put(("a", "n_layers"), value="three"),
    "model parameter": put(("a", "_modules"), ("k", "user_embedding"), ("a", "_parameters"), ("k", "weight")),
    "model new parameter": put(("a", "_parameters"), ("k", "more")),
    "model nowhere": put(("a", "nowhere"), ("a", "at_all")),
    "options of enhancers": put(
        ("a", "_modules"), ("k", "enhancers"), ("a", "_modules"), ("k", "rvrec"), ("a", "config"), ("a", "weight"),
        value="x",
    ),
    "no epoch": lambda tree: tree.pop("epoch"),
    "another epoch": lambda tree: tree.update(epoch=-5),
    "random": lambda tree: tree.update(random=mapping(python=1)),
    "loaders": lambda tree: tree.update(loaders=[1]),
    "unknown kind": lambda tree: tree["trainer"].update(cur_step={"$": "code"}),
    "no kind": lambda tree: tree["trainer"].update(cur_step={}),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_tampered_state_is_refused(change: str, run: Path) -> None:
    Path("thesis.txt").write_text("my thesis")
    rewritten(next(saved_states(run))[1], CHANGES[change])
    with pytest.raises(DataError, match="state"):
        resume(run, options={"epochs": 3})
    assert Path("thesis.txt").read_text() == "my thesis"


def test_an_untouched_one_goes_on_and_its_pickle_is_not_read(run: Path) -> None:
    assert resume(run, options={"epochs": 3}).n_epochs == 3


OTHERS: dict[str, Any] = {
    "predict": 1,
    "forward": None,
    "config": mapping(a=1),
    "restore_user_e": "text",
    "load_state_dict": 1,
}


@pytest.mark.parametrize("name", OTHERS)
def test_weights_set_nothing_else(name: str, run: Path) -> None:
    rewritten(run / "model.safetensors", lambda tree: tree["others"].update({name: OTHERS[name]}))
    with pytest.raises(DataError, match=f"model.safetensors does not fit .*{name}"):
        load_run(run)


@pytest.mark.parametrize("part", ["state", "others", "facts"])
@pytest.mark.parametrize("value", [None, 1, [1], {"a": {"$": "tensor"}}, {"a": {"$": "tuple"}}])
def test_a_damaged_description_of_weights_is_named(part: str, value: Any, run: Path) -> None:
    if part == "facts" and isinstance(value, dict):
        pytest.skip("facts are read as they are")
    rewritten(run / "model.safetensors", lambda tree: tree.update({part: value}))
    with pytest.raises(DataError, match=r"model\.safetensors does not fit"):
        load_run(run)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (0, 3.5),
        (0, torch.zeros(2)),
        (None, {"a": 1}),
        (None, torch.zeros(1)),
        (torch.zeros(1), None),
        (np.zeros(2), torch.zeros(2)),
        ([1], [2, 3]),
        ({}, {"text": 1}),
    ],
)
def test_what_training_does_to_values_fits(before: Any, after: Any) -> None:
    check_fits("it", before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (1, "text"),
        (None, "text"),
        ("text", "text"),
        (None, {"a": ["text"]}),
        (None, np.array(["text"])),
        (print, 1),
        (..., None),
        ([print], [1]),
        ({"a": print}, {}),
        ([1], {"a": 1}),
    ],
    ids=str,
)
def test_what_it_never_does_is_refused(before: Any, after: Any) -> None:
    with pytest.raises(DataError, match=r"^it"):
        check_fits("it", before, after)


def test_names_of_code_are_refused() -> None:
    class Holder:
        seen = 0

        @property
        def shown(self) -> int:
            return 1

        def done(self) -> None:
            pass

    check_name("it", Holder(), "seen")
    for name in ("shown", "done", "__dict__", "_forward_hooks", 3):
        with pytest.raises(DataError, match=r"^it"):
            check_name("it", Holder(), name)
