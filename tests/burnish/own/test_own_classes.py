"""Places of classes of one's own: what is found where, and what is said where nothing is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_world import SHARPER, TOWER, imports_as_before, write_own

from burnish.enhancers.registry import find_enhancer, list_enhancers, make_enhancers, named_block
from burnish.enhancers.zoo import find_backbone
from burnish.errors import BurnishError, ConfigurationError, UnknownNameError, UnsupportedError
from burnish.own.classes import loaded_only, named_by


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with mine.py and sharp.py, as the working directory of a new process."""
    write_own(tmp_path)
    monkeypatch.chdir(tmp_path)
    with imports_as_before():
        yield tmp_path


def refusal(place: str) -> str:
    with pytest.raises(BurnishError) as error:
        find_backbone(place)
    return str(error.value)


@pytest.mark.parametrize(
    ("place", "module"),
    [
        ("mine.py:Tower", "mine"),
        ("./mine.py:Tower", "mine"),
        ("mine:Tower", "mine"),
        ("models/deep.py:Tower", "models.deep"),
        ("models.deep:Tower", "models.deep"),
        ("models/sub.folder/deep.py:Tower", "deep"),  # no module's name has a dot
        ("packed/__init__.py:Tower", "packed"),
    ],
)
def test_below_the_working_directory(place: str, module: str, here: Path) -> None:
    for folder in ("models", "models/sub.folder"):
        write_own(here / folder)
        (here / folder / "mine.py").rename(here / folder / "deep.py")
    (write_own(here / "packed") / "mine.py").rename(here / "packed" / "__init__.py")
    before = list(sys.path)
    cls = find_backbone(place)
    assert (cls.__module__, cls.__name__) == (module, "Tower")
    assert find_backbone(f"{module}:Tower") is cls  # as it is named from then on
    assert sys.path[: len(before)] == before, "nothing that is installed may be hidden"


def test_elsewhere_with_what_lies_beside(tmp_path_factory: pytest.TempPathFactory) -> None:
    other = write_own(tmp_path_factory.mktemp("other"))
    (other / "widths_of_tower.py").write_text("WIDTH = 3\n")
    (other / "tall.py").write_text(f"from widths_of_tower import WIDTH\n{TOWER}")
    assert find_backbone(f"{other}/tall.py:Tower").__module__ == "tall"


def test_a_class_stands_for_itself_and_recbole_s_are_found_by_place() -> None:
    cls = find_backbone("BPR")
    assert find_backbone(cls) is cls
    assert find_backbone("recbole.model.general_recommender.bpr:BPR") is cls


def test_one_file_is_one_module(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that imported it from its own folder, and names it from above."""
    monkeypatch.syspath_prepend(write_own(here / "models"))
    import mine  # type: ignore[import-not-found]

    assert find_backbone("models/mine.py:Tower") is mine.Tower


def test_what_is_not_there() -> None:
    assert "'mime.py' is not there. Did you mean 'mine.py'?" in refusal("mime.py:Tower")
    assert "Did you mean 'Tower'? Known: Tower." in refusal("mine.py:Towr")
    assert refusal("mine.py:torch").endswith("is a module, not a class; name the class itself")
    assert "as in mine.py:Tower (it has Tower)" in refusal("mine.py")
    assert "say where the class is, as FILE.py:Class" in refusal("mine:")
    assert "Did you mean mine? Python looks for mien" in refusal("mien:Tower")
    with pytest.raises(UnknownNameError, match="There is no enhancer in it"):
        find_enhancer("mine.py:Gain")


def test_wrong_kinds(here: Path) -> None:
    (here / "other.py").write_text("class Plain: pass\n")
    with pytest.raises(
        ConfigurationError, match=r"sharp\.py:Sharper is an enhancer.*--enhancers sharp\.py:Sharper"
    ):
        find_backbone("sharp.py:Sharper")
    with pytest.raises(
        ConfigurationError, match=r"mine\.py:Tower is not an enhancer; it is a model.*--model"
    ):
        find_enhancer("mine.py:Tower")
    with pytest.raises(UnsupportedError, match=r"other\.py:Plain is not a RecBole model class"):
        find_backbone("other.py:Plain")
    with pytest.raises(ConfigurationError, match=r"other\.py:Plain is not an enhancer; one derives from"):
        find_enhancer("other.py:Plain")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = (1,\n", r"SyntaxError: '\(' was never closed \(bad\.py, line 1: x = \(1,\)"),
        ("\n1 / 0\n", r"ZeroDivisionError: division by zero \(bad\.py, line 2: 1 / 0\)"),
        ("import burnish_nowhere\n", r"No module named 'burnish_nowhere' \(bad\.py, line 1: import"),
        (
            "import sys\nsys.exit(3)\n",
            r"SystemExit: 3 \(bad\.py, line 2: sys\.exit\(3\)\); it ends the program",
        ),
        ("import helps\n", r"ZeroDivisionError: division by zero \(helps\.py, line 1: 1 / 0\)"),
    ],
)
def test_what_cannot_be_imported_names_the_line(source: str, said: str, here: Path) -> None:
    (here / "helps.py").write_text("1 / 0\n")
    (here / "bad.py").write_text(source)
    with pytest.raises(UnknownNameError, match=rf"bad\.py:Tower cannot be imported: .*{said}"):
        find_backbone("bad.py:Tower")
    assert "bad" not in sys.modules


@pytest.mark.parametrize("name", ["torch", "yaml", "random", "math"])
def test_names_of_what_is_installed(name: str, here: Path) -> None:
    (here / f"{name}.py").write_text(TOWER)
    for place in (f"{name}.py:Tower", f"{name}:Tower"):
        assert f"{name}.py has the name of something that is installed, {name}" in refusal(place)


def test_a_folder_with_the_name_of_a_package(here: Path) -> None:
    write_own(here / "yaml")
    assert "yaml has the name of something that is installed" in refusal("yaml/mine.py:Tower")


def test_a_file_beside_with_the_name_of_what_is_installed(here: Path) -> None:
    (here / "uses.py").write_text(f"import yaml\n{TOWER}")
    assert find_backbone("uses.py:Tower")
    (here / "yaml.py").write_text("")
    (here / "also.py").write_text(f"import yaml\n{TOWER}")
    assert "also.py imports yaml, and Python has one from elsewhere" in refusal("also.py:Tower")


def test_two_files_of_one_name(tmp_path_factory: pytest.TempPathFactory, here: Path) -> None:
    one, other = (write_own(tmp_path_factory.mktemp(name)) for name in ("one", "other"))
    (here / "mine.py").unlink()
    assert find_backbone(f"{one}/mine.py:Tower")
    said = refusal(f"{other}/mine.py:Tower")
    assert f"would be the module mine, and so would {one}/mine.py" in said.replace("../one0", str(one))
    # Below the working directory they are two.
    write_own(here / "a"), write_own(here / "b")
    assert find_backbone("a/mine.py:Tower") is not find_backbone("b/mine.py:Tower")


def test_what_a_run_names_is_not_imported() -> None:
    with loaded_only(trust=False):
        for find, place in ((find_backbone, "mine.py:Tower"), (find_enhancer, "sharp:Sharper")):
            with pytest.raises(ConfigurationError, match=r"is not loaded.*--trust"):
                find(place)
        with loaded_only(trust=True), pytest.raises(ConfigurationError, match="is not loaded"):
            find_backbone("mine.py:Tower")  # nothing inside trusts more than what is around it
    assert not {"mine", "sharp"} & set(sys.modules)
    cls = find_backbone("mine.py:Tower")
    with loaded_only(trust=False):
        assert find_backbone("mine:Tower") is cls
    with loaded_only(trust=True):
        assert find_enhancer("sharp:Sharper").name == "sharper"


def test_a_file_that_names_a_class_is_told_before_its_code_is_run(here: Path) -> None:
    (here / "bad.py").write_text("1 / 0\n")
    with (
        named_by("plan.yaml"),
        pytest.warns(UserWarning, match="^plan.yaml names bad.py:Tower: its code is run$"),
        pytest.raises(UnknownNameError),
    ):
        find_backbone("bad.py:Tower")


def test_an_enhancer_is_known_by_its_name() -> None:
    (made,) = make_enhancers({"sharp.py:Sharper": {"power": 2.0}})
    assert (made.name, made.config.power) == ("sharper", 2.0)
    cls = find_enhancer("sharper")
    assert cls is type(made)
    assert "sharper" in list_enhancers()
    assert named_block({"sharp.py:Sharper": {}}) == named_block({cls: {}}) == {"sharper": {}}
    assert [one.name for one in make_enhancers([cls])] == ["sharper"]
    assert make_enhancers({cls: {"power": 3.0}})[0].config.power == 3.0
    assert make_enhancers("sharp.py:Sharper,rvrec")[1].name == "rvrec"
    with pytest.raises(ConfigurationError, match="'sharper' is given twice"):
        named_block({"sharper": {}, cls: {}})


def test_a_name_that_another_enhancer_has(here: Path) -> None:
    (here / "taken.py").write_text(SHARPER.replace('"sharper"', '"rvrec"'))
    with pytest.raises(
        ConfigurationError, match=r"taken\.py:Sharper has the name 'rvrec', which another enhancer has"
    ):
        find_enhancer("taken.py:Sharper")
    assert find_enhancer("rvrec").__module__.startswith("burnish.")
