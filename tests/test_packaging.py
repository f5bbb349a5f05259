"""The package that users install is the one in this checkout: folders, data files, entry points."""

from __future__ import annotations

import configparser
import importlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: For maintainers: in a checkout, but not in the wheel.
CHECKOUT_ONLY = {"burnish.benchmarks.performance", "burnish.enhancers.conformance.matrix"}

#: Libraries that cost seconds, or break, and that nobody needs before a run starts.
HEAVY = ("recbole", "sklearn", "transformers", "shap", "plotly", "pandas", "ray", "matplotlib")


@pytest.fixture(scope="module")
def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


#: Of RecBole's own list: what burnish has a stand-in for, what only a plot of its hyper-parameter search needs, and
#: what it never imports (docs/dependencies.md).
NOT_NEEDED = {"ray", "plotly", "tabulate"}


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def pairs(text: str) -> dict[str, str]:
    return {key.strip(): value.strip() for key, value in (line.split("=", 1) for line in lines(text))}


@pytest.fixture(scope="module")
def roots(setup_cfg: configparser.ConfigParser) -> dict[str, Path]:
    """Dotted package name -> folder, for the four top-level folders of package_dir."""
    mapping = pairs(setup_cfg["options"]["package_dir"])
    return {name: ROOT / folder for name, folder in mapping.items()}


def dotted(folder: Path, roots: dict[str, Path]) -> str:
    """The package name of a folder below one of the roots."""
    for name, root in roots.items():
        if folder == root or root in folder.parents:
            return ".".join([name, *folder.relative_to(root).parts])
    raise AssertionError(f"{folder} lies below none of {sorted(roots)}")


def packages_on_disk(roots: dict[str, Path]) -> set[str]:
    return {dotted(init.parent, roots) for root in roots.values() for init in root.rglob("__init__.py")}


def test_every_package_on_disk_is_listed(
    setup_cfg: configparser.ConfigParser, roots: dict[str, Path]
) -> None:
    listed = lines(setup_cfg["options"]["packages"])
    assert len(listed) == len(set(listed)), "a package is listed twice in setup.cfg"
    assert set(listed) == packages_on_disk(roots) - CHECKOUT_ONLY


def test_what_the_wheel_leaves_out_runs_from_a_checkout() -> None:
    """An editable install maps folders, so that packages below them are found whether or not they are listed."""
    for package in CHECKOUT_ONLY:
        assert ROOT in Path(str(importlib.import_module(package).__file__)).parents


def test_every_folder_with_python_files_is_a_package(roots: dict[str, Path]) -> None:
    bare = {
        str(path.parent.relative_to(ROOT))
        for root in roots.values()
        for path in root.rglob("*.py")
        if not (path.parent / "__init__.py").is_file()
    }
    assert not bare, f"folders without __init__.py, which the wheel would leave out: {sorted(bare)}"


def test_every_data_file_is_package_data(
    setup_cfg: configparser.ConfigParser, roots: dict[str, Path]
) -> None:
    """A YAML plan or a template that package_data does not match is in the checkout but not in the wheel."""
    patterns = {
        package: [p.strip() for p in value.replace(",", "\n").splitlines() if p.strip()]
        for package, value in setup_cfg["options.package_data"].items()
    }
    packages = packages_on_disk(roots)
    left_out = []
    for root in roots.values():
        for path in root.rglob("*"):
            if path.is_dir() or path.suffix in (".py", ".pyc", ".md"):
                continue
            folder = path.parent
            while dotted(folder, roots) not in packages:
                folder = folder.parent
            inside = path.relative_to(folder).as_posix()
            if not any(fnmatch(inside, pattern) for pattern in patterns.get(dotted(folder, roots), [])):
                left_out.append(str(path.relative_to(ROOT)))
    assert not left_out, f"in no package_data pattern of setup.cfg: {left_out}"


def entry_points(setup_cfg: configparser.ConfigParser) -> list[tuple[str, str, str]]:
    section = setup_cfg["options.entry_points"]
    return [(group, name, value) for group in section for name, value in pairs(section[group]).items()]


def test_entry_points_resolve(setup_cfg: configparser.ConfigParser) -> None:
    found = entry_points(setup_cfg)
    assert ("console_scripts", "burnish", "burnish.cli.main:main") in found
    for group, name, value in found:
        target = importlib.metadata.EntryPoint(name, value, group).load()
        assert callable(target), f"{group}: {name} = {value}"


def test_enhancer_entry_points_carry_their_own_name(setup_cfg: configparser.ConfigParser) -> None:
    enhancers = [(n, v) for group, n, v in entry_points(setup_cfg) if group == "burnish.enhancers"]
    assert enhancers
    for name, value in enhancers:
        cls = importlib.metadata.EntryPoint(name, value, "burnish.enhancers").load()
        assert cls.name == name


def test_version_is_one(setup_cfg: configparser.ConfigParser) -> None:
    module, attribute = setup_cfg["metadata"]["version"].removeprefix("attr:").strip().rsplit(".", 1)
    version = getattr(importlib.import_module(module), attribute)
    assert version == importlib.import_module("burnish").__version__
    assert f"[{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def loaded_by(code: str) -> set[str]:
    """Top-level modules loaded by `code` in a fresh interpreter."""
    script = f"import sys\n{code}\nimport json; print(json.dumps([m.split('.')[0] for m in sys.modules]))"
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_burnish_is_light() -> None:
    loaded = loaded_by("import burnish")
    assert "burnish" in loaded
    assert not loaded & set(HEAVY)
    assert not loaded_by("import burnish; burnish.data") & {*HEAVY, "pyarrow"}


def test_command_line_help_is_light() -> None:
    """`burnish --help` must answer at once: it loads neither torch nor RecBole."""
    loaded = loaded_by("from burnish.cli.main import app")
    assert "typer" in loaded
    assert not loaded & {*HEAVY, "torch", "scipy"}


def names_of(requirements: list[str]) -> set[str]:
    """Distribution names, in lower case, of lines of requirements; comments and `%(...)s` are left out."""
    return {re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() for line in requirements if line[0] not in "#%"}


def test_what_recbole_needs_is_required_by_burnish(setup_cfg: configparser.ConfigParser) -> None:
    """`burnish setup` installs RecBole without its list, so what it imports has to be on ours."""
    listed = importlib.metadata.requires("recbole") or []
    theirs = names_of([line for line in listed if "extra ==" not in line])
    ours = names_of(lines(setup_cfg["options"]["install_requires"]))
    assert theirs >= NOT_NEEDED
    assert theirs - ours == NOT_NEEDED


def test_nothing_that_pip_takes_by_itself_asks_for_ray(setup_cfg: configparser.ConfigParser) -> None:
    """On every Python alike: no requirement depends on the version."""
    required = lines(setup_cfg["options"]["install_requires"])
    assert not names_of(required) & {"recbole", "ray", "shap", "pot", "mypy", "transformers"}
    assert not [line for line in required if ";" in line]
    assert "%(recbole)s" not in setup_cfg.get("options.extras_require", "dev", raw=True)


def test_recbole_is_one_version(setup_cfg: configparser.ConfigParser) -> None:
    from burnish.installation import RECBOLE

    wanted = f"recbole=={RECBOLE}"
    assert lines(setup_cfg.get("options.extras_require", "recbole", raw=True))[-1] == wanted
    assert wanted in lines((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    assert importlib.metadata.version("recbole") == RECBOLE


def recipe(target: str, folder: Path) -> str:
    """What `make` would run for a target where nothing is installed."""
    words = [
        "make",
        "-n",
        target,
        f"VENV={folder / 'none'}",
        "TORCH_INDEX=https://cpu",
        "PIP_FLAGS=--some-flag",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, env=environment)
    return done.stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_demo_installs_what_the_demo_needs_and_make_test_the_rest(tmp_path: Path) -> None:
    demo, tests = recipe("demo", tmp_path), recipe("test", tmp_path)
    assert "[dev]" not in demo
    assert tests.startswith(demo[: demo.index("/bin/burnish bench")].rsplit("\n", 1)[0])
    assert "-e '.[dev]'" in tests
    assert demo.index("MB to download") < demo.index("-m venv")
    steps = [line for line in demo.splitlines() if "--some-flag" in line]
    assert [step.split("--some-flag", 1)[1].strip() for step in steps] == [
        "--no-deps torch --extra-index-url=https://cpu",
        "-e .",
        "",  # burnish setup
    ]
    assert "burnish setup -c constraints.txt" in steps[2]


def small_wheel(index: Path, name: str, version: str, *requirements: str) -> None:
    """A wheel with nothing in it but its metadata, in a folder that pip can read as an index."""
    folder = index / name
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    about = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    about += [f"Requires-Dist: {one}" for one in requirements]
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "\n".join(about) + "\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    links = [f'<a href="{file.name}">{file.name}</a>' for file in sorted(folder.glob("*.whl"))]
    (folder / "index.html").write_text("\n".join(links))


def test_the_line_for_the_cpu_build_wins(tmp_path: Path) -> None:
    """docs/install.md: with the second index, every pip call takes torch's CPU build, pinned or not."""
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
    if subprocess.run([*pip[:3], "--version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs pip")
    public, cpu = tmp_path / "public", tmp_path / "cpu"
    for version in ("2.12.0", "2.13.0"):
        small_wheel(public, "torch", version, "nvidia")
        small_wheel(cpu, "torch", f"{version}+cpu")
    small_wheel(public, "nvidia", "13")
    small_wheel(public, "somebody", "1", "torch>=2.1")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    plain |= {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": public.as_uri()}

    def taken(*words: str, **more: str) -> str:
        environment = {**plain, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **more}
        done = subprocess.run([*pip, *words], capture_output=True, text=True, check=True, env=environment)
        return done.stdout.splitlines()[-1]

    assert taken("somebody").endswith("nvidia-13 somebody-1 torch-2.13.0")
    assert taken("somebody", PIP_EXTRA_INDEX_URL=cpu.as_uri()).endswith("install somebody-1 torch-2.13.0+cpu")
    assert taken("torch==2.12.0", f"--extra-index-url={cpu.as_uri()}").endswith("install torch-2.12.0+cpu")
