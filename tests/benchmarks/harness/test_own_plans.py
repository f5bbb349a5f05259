"""Plans with classes of one's own: names, labels, and runs that know the source they were made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from own_world import SHARPER, TOWER, imports_as_before, write_own
from recbole.model.general_recommender import BPR

import burnish
from burnish.benchmarks.harness import Plan, RunRecord, load_plan, make_plan, run_plan, summarise
from burnish.benchmarks.harness.notes import read_note
from burnish.benchmarks.harness.specs import spec_of
from burnish.errors import BurnishError, ConfigurationError
from burnish.training.first import FirstRequest


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    write_own(tmp_path)
    monkeypatch.chdir(tmp_path)
    with imports_as_before():
        yield tmp_path


def plan(**changed: Any) -> Plan:
    base = {"dataset": "tiny", "backbones": ["mine.py:Tower"], "seeds": 1, "floors": []}
    return make_plan({**base, **changed})


def test_ways_to_name_a_backbone() -> None:
    from burnish.enhancers.zoo import find_backbone

    cls = find_backbone("mine.py:Tower")
    for backbones in (
        ["mine.py:Tower"],
        ["mine:Tower"],
        [cls],
        [{"name": cls}],
        {"Tower": cls},
        {"name": "mine.py:Tower"},
    ):
        (entry,) = plan(backbones=backbones).backbones
        assert (entry.name, entry.label) == ("mine:Tower", "Tower"), backbones
    entries = plan(backbones={"a": cls, "b": {"name": BPR, "seeds": 2}, "c": "LightGCN"}).backbones
    assert [(one.name, one.label) for one in entries] == [
        ("mine:Tower", "a"),
        ("BPR", "b"),
        ("LightGCN", "c"),
    ]
    assert entries[1].seeds == [2020, 2021]


def test_equal_labels_and_enhanced_classes_are_refused(here: Path) -> None:
    write_own(here / "other")
    with pytest.raises(
        ConfigurationError, match=r"two backbones have the label 'Tower'; give one of them another"
    ):
        plan(backbones=["mine.py:Tower", "other/mine.py:Tower"])
    assert plan(backbones=["mine.py:Tower", {"name": "other/mine.py:Tower", "label": "other"}])
    with pytest.raises(ConfigurationError, match="has enhancers attached; name the plain class here"):
        plan(backbones=[burnish.enhance("mine.py:Tower", "rvrec")])

    class Local(BPR):  # type: ignore[misc]
        pass

    with pytest.raises(ConfigurationError, match="top level of a module"):
        plan(backbones=[Local])


def test_ways_to_name_an_enhancer() -> None:
    from burnish.enhancers.registry import find_enhancer

    cls = find_enhancer("sharp.py:Sharper")
    arms = {
        "text": "sharp.py:Sharper",
        "list": ["sharp.py:Sharper", "rvrec"],
        "class": [cls],
        "made": [cls(power=2.0)],
        "block": {"sharp.py:Sharper": {"power": 2.0}},
        "by class": {cls: {"power": 2.0}},
        "long": {"enhancers": {"sharp:Sharper": None}, "options": {"epochs": 3}},
    }
    made = {
        label: arm.enhancers
        for label, arm in plan(arms={k.replace(" ", "-"): v for k, v in arms.items()}).arms.items()
    }
    assert made["text"] == made["class"] == made["long"] == {"sharper": {}}
    assert made["list"] == {"sharper": {}, "rvrec": {}}
    assert made["made"] == made["block"] == made["by-class"] == {"sharper": {"power": 2.0}}
    tuned = plan(arms={"a": "sharp.py:Sharper"}, tune={"trials": 2, "space": {"sharper.power": [1.0, 2.0]}})
    assert tuned.tune is not None


def test_a_file_is_told(here: Path) -> None:
    (here / "plan.yaml").write_text(
        "dataset: tiny\nbackbones: [mine.py:Tower]\narms: {a: {sharp.py:Sharper: {power: 2.0}}}\nseeds: 1\n"
    )
    with pytest.warns(UserWarning, match="its code is run") as told:
        made = load_plan("plan.yaml")
    assert [str(one.message) for one in told] == [
        "plan.yaml names mine.py:Tower: its code is run",
        "plan.yaml names sharp.py:Sharper: its code is run",
    ]
    assert made.arms["a"].enhancers == {"sharper": {"power": 2.0}}
    (here / "plan.yaml").write_text("dataset: tiny\nbackbones: [mine.py:Towr]\n")
    with pytest.raises(BurnishError, match=r"^plan\.yaml: .*'Towr' is not known. Did you mean 'Tower'"):
        load_plan("plan.yaml")


def digests(**sources: str) -> list[str]:
    """Of the plain run, of that with the enhancer, of one that others follow, and of BPR, from these sources."""
    for name, text in sources.items():
        Path(f"{name}.py").write_text(text)
    with imports_as_before():
        made = plan(backbones=["mine.py:Tower", "BPR"], arms={"a": "sharp.py:Sharper"})
        tower, bpr = made.backbones
        from burnish.enhancers.zoo import find_backbone

        base = FirstRequest(find_backbone("mine.py:Tower"), "tiny", (), {}).digest()
        taught = FirstRequest(burnish.enhance(BPR, "sharp.py:Sharper"), "tiny", (), {}).digest()
        specs = [
            spec_of(made, tower, "plain", 1),
            spec_of(made, tower, "a", 1),
            spec_of(made, bpr, "plain", 1),
        ]
        return [base, taught, *(spec.digest for spec in specs)]


def changed(before: list[str], after: list[str]) -> list[bool]:
    return [one != other for one, other in zip(before, after, strict=True)]


def test_runs_are_known_by_their_source() -> None:
    before = digests()
    assert changed(before, digests()) == [False] * 5
    of_model = digests(mine=f"{TOWER}# changed\n")
    assert changed(before, of_model) == [True, False, True, True, False]
    of_enhancer = digests(mine=TOWER, sharp=f"{SHARPER}# changed\n")
    assert changed(before, of_enhancer) == [False, True, False, True, False]


@pytest.fixture
def compared(plan_content: dict[str, Any]) -> Callable[..., list[RunRecord]]:
    """Runs the plan in a new process, so to say."""

    def run(**more: Any) -> list[RunRecord]:
        content = {**plan_content, "backbones": ["mine.py:Tower"], "seeds": 1, "runs": "runs", **more}
        with imports_as_before():
            return run_plan(make_plan(content), quiet=True)

    return run


def test_an_edit_between_two_calls(compared: Callable[..., list[RunRecord]]) -> None:
    arms = {"sharp": "sharp.py:Sharper", "faster": {"options": {"learning_rate": 0.01}}}

    def statuses(**more: Any) -> dict[str, str]:
        return {one.arm: one.error or one.status for one in compared(**more)}

    assert statuses(arms=arms) == dict.fromkeys(["plain", *arms], "done")
    assert statuses(arms=arms) == dict.fromkeys(["plain", *arms], "kept")
    Path("sharp.py").write_text(SHARPER.replace("self.config.power", "2 * self.config.power"))
    assert statuses(arms=arms) == {"plain": "kept", "sharp": "done", "faster": "kept"}
    Path("mine.py").write_text(TOWER.replace("softplus(-better)", "softplus(-2 * better)"))
    assert statuses(arms={"sharp": arms["sharp"]}) == {"plain": "done", "sharp": "done"}
    (note,) = Path("runs/tiny/Tower").glob("comparison-*.json")
    assert set(read_note(note)["arms"]) == {"plain", "sharp"}, (
        "the arm of the former source is no pair of these"
    )


def test_ways_to_name_a_floor(here: Path) -> None:
    from burnish.enhancers.zoo import find_backbone

    cls = find_backbone("mine.py:Tower")
    for floors in (
        "mine.py:Tower",
        ["mine:Tower"],
        [cls],
        cls,
        {"mine.py:Tower": None},
        {cls: {"options": {}}},
    ):
        assert list(plan(backbones=["BPR"], floors=floors).floors) == ["mine:Tower"], floors
    assert list(plan(backbones=["BPR"], floors=["Pop", cls]).floors) == ["Pop", "mine:Tower"]
    write_own(here / "other")
    with pytest.raises(ConfigurationError, match="would be called Tower, as another floor is"):
        plan(backbones=["BPR"], floors=["mine.py:Tower", "other/mine.py:Tower"])
    with pytest.raises(ConfigurationError, match="Tower is the plan's backbone"):
        plan(floors=["mine.py:Tower"])
    with pytest.raises(BurnishError, match=r"'Towr' is not known\. Did you mean 'Tower'"):
        plan(backbones=["BPR"], floors=["mine.py:Towr"])
    with pytest.raises(ConfigurationError, match="has enhancers attached"):
        plan(backbones=["BPR"], floors=[burnish.enhance(cls, "rvrec")])
    with pytest.raises(BurnishError, match="is an enhancer, not a backbone"):
        plan(backbones=["BPR"], floors=["sharp.py:Sharper"])


def test_ways_to_name_a_teacher() -> None:
    from burnish.enhancers.zoo import find_backbone

    cls = find_backbone("mine.py:Tower")
    made = plan(
        backbones=["BPR"],
        arms={
            "text": {"distil": {"teachers": "mine.py:Tower"}},
            "several": {"distil": {"teachers": ["ease", "mine.py:Tower+softmax"]}},
            "class": {"distil": {"teachers": {cls: 1.0}, "teacher_options": {cls: {"epochs": 3}}}},
            "compress": {"compress": {"teachers": {"mine:Tower": [1, 2], "ease": None}}},
        },
        tune={"trials": 2, "arms": {"text": {"distil.teachers": [[cls], {cls: 1, "ease": 1}]}}},
    )
    assert made.arms["class"].enhancers["distil"] == {
        "teachers": {"mine:Tower": 1.0},
        "teacher_options": {"mine:Tower": {"epochs": 3}},
    }
    assert made.tune is not None
    assert made.tune.arms["text"]["distil.teachers"] == [["mine:Tower"], {"mine:Tower": 1, "ease": 1}]
    for wrong, said in (
        (
            "mine.py:Towr",
            "enhancer 'distil': teacher: mine.py: class 'Towr' is not known. Did you mean 'Tower'",
        ),
        ("mine.py", "say which class of the file, as in mine.py:Tower"),
        ("mine.py:Tower+softmx", "enhancer 'softmx' is not known. Did you mean 'softmax'"),
        ("sharp.py:Sharper", "is an enhancer, not a backbone"),
        (burnish.enhance(cls, "softmax"), "has enhancers attached; give the plain model class"),
        (int, "class int is not a model's"),
    ):
        with pytest.raises(BurnishError, match=said.replace("+", r"\+")):
            plan(backbones=["BPR"], arms={"a": {"distil": {"teachers": [wrong]}}})


def test_a_taught_run_is_known_by_the_source_of_its_teacher() -> None:
    def digest(mine: str) -> str:
        Path("mine.py").write_text(mine)
        with imports_as_before():
            made = plan(backbones=["BPR"], arms={"a": {"distil": {"teachers": "mine.py:Tower"}}})
            return spec_of(made, made.backbones[0], "a", 1).digest

    assert digest(TOWER) == digest(TOWER) != digest(f"{TOWER}# changed\n")


def test_an_own_class_as_floor_and_as_teacher(compared: Callable[..., list[RunRecord]]) -> None:
    more = {
        "backbones": ["BPR"],
        "arms": {"taught": {"distil": {"teachers": "mine.py:Tower"}}},
        "floors": {
            "mine.py:Tower": {"options": {"embedding_size": 8}, "tune": {"learning_rate": [0.001, 0.01]}}
        },
    }

    def statuses() -> dict[str, str]:
        return {one.arm: one.error or one.status for one in compared(**more)}

    def floor() -> dict[str, Any]:
        (note,) = Path("runs/tiny/BPR").glob("comparison-*.json")
        found: dict[str, Any] = read_note(note)["floors"]["Tower"]
        return found

    assert statuses() == {"Tower": "done", "plain": "done", "taught": "done"}
    before = floor()
    assert (before["trials"], list(before["chosen"])) == (2, ["learning_rate"])
    assert {(row.arm, row.kind) for row in summarise("runs") if row.baseline == "plain"} == {
        ("Tower", "floor"),
        ("taught", "arm"),
    }
    assert statuses() == {"Tower": "kept", "plain": "kept", "taught": "kept"}
    assert floor() == before
    Path("mine.py").write_text(TOWER.replace("softplus(-better)", "softplus(-2 * better)"))
    assert statuses() == {"Tower": "done", "plain": "kept", "taught": "done"}
    assert floor()["runs"].values() != before["runs"].values()
    assert {Path(place).parts[-2] for place in floor()["runs"].values()} == {"Tower"}
