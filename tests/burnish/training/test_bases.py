"""Runs that begin from a trained plain backbone: trained once, kept, continued, checked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from guided_world import less_user_means, reduced_by_hand, write_world

import burnish
from burnish.benchmarks.harness.grid import run_plan
from burnish.benchmarks.harness.plan import make_plan
from burnish.enhancers.conformance.data import NAME
from burnish.enhancers.conformance.presets import preset
from burnish.errors import ConfigurationError, DataError, UnsupportedError
from burnish.training import stages
from burnish.training.load import load_run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_world(folder)
    return folder


def options(data: Path, model: str = "BPR", **more: Any) -> dict[str, Any]:
    own = {"epochs": 3, "stopping_step": 10, "data_path": str(data), "threads": 1, "learning_rate": 0.05}
    return {**preset(model), **own, **more}


def guided(data: Path, **more: Any) -> dict[str, Any]:
    return {"guided": {"scores": str(data / "scores.tsv"), "base": "auto", **more}}


def run(data: Path, folder: Path | None, *, model: str = "BPR", block: Any = None, **more: Any) -> Any:
    """`more`: RecBole's options, and `resume`."""
    resume = more.pop("resume", None)
    block = guided(data) if block is None else block
    return burnish.run(
        model,
        NAME,
        enhancers=block,
        config=options(data, model, **more),
        folder=folder,
        resume=resume,
        show_progress=False,
    )


class Fits:
    """Which models begin to train, in order; the scores of every user and item just before.  Interrupts if asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.models: list[str] = []
        self.scores: list[np.ndarray] = []
        self.tables: list[dict[str, torch.Tensor]] = []
        self.interrupt: tuple[str, int] | None = None
        inner_fit, inner_tell = stages.Run.fit, stages.Run._tell

        def fit(run: Any, state: Any = None) -> Any:
            self.models.append(type(run.model).__name__ + ("+" if hasattr(run.model, "enhancers") else ""))
            self.tables.append({name: v.clone() for name, v in run.model.state_dict().items()})
            self.scores.append(every_pair(run) if type(run.model).__name__.endswith("BPR") else np.zeros(0))
            return inner_fit(run, state)

        def tell(run: Any, epoch: Any) -> None:
            inner_tell(run, epoch)
            enhanced = "+" if hasattr(run.model, "enhancers") else ""
            if self.interrupt == (enhanced, epoch.number) and epoch.valid_score is None:
                raise KeyboardInterrupt

        monkeypatch.setattr(stages.Run, "fit", fit)
        monkeypatch.setattr(stages.Run, "_tell", tell)


def every_pair(run: Any) -> np.ndarray:
    from recbole.data.interaction import Interaction

    users = torch.arange(run.dataset.user_num)
    training = run.model.training
    with torch.no_grad():
        scores = run.model.eval().full_sort_predict(Interaction({"user_id": users}))
    run.model.train(training)
    return np.array(scores.view(len(users), -1).numpy())


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> Fits:
    return Fits(monkeypatch)


def same(one: Any, other: Any) -> None:
    assert one.losses == other.losses
    assert one.valid_result == other.valid_result
    assert one.test_result == other.test_result
    mine, theirs = one.model.state_dict(), other.model.state_dict()
    assert list(mine) == list(theirs)
    for name, value in mine.items():
        assert torch.equal(value, theirs[name]), name


def test_the_first_scores_are_those_of_the_reduced_base(fits: Fits, data: Path, tmp_path: Path) -> None:
    result = run(data, tmp_path / "out")
    assert [name.endswith("+") for name in fits.models] == [False, True]
    base = load_run(tmp_path / "out" / "base").model
    users = base.user_embedding.weight.detach().double().numpy()[1:]
    items = base.item_embedding.weight.detach().double().numpy()[1:]
    plain = run(data, tmp_path / "plain", block={})
    assert torch.equal(plain.model.item_embedding.weight, base.item_embedding.weight)  # the plain run itself
    began = fits.tables[1]
    g_users, g_items = (
        began[f"enhancers.attached.guided.{name}"].numpy()[1:] for name in ("start", "guided")
    )
    reduced = less_user_means(fits.scores[1][1:, 1:])
    assert np.allclose(reduced, reduced_by_hand(users, items, g_users, g_items), atol=1e-5)
    assert result.seconds["base"] > 0
    assert result.n_epochs == 3


def test_a_base_is_trained_once(fits: Fits, data: Path, tmp_path: Path) -> None:
    first = run(data, tmp_path / "out")
    kept = (tmp_path / "out" / "base" / "model.safetensors").stat().st_mtime_ns
    again = run(data, tmp_path / "out")
    assert [name.endswith("+") for name in fits.models] == [False, True, True]
    assert (tmp_path / "out" / "base" / "model.safetensors").stat().st_mtime_ns == kept
    same(first, again)
    # another control begins from the same base; other options from another one
    run(data, tmp_path / "out", block=guided(data, control="random"))
    assert [name.endswith("+") for name in fits.models][3:] == [True]
    run(data, tmp_path / "out", learning_rate=0.02)
    assert [name.endswith("+") for name in fits.models][4:] == [False, True]
    run(data, tmp_path / "out", learning_rate=0.02, show_progress=False, use_gpu=False)
    assert len(fits.models) == 7


def test_without_a_folder_nothing_is_kept(fits: Fits, data: Path, tmp_path: Path) -> None:
    before = {path for path in tmp_path.rglob("*") if "saved" not in path.parts}
    result = run(data, None, checkpoint_dir=str(tmp_path / "saved"))
    assert [name.endswith("+") for name in fits.models] == [False, True]
    assert {path for path in tmp_path.rglob("*") if "saved" not in path.parts} == before
    assert len(list((tmp_path / "saved").iterdir())) == 1
    same(result, run(data, tmp_path / "out"))


def test_an_interrupted_base_goes_on(fits: Fits, data: Path, tmp_path: Path) -> None:
    whole = run(data, tmp_path / "whole")
    fits.interrupt = ("", 2)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "out")
    fits.interrupt = None
    with pytest.raises(
        DataError, match="interrupted while its base was trained; give the same command again"
    ):
        burnish.run(resume=tmp_path / "out")
    told: list[int] = []
    result = burnish_train(data, tmp_path / "out", told)
    same(result, whole)
    assert told[0] == 2  # the epoch that was cut off, not the first


def burnish_train(data: Path, folder: Path, told: list[int]) -> Any:
    from burnish.training.train import train

    return train(
        "BPR",
        NAME,
        enhancers=guided(data),
        options=options(data),
        folder=folder,
        save_every=1,
        on_epoch=lambda epoch: told.append(epoch.number),
    )


@pytest.mark.parametrize("model", ["BPR", "SASRec"])
def test_resuming_is_bit_exact_and_needs_no_base(model: str, fits: Fits, data: Path, tmp_path: Path) -> None:
    whole = run(data, tmp_path / "whole", model=model)
    fits.interrupt = ("+", 2)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "out", model=model)
    fits.interrupt = None
    shutil.rmtree(tmp_path / "out" / "base")
    fits.models.clear()
    same(burnish.run(resume=tmp_path / "out", show_progress=False), whole)
    assert [name.endswith("+") for name in fits.models] == [True]


def test_resuming_before_the_first_epoch_uses_the_base_that_is_there(
    fits: Fits, data: Path, tmp_path: Path
) -> None:
    whole = run(data, tmp_path / "whole")
    fits.interrupt = ("+", 1)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "out")
    fits.interrupt = None
    fits.models.clear()
    same(burnish.run(resume=tmp_path / "out", show_progress=False), whole)
    assert [name.endswith("+") for name in fits.models] == [True]


def test_a_run_loads_without_its_base(data: Path, tmp_path: Path) -> None:
    result = run(data, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "base")
    loaded = load_run(tmp_path / "out")
    for name, value in result.model.state_dict().items():
        assert torch.equal(value, loaded.model.state_dict()[name]), name


# ------------------------------------------------------------------ the folder of a run


@pytest.fixture(scope="module")
def plain(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain run of BPR."""
    folder = tmp_path_factory.mktemp("plain")
    run(data, folder, block={})
    return folder


def test_a_folder_as_base_is_what_auto_trains(plain: Path, data: Path, tmp_path: Path) -> None:
    same(run(data, tmp_path / "one", block=guided(data, base=str(plain))), run(data, tmp_path / "two"))
    assert not (tmp_path / "one" / "base").exists()


def refused(error: type[Exception], match: str, data: Path, folder: Path, base: Path, **more: Any) -> None:
    with pytest.raises(error, match=match):
        run(data, folder, block=guided(data, base=str(base)), **more)
    assert not (folder / "run.json").exists()


def test_bases_that_do_not_fit_are_refused(plain: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused(ConfigurationError, "is a run of BPR, not of LightGCN", data, out, plain, model="LightGCN")
    refused(
        ConfigurationError,
        r"its '(user|item)_embedding\.weight' is \(\d+, 8\), and the backbone's is \(\d+, 16\)",
        data,
        out,
        plain,
        embedding_size=16,
    )
    enhanced = tmp_path / "enhanced"
    run(data, enhanced, block={"softmax": {}}, model="LightGCN")  # propagated rows of unit length
    refused(
        UnsupportedError,
        "is a run with enhancers: bake: enhancer 'softmax'",
        data,
        out,
        enhanced,
        model="LightGCN",
    )
    refused(DataError, r"is not the folder of a run", data, out, tmp_path / "nowhere")
    cut = Path(shutil.copytree(plain, tmp_path / "cut"))
    (cut / "model.safetensors").unlink()
    refused(DataError, r"holds no trained weights", data, out, cut)


def test_another_split_would_leak(plain: Path, data: Path, tmp_path: Path) -> None:
    """Its training rows may be this run's test rows."""
    leak = "trained on another split of 'conformance'.*same seed and eval_args"
    refused(DataError, leak, data, tmp_path / "out", plain, seed=7)
    half = {"split": {"RS": [0.5, 0.2, 0.3]}, "order": "RO", "group_by": "user", "mode": "full"}
    refused(DataError, leak, data, tmp_path / "out", plain, eval_args=half)
    thirds = {
        **half,
        "split": {"RS": [0.8, 0.15, 0.05]},
    }  # equal training rows; the epoch was chosen on others
    refused(DataError, leak, data, tmp_path / "out", plain, eval_args=thirds)
    note = json.loads((plain / "run.json").read_text())
    del note["data"]["training"]  # of a run that did not note its split
    old = Path(shutil.copytree(plain, tmp_path / "old"))
    (old / "run.json").write_text(json.dumps(note))
    refused(DataError, leak, data, tmp_path / "out", old)


def test_an_epoch_chosen_on_test_rows_would_leak(data: Path, tmp_path: Path) -> None:
    """Equal training rows, but rows that this run tests on were the base's validation rows."""
    own = {"split": {"RS": [0.6, 0.3, 0.1]}, "order": "RO", "group_by": None, "mode": "full"}
    run(data, tmp_path / "base", block={}, eval_args=own)
    out = tmp_path / "out"
    run(data, out, block=guided(data, base=str(tmp_path / "base")), eval_args=own)
    other = {**own, "split": {"RS": [0.6, 0.1, 0.3]}}
    leak = "trained on another split of 'conformance'.*same seed and eval_args"
    refused(DataError, leak, data, tmp_path / "other", tmp_path / "base", eval_args=other)
    parts = [
        json.loads((folder / "run.json").read_text())["data"]
        for folder in (tmp_path / "base", _run_of(data, tmp_path / "swapped", eval_args=other))
    ]
    assert parts[0]["training"] == parts[1]["training"]
    assert parts[0]["validation"] != parts[1]["validation"]


def _run_of(data: Path, folder: Path, **more: Any) -> Path:
    run(data, folder, block={}, **more)
    return folder


def test_other_data_are_refused(plain: Path, data: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(data, tmp_path / "other"))
    file = other / NAME / f"{NAME}.inter"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(DataError, match=r"other data than this run has: [0-9]+ interactions of .*, and not"):
        run(other, tmp_path / "out", block=guided(other, base=str(plain)))


def test_a_base_of_former_data_is_not_taken(fits: Fits, data: Path, tmp_path: Path) -> None:
    """The files changed under an equal name: the base that is kept is of the former ones, and is trained anew."""
    mine = Path(shutil.copytree(data, tmp_path / "mine"))
    run(mine, tmp_path / "out")
    file = mine / NAME / f"{NAME}.inter"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-1]) + "\n")
    fits.models.clear()
    with pytest.warns(
        UserWarning, match=r"the base, kept in .*out/base, was trained on other data.*trained anew"
    ):
        again = run(mine, tmp_path / "out")
    assert [name.endswith("+") for name in fits.models] == [False, True]
    same(again, run(mine, tmp_path / "from nothing"))
    fits.models.clear()
    run(mine, tmp_path / "out")
    assert [name.endswith("+") for name in fits.models] == [True]


def test_resuming_on_other_data_trains_nothing(fits: Fits, data: Path, tmp_path: Path) -> None:
    """Nothing is trained for a run that cannot go on."""
    mine = Path(shutil.copytree(data, tmp_path / "mine"))
    fits.interrupt = ("+", 1)
    with pytest.raises(KeyboardInterrupt):
        run(mine, tmp_path / "out")
    fits.interrupt = None
    fits.models.clear()
    file = mine / NAME / f"{NAME}.inter"
    file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(DataError, match="Put the former files back"):
        burnish.run(resume=tmp_path / "out", show_progress=False)
    assert fits.models == []


def test_enhancers_agree_on_one_base(data: Path, tmp_path: Path) -> None:
    from burnish.enhancers.guided.guided import Guided
    from burnish.training.asked_first import wish_of

    with pytest.raises(ConfigurationError, match="different bases"):
        wish_of([Guided(base="auto"), type("Other", (Guided,), {"name": "other"})(base="runs/1")])
    one, two = (Guided(base="auto", base_options={"learning_rate": rate}) for rate in (0.1, 0.2))
    with pytest.raises(ConfigurationError, match="different bases"):
        wish_of([one, two])
    assert wish_of([one, Guided()]) == ("auto", {"learning_rate": 0.1})
    assert wish_of([Guided(base="model"), Guided()]) == (None, {})


def test_a_base_has_options_of_its_own(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "out", block=guided(data, base_options={"learning_rate": 0.01, "epochs": 2}))
    of_base, of_run = (
        json.loads((tmp_path / "out" / folder / "run.json").read_text())["options"]
        for folder in ("base", ".")
    )
    assert (of_base["learning_rate"], of_base["epochs"]) == (0.01, 2)
    assert (of_run["learning_rate"], of_run["epochs"]) == (0.05, 3)
    # A seed is another split: the base would know what is tested on.
    with pytest.raises(ConfigurationError, match=r"guided: base_options\.seed: the base is trained on"):
        run(data, tmp_path / "other", block=guided(data, base_options={"seed": 7}))
    with pytest.raises(ConfigurationError, match="base_options are for a base that is trained first"):
        run(data, tmp_path / "none", block=guided(data, base=None, base_options={"epochs": 2}))


# ------------------------------------------------------------------ comparisons


def test_arms_with_equal_options_share_one_base(fits: Fits, data: Path, tmp_path: Path) -> None:
    content = {
        "dataset": NAME,
        "backbones": ["BPR"],
        "arms": {
            "guided": {"enhancers": guided(data)},
            "random": {"enhancers": guided(data, control="random")},
            "faster": {"enhancers": guided(data), "options": {"learning_rate": 0.1}},
        },
        "floors": [],
        "seeds": 1,
        "options": {key: v for key, v in options(data, epochs=1).items() if key not in ("threads", "seed")},
        "runs": str(tmp_path / "runs"),
        "threads": 1,
    }
    run_plan(make_plan(content), quiet=True)
    assert (
        sum(not name.endswith("+") for name in fits.models) == 2
    )  # two bases; one of them is the arm `plain`
    bases = list((tmp_path / "runs" / NAME / "BPR" / "bases").iterdir())
    assert len(bases) == 2
