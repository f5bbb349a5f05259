"""Runs that are trained first: teachers and bases by their names, each once, on the run's own split."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import recbole
import torch

import burnish
from burnish.benchmarks.harness.grid import run_plan
from burnish.benchmarks.harness.plan import make_plan
from burnish.enhancers.trained_first import OF_THE_RUN
from burnish.errors import ConfigurationError, DataError, UnknownNameError, UnsupportedError
from burnish.files.yamls import read_yaml
from burnish.training import stages, teachers
from burnish.training.asked_first import options_of_data
from burnish.training.train import train

MIXED: dict[str, Any] = {"teachers": {"ease": None, "softmax+average": None}, "ridge": 5, "ranks": [4, 8]}


class Fits:
    """Which runs begin to train, in order: `BPR`, `BPR+compress`.  `interrupt`: (run, epoch) to be interrupted at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs: list[str] = []
        self.interrupt: tuple[str, int] | None = None
        inner_fit, inner_tell = stages.Run.fit, stages.Run._tell

        def fit(run: Any, state: Any = None) -> Any:
            self.runs.append(name(run))
            return inner_fit(run, state)

        def name(run: Any) -> str:
            attached = run.model.enhancers.attached if hasattr(run.model, "enhancers") else ()
            return "+".join([type(run.model).__name__, *attached])

        def tell(run: Any, epoch: Any) -> None:
            inner_tell(run, epoch)
            if self.interrupt == (name(run), epoch.number) and epoch.valid_score is None:
                raise KeyboardInterrupt

        monkeypatch.setattr(stages.Run, "fit", fit)
        monkeypatch.setattr(stages.Run, "_tell", tell)


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> Fits:
    return Fits(monkeypatch)


def run(
    small: dict[str, Any], block: Any, folder: Path | None = None, *, model: str = "BPR", **more: Any
) -> Any:
    given = {"epochs": 3, "learning_rate": 0.02, "seed": 3}
    return burnish.run(
        model, "tiny", enhancers=block, config={**small, **given, **more}, folder=folder, show_progress=False
    )


def tables(result: Any) -> dict[str, torch.Tensor]:
    return {name: value for name, value in result.model.state_dict().items() if "embedding" in name}


def same(one: Any, other: Any) -> None:
    assert one.valid_result == other.valid_result
    assert one.test_result == other.test_result
    for name, value in tables(one).items():
        assert torch.equal(value, tables(other)[name]), name


# ------------------------------------------------------------------ teachers


def test_a_teacher_is_the_run_of_that_name(fits: Fits, small, tmp_path: Path) -> None:
    options = {"softmax+average": {"softmax.temperature": 0.3, "learning_rate": 0.05}}
    result = run(small, {"compress": {**MIXED, "teacher_options": options}}, tmp_path / "out")
    assert fits.runs == ["BPR+softmax+average", "BPR+compress"]
    taught = run(
        small, {"softmax": {"temperature": 0.3}, "average": {}}, tmp_path / "taught", learning_rate=0.05
    )
    kept = burnish.load_run(tmp_path / "out" / "teachers" / "softmax+average")
    for name, value in taught.model.state_dict().items():
        assert torch.equal(value, kept.model.state_dict()[name]), name
    by_folder = {"ease": None, str(tmp_path / "taught"): None}
    same(result, run(small, {"compress": {**MIXED, "teachers": by_folder}}, tmp_path / "other"))
    # Told, and told apart from what the run itself took.
    assert result.seconds["teacher softmax+average"] > 0
    assert "teacher softmax+average" in result.summary()["seconds"]
    assert "'softmax+average' was trained first, in" in (tmp_path / "out" / "log.txt").read_text()
    assert "Teachers that were trained first: softmax+average (" in str(burnish.status(result.model))


def test_the_test_rows_are_not_looked_at(small, tmp_path: Path) -> None:
    """Neither by teachers nor by what learns from them: other test rows change nothing but the test."""
    rows = [(user, (user * 7 + step * step) % 25, step) for user in range(30) for step in range(12)]

    def write(place: Path, shift: int) -> dict[str, Any]:
        folder = place / "tiny"
        folder.mkdir(parents=True)
        for part, steps in {"train": range(8), "valid": range(8, 10), "test": range(10, 12)}.items():
            move = shift if part == "test" else 0
            lines = [f"u{u}\ti{(i + move) % 25}\t{t}" for u, i, t in rows if t in steps]
            text = "user_id:token\titem_id:token\ttimestamp:float\n" + "\n".join(lines) + "\n"
            (folder / f"tiny.{part}.inter").write_text(text)
        return {**small, "data_path": str(place), "benchmark_filename": ["train", "valid", "test"]}

    block = {"compress": {**MIXED, "teachers": ["ease", "softmax+average", "LightGCN"]}}
    one, other = (run(write(tmp_path / str(shift), shift), block) for shift in (0, 3))
    assert one.valid_result == other.valid_result
    assert one.test_result != other.test_result
    for name, value in tables(one).items():
        assert torch.equal(value, tables(other)[name]), name


@pytest.mark.parametrize(
    ("name", "trained"),
    [("plain", "BPR"), ("EASE", "EASE"), ("LightGCN+softmax", "LightGCN+softmax"), ("ItemKNN", "ItemKNN")],
)
def test_other_models_can_be_teachers(name: str, trained: str, fits: Fits, small, recwarn) -> None:
    result = run(small, {"compress": {"teachers": name, "mix": 1, "ranks": 8}})
    assert fits.runs == [trained, "BPR+compress"]
    assert result.valid_result["ndcg@10"] > 0
    told = [str(one.message) for one in recwarn if "no effect" in str(one.message)]
    assert not told  # EASE reads no embedding_size, and need not


def test_recboles_ease_is_ours(small) -> None:
    options = {"EASE": {"reg_weight": 5.0}}
    block = {"compress": {"teachers": "EASE", "teacher_options": options, "mix": 1, "ranks": 8}}
    own = {"compress": {"teachers": "ease", "ridge": 5, "mix": 1, "ranks": 8}}
    for one, other in zip(tables(run(small, block)).values(), tables(run(small, own)).values(), strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-3)


def test_each_teacher_is_trained_once(fits: Fits, small, tmp_path: Path) -> None:
    first = run(small, {"compress": MIXED}, tmp_path / "out")
    again = run(small, {"compress": MIXED}, tmp_path / "out")
    same(first, again)
    assert fits.runs == ["BPR+softmax+average", "BPR+compress", "BPR+compress"]
    assert again.seconds["teacher softmax+average"] == first.seconds["teacher softmax+average"]
    options = {"softmax+average": {"softmax.temperature": 0.1}}
    run(small, {"compress": {**MIXED, "teacher_options": options}}, tmp_path / "out")
    assert fits.runs[3:] == ["BPR+softmax+average", "BPR+compress"]


def changing(small: dict[str, Any], place: Path) -> tuple[dict[str, Any], Path]:
    """The options with data of the test's own, and their file."""
    shutil.copytree(Path(small["data_path"]) / "tiny", place / "tiny")
    return {**small, "data_path": str(place)}, place / "tiny" / "tiny.inter"


def shorter(file: Path) -> None:
    file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")


@pytest.mark.parametrize(
    ("block", "trained"),
    [
        ({"compress": MIXED}, ["BPR+softmax+average"]),
        ({"softmax": {"base": "compress"}}, ["BPR+compress"]),
        (
            {
                "compress": {
                    "teachers": "compress",
                    "teacher_options": {"compress": {"compress.teachers": {"softmax": 1}}},
                    "mix": 1,
                }
            },
            ["BPR+softmax", "BPR+compress"],
        ),
    ],
)
def test_what_was_trained_on_other_data_is_trained_anew(
    block: dict[str, Any], trained: list[str], fits: Fits, small, tmp_path: Path
) -> None:
    """As where its options are others, with a line that says so."""
    mine, file = changing(small, tmp_path / "data")
    run(mine, block, tmp_path / "out")
    shorter(file)
    fits.runs.clear()
    with pytest.warns(UserWarning, match=r"kept in .*out/.*was trained on other data.*trained anew"):
        again = run(mine, block, tmp_path / "out")
    assert fits.runs[:-1] == trained
    same(again, run(mine, block, tmp_path / "from nothing"))
    fits.runs.clear()
    run(mine, block, tmp_path / "out")
    assert len(fits.runs) == 1


@pytest.mark.parametrize("block", [{"compress": MIXED}, {"softmax": {"base": "auto"}}])
def test_what_a_comparison_shares_is_trained_anew_on_other_data(
    block: dict[str, Any], fits: Fits, small, tmp_path: Path
) -> None:
    mine, file = changing(small, tmp_path / "data")
    options = {**mine, "epochs": 3, "learning_rate": 0.02, "seed": 3}

    def shared(name: str) -> Any:
        return train(
            "BPR", "tiny", enhancers=block, options=options, folder=tmp_path / name, bases=tmp_path / "bases"
        )

    shared("one")
    shorter(file)
    fits.runs.clear()
    with pytest.warns(UserWarning, match=r"kept in .*bases/.*was trained on other data.*trained anew"):
        again = shared("two")
    assert len(fits.runs) == 2
    same(again, run(mine, block, tmp_path / "from nothing"))
    fits.runs.clear()
    shared("three")
    assert len(fits.runs) == 1


def test_an_interrupted_teacher_of_other_data_is_trained_anew(fits: Fits, small, tmp_path: Path) -> None:
    mine, file = changing(small, tmp_path / "data")
    fits.interrupt = ("BPR+softmax+average", 2)
    with pytest.raises(KeyboardInterrupt):
        run(mine, {"compress": MIXED}, tmp_path / "out")
    fits.interrupt = None
    shorter(file)
    with pytest.warns(UserWarning, match=r"the teacher 'softmax\+average', kept in .*trained anew"):
        again = run(mine, {"compress": MIXED}, tmp_path / "out")
    same(again, run(mine, {"compress": MIXED}, tmp_path / "from nothing"))


DATA: dict[str, Any] = {
    "normalize_all": True,
    "normalize_field": ["timestamp"],
    "load_col": {"inter": ["user_id", "item_id"]},
    "threshold": {"timestamp": 3},
    "encoding": "latin-1",
}


@pytest.mark.parametrize("option", DATA)
def test_data_are_read_as_the_run_reads_them(option: str, fits: Fits, small) -> None:
    own = {option: DATA[option]}
    for block, named in (
        (
            {"compress": {"teachers": "softmax", "mix": 1, "teacher_options": {"softmax": own}}},
            "teacher 'softmax'",
        ),
        ({"aggregate": {"base": "softmax", "base_options": own}}, "base"),
    ):
        with pytest.raises(
            ConfigurationError, match=rf"the {named}: {option} = .*reads the data as the run does"
        ):
            run(small, block)
        content = {"dataset": "tiny", "backbones": ["BPR"], "arms": {"a": block}, "floors": []}
        with pytest.raises(ConfigurationError, match=rf"arm 'a': the {named}: {option} = "):
            make_plan(content)
    assert fits.runs == []


def test_all_of_recboles_options_of_data_are_the_runs() -> None:
    listed = read_yaml(Path(recbole.__file__).parent / "properties/dataset/sample.yaml")
    assert listed.keys() <= options_of_data() | OF_THE_RUN


@pytest.mark.parametrize("kept", [True, False])
def test_what_was_trained_just_now_is_of_no_former_data(
    kept: bool, fits: Fits, small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teacher whose class reads the data otherwise: no file is to blame, and training it anew would not help."""
    inner = teachers.check_trained_on

    def otherwise(saved: Any, now: Any, *rest: Any, **more: Any) -> None:
        inner({**saved, "columns": {**saved["columns"], "inter.timestamp": "other"}}, now, *rest, **more)

    monkeypatch.setattr(teachers, "check_trained_on", otherwise)
    block = {"compress": {"teachers": "softmax", "mix": 1, "ranks": 8}}
    words = (
        r"^the teacher 'softmax' was trained just now for this run, and found other data than the run does: compared "
        r"with its own, the run's data set has other values in timestamp \(tiny\.inter\)\. Its backbone"
    )
    with pytest.raises(DataError, match=words):
        run(small, block, tmp_path / "out" if kept else None)
    assert fits.runs == ["BPR+softmax"]


def test_a_run_that_cannot_go_on_trains_no_teacher(fits: Fits, small, tmp_path: Path) -> None:
    mine, file = changing(small, tmp_path / "data")
    fits.interrupt = ("BPR+compress", 2)
    with pytest.raises(KeyboardInterrupt):
        run(mine, {"compress": MIXED}, tmp_path / "out")
    fits.interrupt = None
    fits.runs.clear()
    shorter(file)
    cure = r"the teacher 'softmax\+average', kept in .*teachers.*: .*Put the former files back.*remove that folder"
    with pytest.raises(DataError, match=cure):
        burnish.run(resume=tmp_path / "out", show_progress=False)
    assert fits.runs == []


def test_a_folder_of_other_data_is_named(small, tmp_path: Path) -> None:
    mine, file = changing(small, tmp_path / "data")
    run(mine, {}, tmp_path / "taught")
    shorter(file)
    block = {"compress": {"teachers": str(tmp_path / "taught"), "mix": 1, "ranks": 8}}
    with pytest.raises(DataError, match=r"teacher '.*taught': data set 'tiny' is not the one"):
        run(mine, block)


def test_without_a_folder_nothing_is_kept(fits: Fits, small, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    result = run(small, {"compress": MIXED}, checkpoint_dir=str(tmp_path / "saved"))
    assert {path for path in tmp_path.rglob("*") if "saved" not in path.parts} == before
    assert len(list((tmp_path / "saved").iterdir())) == 1
    same(result, run(small, {"compress": MIXED}, tmp_path / "out"))


def test_a_config_file_may_ask(small, tmp_path: Path) -> None:
    """What the enhancer itself is asked for does not count for its teachers."""
    import yaml

    folder, file = tmp_path / "out", tmp_path / "run.yaml"
    options = {**small, "epochs": 3, "learning_rate": 0.02, "seed": 3}

    def by_file(block: dict[str, Any]) -> Any:
        file.write_text(yaml.safe_dump({**options, "enhancers": {"compress": block}}))
        return burnish.run("BPR", "tiny", config_files=[file], folder=folder, show_progress=False)

    same(by_file(MIXED), run(small, {"compress": MIXED}))
    weights = folder / "teachers" / "softmax+average" / "model.safetensors"
    written = weights.stat().st_mtime_ns
    by_file({**MIXED, "mix": 1})
    assert weights.stat().st_mtime_ns == written


def test_an_interrupted_teacher_goes_on(fits: Fits, small, tmp_path: Path) -> None:
    whole = run(small, {"compress": MIXED}, tmp_path / "whole")
    fits.interrupt = ("BPR+softmax+average", 2)
    with pytest.raises(KeyboardInterrupt):
        run(small, {"compress": MIXED}, tmp_path / "out")
    fits.interrupt = None
    with pytest.raises(DataError, match="while its teachers were trained; give the same command again"):
        burnish.run(resume=tmp_path / "out")
    assert list((tmp_path / "out" / "teachers" / "softmax+average" / "resume").iterdir())
    same(run(small, {"compress": MIXED}, tmp_path / "out"), whole)


@pytest.mark.parametrize(
    ("enhancer", "base"), [("aggregate", "auto"), ("aggregate", "softmax"), ("prior", "auto")]
)
def test_candidates_go_on_after_their_base(
    enhancer: str, base: str, fits: Fits, small, tmp_path: Path
) -> None:
    block = {enhancer: {"base": base}}
    whole = run(small, block, tmp_path / "whole")
    fits.interrupt = (f"BPR+{enhancer}", 3)
    with pytest.raises(KeyboardInterrupt):
        run(small, block, tmp_path / "out")
    fits.interrupt = None
    same(burnish.run(resume=tmp_path / "out", show_progress=False), whole)


def test_a_teacher_may_begin_from_what_the_others_of_its_name_train(
    fits: Fits, small, tmp_path: Path
) -> None:
    few = {"ridge": [25.0], "ranks": [8]}
    short = {
        **few,
        "teachers": {"ease": None, "softmax+average+aggregate": None},
        "teacher_options": {"softmax+average+aggregate": {"softmax.temperature": 0.3, "epochs": 2}},
    }
    base = {"softmax.temperature": 0.3, "epochs": 2}
    long = {
        **few,
        "teachers": {"ease": None, "aggregate": None},
        "teacher_options": {
            "aggregate": {"aggregate.base": "softmax+average", "aggregate.base_options": base, "epochs": 2}
        },
    }
    one, other = run(small, {"compress": short}), run(small, {"compress": long})
    same(one, other)
    assert fits.runs == ["BPR+softmax+average", "BPR+aggregate", "BPR+compress"] * 2
    short["teacher_options"]["softmax+average+aggregate"]["aggregate.base"] = "plain"
    with pytest.raises(
        ConfigurationError, match=r"aggregate\.base: the name 'softmax\+average\+aggregate' says"
    ):
        run(small, {"compress": short})


def test_a_teacher_goes_on_trying_candidates(fits: Fits, small, tmp_path: Path) -> None:
    few = {"aggregate.hops": [1], "aggregate.sides": "users"}
    block = {
        "compress": {
            "teachers": {"ease": None, "aggregate": None},
            "teacher_options": {"aggregate": few},
            "ridge": [25.0],
            "ranks": [8],
        }
    }
    whole = run(small, block, tmp_path / "whole")
    fits.interrupt = ("BPR+aggregate", 3)
    with pytest.raises(KeyboardInterrupt):
        run(small, block, tmp_path / "out")
    fits.interrupt = None
    same(run(small, block, tmp_path / "out"), whole)


@pytest.mark.parametrize("there", [True, False])
def test_an_interrupted_run_goes_on_with_its_teachers(
    there: bool, fits: Fits, small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(small, {"compress": MIXED}, tmp_path / "whole")
    fits.interrupt = ("BPR+compress", 2)
    with pytest.raises(KeyboardInterrupt):
        run(small, {"compress": MIXED}, tmp_path / "out")
    fits.interrupt = None
    fits.runs.clear()
    if not there:
        shutil.rmtree(tmp_path / "out" / "teachers")
    resumed = burnish.run(resume=tmp_path / "out", config={"epochs": 50}, show_progress=False)
    same(resumed, whole)
    assert fits.runs == ["BPR+softmax+average", "BPR+compress"][there:]
    assert resumed.seconds["teacher softmax+average"] > 0


def test_resuming_without_a_given_data_path_finds_the_teachers(
    fits: Fits, small, tmp_path, monkeypatch
) -> None:
    """The run notes where its data lie; the teacher's note must not take that for other options."""
    monkeypatch.chdir(Path(small["data_path"]).parent)
    asked = {**small, "data_path": Path(small["data_path"]).name}
    fits.interrupt = ("BPR+compress", 2)
    with pytest.raises(KeyboardInterrupt):
        run(asked, {"compress": MIXED}, tmp_path / "out")
    fits.interrupt = None
    fits.runs.clear()
    burnish.run(resume=tmp_path / "out", show_progress=False)
    assert fits.runs == ["BPR+compress"]


def test_a_folder_wins_only_where_it_is_written_as_a_path(fits: Fits, small) -> None:
    run(small, {"softmax": {}}, Path("softmax"), seed=4)
    fits.runs.clear()
    with pytest.warns(
        UserWarning, match=r"teacher 'softmax' is trained first; the folder .*\(write \./softmax"
    ):
        run(small, {"compress": {"teachers": "softmax", "mix": 1, "ranks": 8}}, seed=4)
    assert fits.runs == ["BPR+softmax", "BPR+compress"]
    run(small, {"compress": {"teachers": "./softmax", "mix": 1, "ranks": 8}}, seed=4)
    assert fits.runs[2:] == ["BPR+compress"]
    options = {"./softmax": {"epochs": 3}}
    with pytest.raises(
        ConfigurationError, match=r"teacher_options\.\./softmax: that teacher is the folder of a"
    ):
        run(small, {"compress": {"teachers": "./softmax", "teacher_options": options}}, seed=4)


def test_all_names_are_looked_at_before_anything_is_trained(fits: Fits, small) -> None:
    with pytest.raises(UnknownNameError, match=r"teacher 'sofmax' is not known\. Did you mean 'softmax'"):
        run(small, {"compress": {"teachers": ["softmax", "sofmax"]}})
    options = {"EASE": {"softmax.temperature": 1}}
    with pytest.raises(UnknownNameError, match=r"teacher_options\.EASE: enhancer 'softmax' is not known"):
        run(small, {"compress": {"teachers": ["softmax", "EASE"], "teacher_options": options}})
    with pytest.raises(UnsupportedError, match="teacher 'SASRec' is a run of SASRec, whose users are what"):
        run(small, {"compress": {"teachers": ["softmax", "SASRec"]}})
    deep = {
        "teachers": ["softmax", "compress"],
        "teacher_options": {"compress": {"compress.teachers": "sofmax"}},
    }
    with pytest.raises(
        UnknownNameError, match=r"the teacher 'compress': enhancer 'compress': teacher 'sofmax'"
    ):
        run(small, {"compress": deep})
    with pytest.raises(ConfigurationError, match=r"^the teacher 'EASE': reg_weight = 'x': give a number"):
        run(
            small,
            {"compress": {"teachers": ["softmax", "EASE"], "teacher_options": {"EASE": {"reg_weight": "x"}}}},
        )
    assert fits.runs == []


def test_what_cannot_be_trained_beside_the_run_is_named(small, tmp_path: Path) -> None:
    """DeepFM tests rows as they are by RecBole's default, and takes the way of testing that the run gives."""
    block = {"compress": {"teachers": "DeepFM", "mix": 1, "ranks": 4}}
    options = {key: value for key, value in small.items() if key != "eval_args"}
    with pytest.raises(
        ConfigurationError, match=r"^the teacher 'DeepFM': metrics = .*eval_args: \{mode: full\}"
    ):
        run(options, block)
    drawn = {"train_neg_sample_args": {"distribution": "uniform", "sample_num": 1}}
    run({**options, "eval_args": {"mode": "full"}, **drawn}, block)
    with pytest.raises(DataError, match=r"^the teacher 'CKE': .*tiny\.kg does not exist"):
        run(small, {"compress": {"teachers": "CKE", "mix": 1, "ranks": 4}})
    with pytest.raises(ConfigurationError, match=r"^the base: learning_rate = -1"):
        run(small, {"softmax": {"base": "compress", "base_options": {"learning_rate": -1}}})


def test_a_teacher_of_no_weight_is_not_trained(fits: Fits, small) -> None:
    run(small, {"compress": {"teachers": {"ease": 1, "softmax": [0, 0]}, "ridge": 5, "ranks": 8}})
    run(small, {"distil": {"teachers": {"ease": 1, "softmax": 0}}})
    assert fits.runs == ["BPR+compress", "BPR+distil"]
    fits.runs.clear()
    run(small, {"compress": {"teachers": {"ease": 1, "softmax": [0, 1]}, "ridge": 5, "ranks": 8}})
    assert fits.runs == ["BPR+softmax", "BPR+compress"]


@pytest.mark.parametrize(
    "block",
    [{"compress": {"teachers": "softmax+average+softmax"}}, {"aggregate": {"base": "BPR+softmax+softmax"}}],
)
def test_an_enhancer_stands_once_in_a_name(block: dict[str, Any], fits: Fits, small) -> None:
    words = r"the name '.*softmax' has the enhancer softmax twice; a run has it once"
    with pytest.raises(ConfigurationError, match=words):
        run(small, block)
    with pytest.raises(ConfigurationError, match=rf"arm 'a': .*{words}"):
        make_plan({"dataset": "tiny", "backbones": ["BPR"], "arms": {"a": block}, "floors": []})
    assert fits.runs == []


def test_teachers_may_have_teachers(fits: Fits, small, tmp_path: Path) -> None:
    options = {"compress": {"compress.teachers": {"softmax": 1}, "compress.ranks": 8}}
    block = {"compress": {"teachers": "compress", "teacher_options": options, "mix": 1, "ranks": 8}}
    run(small, block, tmp_path / "out")
    assert fits.runs == ["BPR+softmax", "BPR+compress", "BPR+compress"]
    assert (tmp_path / "out/teachers/compress/teachers/softmax/run.json").is_file()


# ------------------------------------------------------------------ bases


@pytest.mark.parametrize("enhancer", ["aggregate", "guided"])
def test_a_base_may_be_enhanced(enhancer: str, fits: Fits, small, tmp_path: Path) -> None:
    block: dict[str, Any] = {"base": "softmax", "base_options": {"softmax.temperature": 0.3}}
    if enhancer == "guided":
        scores = tmp_path / "scores.tsv"
        scores.write_text("item_id\tnew\n" + "".join(f"i{item}\t{item % 3}\n" for item in range(30)))
        block["scores"] = str(scores)
    result = run(small, {enhancer: block}, tmp_path / "out")
    assert fits.runs == ["BPR+softmax", f"BPR+{enhancer}"]
    assert result.seconds["base"] > 0
    base = run(small, {"softmax": {"temperature": 0.3}}, tmp_path / "soft")
    same(result, run(small, {enhancer: {**block, "base": str(tmp_path / "soft"), "base_options": {}}}))
    if enhancer == "aggregate":  # its first candidate is the base as it is: the baked rows
        first = run(small, {"aggregate": {"base": str(tmp_path / "soft"), "hops": [1]}})
        assert first.model.enhancers["aggregate"]._started is not None
        for rows, name in zip(
            first.model.enhancers["aggregate"]._started,
            tables(burnish.bake(base.model) and base),
            strict=True,
        ):
            baked = dict(burnish.bake(base.model).named_parameters())[name]
            torch.testing.assert_close(rows, baked.detach())


def test_training_goes_on_from_compress(fits: Fits, small, tmp_path: Path) -> None:
    """`softmax: {base: compress}`: the first scores are the cosines of the compressed rows."""
    seen: list[dict[str, torch.Tensor]] = []
    inner = stages.Run.fit

    def fit(one: Any, state: Any = None) -> Any:
        seen.append({name: value.clone() for name, value in one.model.state_dict().items()})
        return inner(one, state)

    stages.Run.fit = fit  # type: ignore[method-assign]
    try:
        block = {"softmax": {"base": "compress"}, "average": {}}
        result = run(small, block, tmp_path / "out")
    finally:
        stages.Run.fit = inner  # type: ignore[method-assign]
    assert fits.runs == ["BPR+compress", "BPR+softmax+average"]
    base = burnish.load_run(tmp_path / "out" / "base").model.state_dict()
    for name in tables(result):
        if name in base:
            assert torch.equal(seen[-1][name], base[name]), name
    assert result.model.enhancers["average"]._steps > 0


def test_means_begin_at_the_base(small, tmp_path: Path) -> None:
    """One step with a rate of almost nothing: the mean is the base, not where the run's own tables began."""
    block = {"softmax": {"base": "compress", "users": 100}, "average": {}}
    result = run(small, block, tmp_path / "out", epochs=1, learning_rate=1e-9)
    base = burnish.load_run(tmp_path / "out" / "base").model.state_dict()
    for name, value in tables(result).items():
        if name in base:
            torch.testing.assert_close(value, base[name], atol=1e-6, rtol=0)


def test_bases_that_cannot_be(fits: Fits, small, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="base = 'LightGCN' is a run of LightGCN, not of BPR"):
        run(small, {"aggregate": {"base": "LightGCN"}})
    with pytest.raises(
        UnknownNameError, match=r"enhancer 'aggregate': base 'sofmax' is not known.*'softmax'"
    ):
        run(small, {"aggregate": {"base": "sofmax"}})
    assert fits.runs == []
    with pytest.raises(UnsupportedError, match=r"is a run with enhancers: bake: enhancer 'prior'"):
        run(small, {"aggregate": {"base": "prior"}})


# ------------------------------------------------------------------ comparisons


def test_a_comparison_trains_each_teacher_once(fits: Fits, small, tmp_path: Path) -> None:
    options = {key: value for key, value in small.items() if key != "threads"}
    content = {
        "dataset": "tiny",
        "backbones": ["BPR"],
        "arms": {
            "one": {"enhancers": {"compress": MIXED}},
            "two": {
                "enhancers": {"compress": {**MIXED, "teachers": {"itemknn": None, "softmax+average": 1}}}
            },
        },
        "tune": {
            "trials": 2,
            "arms": {
                "one": {
                    "compress.teacher_options": [
                        {"softmax+average": {"softmax.temperature": 0.1}},
                        {"softmax+average": {"softmax.temperature": 0.2}},
                    ]
                }
            },
        },
        "floors": [],
        "seeds": 2,
        "options": options,
        "runs": str(tmp_path / "runs"),
        "threads": 1,
    }
    records = run_plan(make_plan(content), quiet=True)
    assert [record.error for record in records if record.error] == []
    # Of arm one both temperatures for the trials and the chosen one for each seed, of arm two the default for each.
    trained = fits.runs.count("BPR+softmax+average")
    folders = [path for path in (tmp_path / "runs/tiny/BPR/bases").iterdir() if path.is_dir()]
    assert trained == len(folders) == 5
    metrics = next((tmp_path / "runs/tiny/BPR/two").glob("*/metrics.json"))
    assert json.loads(metrics.read_text())["seconds"]["teacher softmax+average"] > 0
    again = run_plan(make_plan(content), quiet=True)
    assert {record.status for record in again} == {"kept"}
