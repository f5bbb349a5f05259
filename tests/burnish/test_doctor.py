"""The doctor sees what is wrong and names the cure, also where torch or RecBole cannot be imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from burnish import doctor
from burnish.doctor import Folder, Level, Threads


def texts(findings: list[doctor.Finding]) -> str:
    return " | ".join(f"{finding.what} => {finding.cure}" for finding in findings)


def test_a_sound_environment_has_no_problems_and_active_mends(tmp_path: Path) -> None:
    report = doctor.examine(tmp_path / "runs" / "new")
    assert report.sound, texts(list(report.problems))
    assert report.packages["recbole"] == "1.2.1"
    assert report.broken == {}
    assert report.devices[0].startswith("cpu")
    assert report.threads.cores >= 1
    assert report.folder.writable
    states = {mend.name: mend.state for mend in report.mends}
    assert states["pickle-warning"] == "active"
    assert "dev" in report.extras
    again = json.loads(json.dumps(report.as_dict()))
    assert again["sound"] is True
    assert {finding["level"] for finding in again["findings"]} <= {"note"}


@pytest.mark.parametrize("blocked", ["recbole", "torch", "numpy", "scipy", "pandas"])
def test_it_speaks_where_a_library_does_not_import(blocked: str, tmp_path: Path) -> None:
    (tmp_path / blocked).mkdir()
    (tmp_path / blocked / "__init__.py").write_text("raise OSError('libbroken.so: cannot open')\n")
    code = f"""
import sys; sys.path.insert(0, {str(tmp_path)!r})
from burnish.doctor import examine
report = examine()
assert not report.sound
assert "libbroken.so" in report.broken[{blocked!r}], report.broken
assert any("libbroken.so" in f.what and "pip install" in f.cure for f in report.problems), report.problems
assert {blocked!r} != "torch" or report.threads.torch is None
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_missing_recbole_is_cured_by_setup() -> None:
    (finding,) = doctor.check_recbole(None, "not installed")
    assert finding.level is Level.PROBLEM
    assert finding.cure == "burnish setup"


def test_wrong_recbole_is_a_problem_that_explains_itself() -> None:
    assert "falls back" in texts(doctor.check_recbole("1.2.0", None))
    assert "burnish needs 1.2.1" in texts(doctor.check_recbole("1.3.0", None))
    assert doctor.check_recbole("1.2.1", None) == []


def test_a_package_that_recbole_lacks_is_named_by_what_to_install() -> None:
    assert "pip install scikit-learn" in texts(doctor.check_recbole("1.2.1", "No module named 'sklearn'"))
    assert "--force-reinstall" in texts(doctor.check_recbole("1.2.1", "OSError: x"))


def test_a_broken_library_is_named_with_its_cure() -> None:
    (finding,) = doctor.check_libraries({"numpy": "ImportError: x"})
    assert finding.cure == "pip install --force-reinstall --no-deps numpy"
    assert "ImportError: x" in finding.what
    assert doctor.check_libraries({"torch": "x"}) == []  # has a finding of its own


def test_missing_torch_is_cured_with_the_cpu_index() -> None:
    assert doctor.CPU_TORCH in texts(doctor.check_torch(None, "not installed"))
    broken = texts(doctor.check_torch("2.13.0", "OSError: x"))
    assert "OSError: x" in broken
    assert broken.count("--force-reinstall") == 2  # pip would keep a build of the same version


def test_unmet_requirements_are_read_from_the_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "numpy>=999.1",
        "pandas>=2.2",
        "no-such-package>=1",
        'old-python-only; python_version < "3.0"',
        'no-such-tool>=2; extra == "dev"',
    ]
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: lines)
    unmet, extras = doctor.requirements()
    assert unmet == {"numpy": "numpy>=999.1", "no-such-package": "no-such-package>=1"}
    assert extras == {"dev": ("no-such-tool",)}
    assert 'pip install "no-such-package>=1"' in texts(doctor.check_requirements(unmet))


def test_a_broken_ray_is_a_note_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed", lambda name: "2.6.3")
    monkeypatch.setattr(doctor, "ray_problem", lambda: "No module named 'pkg_resources'")
    (finding,) = doctor.check_ray()
    assert finding.level is Level.NOTE
    monkeypatch.setattr(doctor, "ray_problem", lambda: None)
    assert doctor.check_ray() == []


@pytest.mark.parametrize(
    ("cores", "torch", "load", "expected"),
    [
        (2, 2, 0.1, ""),
        (2, 2, 1.5, "busy"),
        (2, 1, 5.0, ""),
        (2, 8, 0.0, "8 threads on 2 cores"),
        (16, 8, 1.0, ""),
        (2, 2, None, ""),
        (2, None, 3.0, ""),
    ],
)
def test_threads_that_would_wait_for_each_other(
    cores: int, torch: int | None, load: float | None, expected: str
) -> None:
    findings = texts(doctor.check_threads(Threads(cores, torch, load, {})))
    assert expected in findings
    assert bool(expected) == bool(findings)


def test_a_folder_that_cannot_be_used_is_a_problem() -> None:
    assert "written into /x" in texts(doctor.check_folder(Folder("/x", writable=False, free_gib=5.0)))
    assert "0.25 GiB" in texts(doctor.check_folder(Folder("/x", writable=True, free_gib=0.25)))
    assert doctor.check_folder(Folder("/x", writable=True, free_gib=None)) == []


def test_find_folder_sees_that_nothing_can_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert not doctor.find_folder(file).writable
    assert doctor.find_folder(tmp_path).writable
