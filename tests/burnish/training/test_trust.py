"""Nothing that lies in a folder is executed: pickles of RecBole's, texts for `eval`, links."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import burnish
from burnish.enhancers.conformance.data import NAME, write_data
from burnish.enhancers.conformance.presets import preset
from burnish.errors import ConfigurationError, DataError, UnknownNameError


class Payload:
    """Unpickling one makes a folder `EXECUTED` where the process is."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (os.mkdir, ("EXECUTED",))


def evil(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(Payload()))
    return path


@pytest.fixture(autouse=True)
def _nothing_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    yield
    assert not Path("EXECUTED").exists()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, and a finished run of BPR in `run`."""
    folder = tmp_path_factory.mktemp("world")
    write_data(folder / "data")
    train("BPR", folder, folder / "run")
    return folder


def train(model: str, world: Path, folder: Path | None, **more: Any) -> Any:
    options = {**preset(model), "data_path": str(world / "data"), "threads": 1, "epochs": 1}
    trust = more.pop("trust", False)
    return burnish.run(
        model, NAME, config={**options, **more}, folder=folder, show_progress=False, trust=trust
    )


@pytest.fixture
def run(world: Path, tmp_path: Path) -> Path:
    return shutil.copytree(world / "run", tmp_path / "run")


def edit(run: Path, **options: Any) -> None:
    file = run / "run.json"
    content = json.loads(file.read_text())
    content["options"].update(options)
    content["config"].update(options)
    file.write_text(json.dumps(content))


VERBS = {
    "load_run": lambda run: burnish.load_run(run),
    "recommend": lambda run: burnish.recommend(run, ["u1"], k=1),
    "export": lambda run: burnish.export_embeddings(run, "item"),
    "resume": lambda run: burnish.run(resume=run, config={"epochs": 2}, show_progress=False),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("option", ["dataset_save_path", "dataloaders_save_path"])
def test_pickles_that_run_json_names(verb: str, option: str, run: Path) -> None:
    edit(run, **{option: str(evil(run / "x.pth"))})
    with pytest.raises(ConfigurationError, match=f"{option} = .*pickles.*leave {option} out"):
        VERBS[verb](run)


@pytest.mark.parametrize("verb", VERBS)
def test_pickles_that_lie_where_recbole_looks(verb: str, run: Path) -> None:
    for folder in (run, Path("saved")):
        evil(folder / f"{NAME}-Dataset.pth")
        evil(folder / f"{NAME}-for-BPR-dataloader.pth")
    VERBS[verb](run)


@pytest.mark.parametrize("option", ["save_dataset", "save_dataloaders", "dataset_save_path"])
def test_saved_data_are_refused_in_every_run(option: str, world: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"^{option} = "):
        train("BPR", world, Path("new"), **{option: True})


def test_a_checkpoint_does_not_stand_in_for_missing_weights(run: Path) -> None:
    (run / "model.safetensors").unlink()
    evil(run / "checkpoint.pth")
    content = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**content, "finished": False}))
    with pytest.raises(DataError, match=r"model\.safetensors is missing"):
        burnish.run(resume=run, show_progress=False)


PRETRAINED = {
    "NeuMF": {"use_pretrain": True, "mf_pretrain_path": "x.pth", "mlp_pretrain_path": "x.pth"},
    "ConvNCF": {"train_method": "after_pretrain", "pre_model_path": "x.pth"},
    "NAIS": {"pretrain_path": "x.pth"},
    "RaCT": {"train_stage": "critic_pretrain", "pre_model_path": "x.pth"},
    "S3Rec": {"train_stage": "finetune", "pre_model_path": "x.pth"},
    "KD_DAGFM": {"phase": "distillation", "warm_up": "x.pth"},
}


@pytest.mark.parametrize("model", PRETRAINED)
def test_pretrained_models_ask_for_trust(model: str, world: Path) -> None:
    evil(Path("x.pth"))
    with pytest.raises(
        ConfigurationError, match=r"_path = 'x\.pth': .*--trust|warm_up = 'x\.pth': .*--trust"
    ):
        train(model, world, None, **PRETRAINED[model])


def test_trust_says_what_it_executes_and_reads_it(world: Path, tmp_path: Path) -> None:
    """A pickle of RecBole's own is read with trust; before that, the message says that its code runs."""
    stages = {"epochs": 1, "pretrain_epochs": 1, "save_step": 1}
    first = train("S3Rec", world, tmp_path / "first", train_stage="pretrain", **stages)
    named = {"train_stage": "finetune", "pre_model_path": str(first.checkpoint)}
    with pytest.raises(ConfigurationError, match="--trust"):
        train("S3Rec", world, None, **named)
    with pytest.warns(UserWarning, match="is a pickle: whatever code it holds is executed now"):
        train("S3Rec", world, None, trust=True, **named)


def test_arrays_are_numbers(world: Path) -> None:
    """LDiffRec reads item_emb.npy, and RecBole lets it hold Python objects."""
    folder = world / "data" / NAME
    np.save(folder / "item_emb.npy", np.array([Payload()], dtype=object), allow_pickle=True)
    try:
        with pytest.raises(DataError, match=r"item_emb\.npy holds Python objects"):
            train("LDiffRec", world, None, n_cate=2, trust=True)
    finally:
        (folder / "item_emb.npy").unlink()


def test_no_option_is_evaluated(world: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"teacher .* is not known.*CrossNet"):
        train("KD_DAGFM", world, None, teacher="__import__('os').mkdir('EXECUTED') or CrossNet")
    with contextlib.suppress(Exception):  # it is refused elsewhere; here it must only not run
        train("BPR", world, None, embedding_size="__import__('os').mkdir('EXECUTED')")


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir [EXECUTED]", "!!python/name:os.mkdir"])
def test_config_files_hold_values_only(tag: str, world: Path) -> None:
    Path("c.yaml").write_text(f"embedding_size: {tag}\n")
    with pytest.raises(ConfigurationError, match=r"c\.yaml"):
        burnish.run("BPR", NAME, config_files=["c.yaml"], config={"data_path": str(world / "data")})


@pytest.mark.parametrize("name", ["checkpoint.pth", "log.txt"])
@pytest.mark.parametrize("how", ["new", "resume"])
def test_hard_links_are_not_written_through(name: str, how: str, run: Path, world: Path) -> None:
    outside = Path("outside")
    outside.write_bytes(b"my thesis")
    (run / name).unlink(missing_ok=True)
    (run / name).hardlink_to(outside)
    verbs = {
        "new": lambda: train("BPR", world, run),
        "resume": lambda: burnish.run(resume=run, config={"epochs": 3}, show_progress=False),
    }
    with pytest.raises(DataError, match=rf"{name} is another name of a file .*\(a hard link\)"):
        verbs[how]()
    assert outside.read_bytes() == b"my thesis"


def test_a_folder_of_states_that_is_a_link_is_left_alone(run: Path, world: Path) -> None:
    """A killed process of number 999999999 might have left such a file; it lies in somebody else's folder."""
    other = Path("other")
    other.mkdir()
    (other / ".notes.999999999").write_text("my thesis")
    shutil.rmtree(run / "resume", ignore_errors=True)
    (run / "resume").symlink_to(other.resolve())
    with pytest.raises(DataError, match="resume is a link to"):
        train("BPR", world, run)
    assert (other / ".notes.999999999").read_text() == "my thesis"


@pytest.mark.parametrize("name", ["checkpoint.pth", "log.txt", "run.json", "resume/epoch-00001.safetensors"])
@pytest.mark.parametrize("how", ["new", "resume"])
def test_links_are_not_written_through(name: str, how: str, run: Path, world: Path) -> None:
    outside = Path("outside")
    outside.write_bytes((run / name).read_bytes() if (run / name).is_file() else b"mine")
    before = outside.read_bytes()
    (run / name).unlink(missing_ok=True)
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).symlink_to(outside.resolve())
    verbs = {
        "new": lambda: train("BPR", world, run),
        "resume": lambda: burnish.run(resume=run, config={"epochs": 3}, show_progress=False),
    }
    with pytest.raises(
        DataError, match=f"{Path(name).name} is a link to .*, and a run would write through it"
    ):
        verbs[how]()
    assert outside.read_bytes() == before
