"""The option `noise`: only training has it, it is new to its users, the same for all arms of a seed, part of a run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from burnish.benchmarks.harness import load_plan, run_plan, summarise
from burnish.benchmarks.harness.leaks import check_leaks
from burnish.benchmarks.harness.plan import make_plan
from burnish.benchmarks.harness.specs import spec_of
from burnish.cli.bench import find_plan
from burnish.enhancers.zoo import find_backbone
from burnish.errors import BurnishError, UnsupportedError
from burnish.noise.kinds import KINDS
from burnish.splits.noisy_training import as_option
from burnish.training.cases import case_digest_of
from burnish.training.load import load_run
from burnish.training.request import make_config
from burnish.training.train import train

Pair = tuple[int, int]


def parts_of(small: dict[str, Any], noise: Any, *, model: str = "BPR", seed: int = 1) -> list[Any]:
    from recbole.utils import init_seed

    from burnish.training.data import load_dataset

    config = make_config(find_backbone(model), "tiny", {}, {**small, "noise": noise, "seed": seed})
    init_seed(config["seed"], config["reproducibility"])
    return list(load_dataset(config).build())


def rows(part: Any) -> list[tuple[Any, ...]]:
    columns = (part.inter_feat[name].tolist() for name in ("user_id", "item_id", "timestamp"))
    return list(zip(*columns, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_only_training_has_it(small: dict[str, Any], kind: str) -> None:
    clean = parts_of(small, None)
    noisy = parts_of(small, {"share": 0.25, "kind": kind})
    for one, other in zip(clean[1:], noisy[1:], strict=True):
        assert rows(one) == rows(other)
    n = len(rows(clean[0]))
    assert rows(noisy[0])[:n] == rows(clean[0])
    added = rows(noisy[0])[n:]
    assert len(added) == round(0.25 * n)
    own: set[Pair] = {(user, item) for part in clean for user, item, _ in rows(part)}
    assert not own & {(user, item) for user, item, _ in added}
    assert all(item > 0 for _, item, _ in added)  # 0 is padding
    times = {(user, time) for user, _, time in rows(clean[0])}
    assert {(user, time) for user, _, time in added} <= times  # of the user's own training


def test_each_seed_has_its_own_unless_one_is_given(small: dict[str, Any]) -> None:
    def noise_of(of: int, **more: Any) -> Counter[Pair]:
        # The split is the same for all seeds.
        timed = {**small, "split": "time"}
        clean, noisy = (parts_of(timed, noise, seed=of)[0] for noise in (None, {"share": 0.2, **more}))
        return Counter((user, item) for user, item, _ in rows(noisy)[len(rows(clean)) :])

    assert noise_of(1) == noise_of(1)
    assert noise_of(1) != noise_of(2)
    assert noise_of(1, seed=7) == noise_of(2, seed=7)


def test_models_of_a_seed_have_the_same(small: dict[str, Any]) -> None:
    bpr, ease = (parts_of(small, 0.2, model=model) for model in ("BPR", "EASE"))
    assert sorted(rows(bpr[0])) == sorted(rows(ease[0]))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (0, "noise: share = 0: Input should be greater than 0"),
        (1.5, "noise: share = 1.5: Input should be less than or equal to 1"),
        (True, "noise = True: give a share"),
        ("much", "noise = 'much': give a share of the training interactions, such as 0.2"),
        ({"shar": 0.2}, "noise: setting 'shar' is not known. Did you mean 'share'?"),
        ({"share": 0.2, "kind": "popularity"}, "kind = 'popularity': Input should be 'uniform', 'popular',"),
        ({"kind": "popular"}, "noise: 'share' is missing"),
        ({"share": 0.2, "seed": -1}, "seed = -1"),
    ],
)
def test_what_is_refused(small: dict[str, Any], plan_content: dict[str, Any], value: Any, says: str) -> None:
    with pytest.raises(BurnishError) as error:
        as_option(value)
    assert says in str(error.value)
    with pytest.raises(BurnishError) as error:
        make_plan({**plan_content, "options": {**plan_content["options"], "noise": value}})
    assert says in str(error.value)


def test_models_of_histories_refuse_it(small: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="SASRec is trained on histories in the order of time"):
        make_config(find_backbone("SASRec"), "tiny", {}, {**small, "noise": 0.1})


def test_more_than_can_be_drawn(
    small: dict[str, Any], tmp_path: Path, write_interactions: Callable[..., None]
) -> None:
    full = [(f"u{user}", f"i{(user + item) % 10}", item) for user in range(10) for item in range(9)]
    write_interactions(tmp_path, "full", full)
    options = {**small, "data_path": str(tmp_path), "noise": 0.9}
    with pytest.raises(BurnishError, match=r"noise = \{'share': 0.9.*on 'full': .*lower the share"):
        train("BPR", "full", options=options, seed=1)


def test_less_than_one_is_told(small: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match=r"noise = .*0.0001.* is less than one, so there is no noise"):
        parts_of(small, 0.0001)


def test_a_run_with_noise_is_read_again_and_is_another_run(
    small: dict[str, Any], plan_content: dict[str, Any], tmp_path: Path
) -> None:
    result = train(
        "BPR", "tiny", options={**small, "epochs": 1, "noise": 0.2}, seed=1, folder=tmp_path / "run"
    )
    again = load_run(tmp_path / "run")
    assert rows(again.splits.training) == rows(result.splits.training)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["options"]["noise"] == as_option(0.2)
    specs = []
    for noise in (None, 0.2, {"share": 0.2, "kind": "uniform"}, {"share": 0.2, "seed": 3}, "none"):
        more = {} if noise is None else {"noise": None if noise == "none" else noise}
        options = plan_content["options"] | more
        plan = make_plan({**plan_content, "options": options})
        specs.append(spec_of(plan, plan.backbones[0], "plain", 1).digest)
    clean, share, written_out, other, null = specs
    assert share == written_out
    assert clean == null
    assert len({clean, share, other}) == 3


def test_a_plan_with_noise(plan_content: dict[str, Any]) -> None:
    """Floors have it, too; the report says so; clean and noisy runs are asked for the same test rows."""
    noisy = {"name": "tiny", "label": "noisy", "options": {"noise": {"share": 0.3, "kind": "popular"}}}
    content = {**plan_content, "datasets": ["tiny", noisy], "seeds": [1], "arms": {}}
    del content["dataset"]
    content["floors"] = {"Pop": None, "EASE": {"tune": {"reg_weight": [10.0]}}}
    records = run_plan(content, quiet=True)
    assert {one.status for one in records} == {"done"}
    remarks = " ".join(summarise(Path(content["runs"])).remarks)
    assert (
        "Noise in noisy: to the training interactions 30% were added that never happened, items drawn by their "
        "popularity; each seed has its own, all arms of a seed the same. Validation and test have none."
        in remarks
    )
    data: dict[str, Any] = {}
    for file in Path(content["runs"]).glob("*/*/*/1-*/metrics.json"):
        place = file.relative_to(content["runs"]).parts
        data[place[0], place[2]] = json.loads(file.read_text())
    assert len(data) == 6
    for part, kinds in (("training", 2), ("validation", 1), ("test", 1)):
        assert len({one["data"][part] for one in data.values()}) == kinds, part
    assert len({one["test_cases"] for one in data.values()}) == 1


def test_what_is_found_of_leaks_is_of_the_arm(plan_content: dict[str, Any]) -> None:
    """Noise avoids test rows: other test rows would give other noise, and any arm another model."""
    plan = make_plan({**plan_content, "arms": {}, "options": {**plan_content["options"], "noise": 0.5}})
    assert [one.verdict for one in check_leaks(plan)] == ["sees nothing"]


def test_noise_asks_the_same_cases(small: dict[str, Any]) -> None:
    clean, noisy = (
        case_digest_of("BPR", "tiny", {**small, "noise": noise, "seed": 1}) for noise in (None, 0.4)
    )
    assert clean == noisy


def test_the_ready_plan() -> None:
    plan = load_plan(find_plan("noise"))
    shares = {part.home: part.options["noise"]["share"] for part in plan.parts()}
    assert shares == {"noise-20": 0.2, "noise-50": 0.5}
    assert [*plan.arms] == [
        "plain",
        "softmax+average",
        "line",
        "clean",
        "clean-permuted",
        "shapley",
        "shapley-permuted",
    ]
