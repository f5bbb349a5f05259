"""Values of a backbone that an objective trained: refined rows, its own scores, and noise in training only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from burnish.benchmarks.valuation.__main__ import main
from burnish.benchmarks.valuation.experiment import make_experiment, scorer_of, train, vectors_of
from burnish.benchmarks.valuation.judges import find_judges, train_backbone
from burnish.enhancers.conformance.data import NAME
from burnish.enhancers.conformance.presets import preset
from burnish.enhancers.conformance.world import prepare_folder

SOFTMAX = {"softmax": {"temperature": 0.25}}


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    torch.set_num_threads(1)
    prepare_folder(tmp_path)
    return {**preset("BPR"), "data_path": str(tmp_path)}


def test_scores_and_vectors_are_what_the_objective_compares(options: dict[str, Any]) -> None:
    experiment = make_experiment("BPR", NAME, options, enhancers=SOFTMAX, kind="uniform", share=0.2)
    assert experiment.config["enhancers"]["softmax"]["temperature"] == 0.25
    model = train(experiment, epochs=1, seed=0)
    users, items = vectors_of(experiment, model)
    assert users is not None
    for rows, table in (
        (users, model.enhancers.anatomy.of("user")[0]),
        (items, model.enhancers.anatomy.of("item")[0]),
    ):
        torch.testing.assert_close(rows[1:], F.normalize(table.raw().detach(), dim=1)[1:])
    u, i = torch.tensor([1, 2, 3]), torch.tensor([4, 5, 6])
    torch.testing.assert_close(scorer_of(experiment, model)(u, i), (users[u] * items[i]).sum(1) / 0.25)


def test_judges_see_the_backbone_that_was_trained_with_it(options: dict[str, Any]) -> None:
    values = {}
    for name, enhancers in (("plain", None), ("softmax", SOFTMAX)):
        experiment = make_experiment("BPR", NAME, options, enhancers=enhancers, kind="bots", share=0.2)
        trained = train_backbone(experiment, epochs=2, seed=1)
        assert len(trained.course.own) == 2
        for judge in find_judges(["loss", "pld", "loss_trajectory", "gradient_norm", "joint", "regression"]):
            values[judge.name, name] = judge.compute(trained)
            assert torch.isfinite(values[judge.name, name]).all()
    assert torch.equal(values["regression", "plain"], values["regression", "softmax"])  # needs no backbone
    for judge in ("loss", "pld", "loss_trajectory", "gradient_norm", "joint"):
        assert not torch.equal(values[judge, "plain"], values[judge, "softmax"]), judge


def test_the_command_trains_with_enhancers(
    options: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["detect", "--dataset", NAME, "--epochs", "1", "--width", "4", "--options", json.dumps(options)]
    common += ["--seeds", "1", "--kinds", "uniform", "--judges", "loss", "joint"]
    found = {}
    for name, more in (
        ("plain", []),
        ("names", ["--enhancers", "softmax"]),
        ("block", ["--enhancers", '{"softmax": {"temperature": 0.2}}']),
    ):
        file = tmp_path / f"{name}.jsonl"
        assert main([*common, *more, "--output", str(file)]) == 0
        found[name] = [json.loads(line)["auc"] for line in file.read_text().splitlines()]
    assert found["names"] == found["block"] != found["plain"]  # 0.2 is the default
    assert "BPR[softmax]" in capsys.readouterr().out
    assert main([*common, "--enhancers", "sofmax"]) == 1
    assert "softmax" in capsys.readouterr().err


def test_the_files_of_validation_and_test_do_not_matter(tmp_path: Path) -> None:
    """With splits from files: other validation and test files of the same size leave every value as it was.

    Pairs of these files are none that noise may be; they are exchanged among pairs that the noise did not draw.
    """
    folder = tmp_path / "parts"
    folder.mkdir()
    pairs = [(u, i) for u in range(30) for i in range(40) if (3 * u + i) % 5 in (0, 1)]
    parts = {"train": pairs[::2], "valid": pairs[1::4], "test": pairs[3::4]}

    def write(part: str, rows: list[tuple[int, int]]) -> None:
        lines = ["user_id:token\titem_id:token"] + [f"u{u}\ti{i}" for u, i in rows]
        (folder / f"parts.{part}.inter").write_text("\n".join(lines) + "\n")

    options = {
        **preset("BPR"),
        "data_path": str(tmp_path),
        "benchmark_filename": ["train", "valid", "test"],
        "load_col": {"inter": ["user_id", "item_id"]},
        "embedding_size": 8,
    }
    names = ["loss", "pld", "loss_trajectory", "similarity", "profile", "regression", "joint"]

    def values(kind: str | None) -> tuple[Any, dict[str, torch.Tensor]]:
        experiment = make_experiment(
            "BPR", "parts", options, enhancers="softmax", kind=kind, share=0.2, noise_seed=3
        )
        trained = train_backbone(experiment, epochs=2, seed=1)
        return experiment, {judge.name: judge.compute(trained) for judge in find_judges(names)}

    for part, rows in parts.items():
        write(part, rows)
    before = values(None)[1]
    # Other rows of the same users and items, in the same order of users, so that ids stay.
    moved = {part: [(u, (i + 12) % 40) for u, i in parts[part]] for part in ("valid", "test")}
    assert set(moved["test"]) != set(parts["test"])
    for part, rows in moved.items():
        write(part, rows)
    after = values(None)[1]
    for name in names:
        assert torch.equal(before[name], after[name]), name
    # And noise, whichever files are there, is none of theirs.
    for kind in ("uniform", "bots", "clickbait", "position", "popular"):
        experiment, _ = values(kind)
        whole = experiment.rest[0]
        tokens = [
            (str(whole.id2token("user_id", u)), str(whole.id2token("item_id", i)))
            for u, i in zip(
                experiment.users[experiment.is_noise], experiment.items[experiment.is_noise], strict=True
            )
        ]
        held = {(f"u{u}", f"i{i}") for rows in (*moved.values(), parts["train"]) for u, i in rows}
        assert not set(tokens) & held, kind
        assert len(set(tokens)) == len(tokens) == round(0.2 * len(parts["train"]))
