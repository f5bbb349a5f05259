"""Examine the environment: what is installed, which mends are active, what is wrong and how to cure it.

`examine` returns plain data; `burnish doctor` prints it.  It needs nothing beyond Python and burnish itself, so
that it can still speak where torch or RecBole is missing or broken.
"""

from __future__ import annotations

import dataclasses
import enum
import os
import platform
import re
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from burnish.installation import CPU_INDEX, RECBOLE

from .compat import Mend, all_mends, hook
from .compat.mend import release
from .compat.ray_ import ray_problem

CPU_TORCH = f"pip install torch --index-url {CPU_INDEX}"
#: Where a torch is there: the other build has the same version, so pip would keep what it has.
CPU_TORCH_ANEW = f"pip install --force-reinstall --no-deps torch --index-url {CPU_INDEX}"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
SHOWN = ("burnish", "recbole", "torch", "numpy", "scipy", "pandas", "ray", "dgl", "torch_scatter")
#: Below this much free space, in GiB, a run may not be able to write its checkpoints.
LITTLE_SPACE = 1.0
# Where the name that fails to import is not the name to install.
_DISTRIBUTIONS = {"yaml": "pyyaml", "sklearn": "scikit-learn", "ot": "pot", "google": "protobuf"}


class Level(enum.Enum):
    """How grave a finding is."""

    PROBLEM = "problem"  # something will fail
    NOTE = "note"  # works, but good to know


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something about the environment, and what to do about it."""

    level: Level
    what: str
    cure: str


@dataclasses.dataclass(frozen=True)
class MendStatus:
    """One mend: its name, the library and versions it is for, the symptom, and its state in this process."""

    name: str
    versions: str
    symptom: str
    state: str


@dataclasses.dataclass(frozen=True)
class Threads:
    """cores: usable by this process.  torch: its threads, None without torch.  load: of the last minute."""

    cores: int
    torch: int | None
    load: float | None
    variables: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Folder:
    """Where runs would write: whether that works, and the free space in GiB."""

    path: str
    writable: bool
    free_gib: float | None


@dataclasses.dataclass(frozen=True)
class Report:
    """Everything that `examine` found.

    packages: version by name, None where absent.  broken: the first library that does not import, and why.
    extras: by extra of burnish, the packages that are missing for it.
    """

    python: str
    executable: str
    system: str
    packages: dict[str, str | None]
    broken: dict[str, str]
    mends: tuple[MendStatus, ...]
    threads: Threads
    devices: tuple[str, ...]
    extras: dict[str, tuple[str, ...]]
    folder: Folder
    findings: tuple[Finding, ...]

    @property
    def problems(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.level is Level.PROBLEM)

    @property
    def notes(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.level is Level.NOTE)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong; notes do not count."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready dictionaries and lists."""
        plain = dataclasses.asdict(self)
        plain["findings"] = [{**finding, "level": finding["level"].value} for finding in plain["findings"]]
        return {**plain, "sound": self.sound}


def examine(folder: str | Path = ".") -> Report:
    """Look at everything; `folder` is where runs would write.  Imports torch and RecBole if it can.

    Nothing is raised for what is wrong: it is in the report, with its cure.
    """
    packages = {name: installed(name) for name in SHOWN}
    broken = first_broken()
    order = list(_IMPORTS)
    torch_works = not broken or order.index("torch") < order.index(next(iter(broken)))
    threads, place = find_threads(torch_works), find_folder(Path(folder))
    required, extras = requirements()
    findings = [
        *check_torch(packages["torch"], broken.get("torch")),
        *check_libraries(broken),
        *check_recbole(packages["recbole"], broken.get("recbole")),
        *check_requirements(required),
        *([] if broken else check_ray()),
        *check_threads(threads),
        *check_gpu(torch_works),
        *check_folder(place),
    ]
    return Report(
        python=platform.python_version(),
        executable=sys.executable,
        system=platform.platform(),
        packages=packages,
        broken=broken,
        mends=tuple(_status(mend) for mend in all_mends()),
        threads=threads,
        devices=find_devices(threads.cores, torch_works),
        extras=extras,
        folder=place,
        findings=tuple(findings),
    )


# What others need goes first.  RecBole's quick start leaves its data sets and trainers for later; with them most mends
# are active.
_IMPORTS = {
    "numpy": ("numpy",),
    "torch": ("torch",),
    "scipy": ("scipy.sparse",),
    "pandas": ("pandas",),
    "pyarrow": ("pyarrow",),
    "scikit-learn": ("sklearn.metrics",),
    "recbole": ("recbole.quick_start", "recbole.data.dataset", "recbole.trainer"),
}


def first_broken() -> dict[str, str]:
    """The first library that does not import, with the reason; empty where all do.

    Those after it are left alone: a library that imports a broken one again can take the whole process down.
    """
    for name, modules in _IMPORTS.items():
        for module in modules:
            if reason := hook.import_works(module):
                return {name: reason}
    return {}


def _status(mend: Mend) -> MendStatus:
    try:
        state = mend.state.value
    except Exception:  # it asks a library that does not import: there is a finding on that
        state = "unknown"
    return MendStatus(mend.name, mend.versions, mend.symptom, state)


# ------------------------------------------------------------------ facts


def installed(name: str) -> str | None:
    """The version of an installed distribution, without importing it; None where absent."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def requirements() -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """burnish's own requirements that are not met, as `{"pot": "pot>=0.9.4"}`, and what each extra lacks."""
    unmet: dict[str, str] = {}
    extras: dict[str, list[str]] = {}
    try:
        lines = metadata.requires("burnish") or []
    except metadata.PackageNotFoundError:  # run from a folder, not installed
        lines = []
    for line in lines:
        wanted, _, marker = (part.strip() for part in line.partition(";"))
        extra = re.search(r"extra\s*==\s*[\"']([^\"']+)", marker)
        if not _fits_python(marker):
            continue
        name = re.split(r"[^\w.-]", wanted, maxsplit=1)[0]
        if extra:
            extras.setdefault(extra[1], [])
        if _met(name, wanted):
            continue
        if extra:
            extras[extra[1]].append(name)
        else:
            unmet[name] = wanted.replace(" ", "")
    return unmet, {extra: tuple(missing) for extra, missing in extras.items()}


def _fits_python(marker: str) -> bool:
    """Whether the `python_version` part of a marker, `<` or `>=` as burnish uses them, holds here."""
    for comparison, text in re.findall(r"python_version\s*(<|>=)\s*[\"']([\d.]+)", marker):
        bound = tuple(int(part) for part in text.split("."))
        if (sys.version_info[:2] < bound) != (comparison == "<"):
            return False
    return True


def _met(name: str, wanted: str) -> bool:
    if installed(name) is None:
        return False
    lowest = re.search(r">=\s*(\d+)(?:\.(\d+))?", wanted)
    return lowest is None or release(name) >= (int(lowest[1]), int(lowest[2] or 0))


def find_threads(torch_works: bool) -> Threads:
    """Cores that this process may use, torch's threads, the load, and the variables that set threads."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux: fewer than os.cpu_count() in a container
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    count = None
    if torch_works:
        import torch

        count = torch.get_num_threads()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    variables = {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ}
    return Threads(cores, count, load, variables)


def find_devices(cores: int, torch_works: bool) -> tuple[str, ...]:
    """The devices that torch can use, the CPU first."""
    devices = [f"cpu ({cores} cores)"]
    if torch_works:
        import torch

        for index in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(index)
            devices.append(f"cuda:{index} ({card.name}, {card.total_memory / 2**30:.0f} GiB)")
        if torch.backends.mps.is_available():
            devices.append("mps")
    return tuple(devices)


def find_folder(path: Path) -> Folder:
    """Whether files can be written into `path`, or into its nearest parent that exists, and the space there."""
    path = path.resolve()
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            writable = True
    except OSError:
        writable = False
    try:
        free = shutil.disk_usage(there).free / 2**30
    except OSError:
        free = None
    return Folder(str(path), writable, free)


# ------------------------------------------------------------------ findings


def check_torch(version: str | None, reason: str | None) -> list[Finding]:
    """torch is there and imports."""
    if reason is None:
        return []
    if version is None:
        return [_problem("torch is not installed.", f"{CPU_TORCH}   (CPU), or: pip install torch   (CUDA)")]
    return [
        _problem(
            f"torch {version} does not import: {reason}",
            f"pip install --force-reinstall torch   or, for the CPU: {CPU_TORCH_ANEW}",
        )
    ]


def check_libraries(broken: dict[str, str]) -> list[Finding]:
    """What is installed and does not import; absent ones are requirements that are not met."""
    return [
        _problem(
            f"{name} {version} does not import: {why}", f"pip install --force-reinstall --no-deps {name}"
        )
        for name, why in broken.items()
        if name not in ("torch", "recbole") and (version := installed(name)) is not None
    ]


def check_recbole(version: str | None, reason: str | None) -> list[Finding]:
    """RecBole is there, in the right version, and imports."""
    if version is None:
        return [_problem("RecBole is not installed.", "burnish setup")]
    findings = []
    if version != RECBOLE:
        why = " (pip falls back to it where ray has no wheel)" if version == "1.2.0" else ""
        findings.append(
            _problem(f"RecBole {version} is installed{why}; burnish needs {RECBOLE}.", "burnish setup")
        )
    if reason is not None:
        missing = re.search(r"No module named '(\w+)", reason)
        cure = f"pip install --force-reinstall --no-deps recbole=={RECBOLE}"
        if missing and missing[1] != "recbole":
            cure = f"pip install {_DISTRIBUTIONS.get(missing[1], missing[1])}"
        findings.append(_problem(f"RecBole {version} does not import: {reason}", cure))
    return findings


def check_requirements(unmet: dict[str, str]) -> list[Finding]:
    """Everything else that burnish needs; torch and RecBole have findings of their own where absent."""
    return [
        _problem(
            f"{name} {installed(name) or 'is missing'}; burnish needs {wanted}.", f'pip install "{wanted}"'
        )
        for name, wanted in unmet.items()
        if name not in ("torch", "recbole") or installed(name) is not None
    ]


def check_ray() -> list[Finding]:
    """A ray that is there but does not import."""
    if installed("ray") is None or ray_problem() is None:
        return []
    return [
        _note(
            f"ray {installed('ray')} does not import ({ray_problem()}). burnish never uses it; RecBole's quick "
            "start is given a stand-in.",
            "Nothing to do.",
        )
    ]


def check_threads(threads: Threads) -> list[Finding]:
    """More threads than cores, or threads that would fight with other work for the cores."""
    if threads.torch is None or threads.torch == 1:
        return []
    cure = "burnish run --threads 1, or OMP_NUM_THREADS=1 before Python starts"
    if threads.torch > threads.cores:
        return [_note(f"torch would use {threads.torch} threads on {threads.cores} cores.", cure)]
    if threads.load is not None and threads.load + threads.torch > 1.25 * threads.cores:
        return [
            _note(
                f"The machine is busy (load {threads.load:.1f}) and torch would use {threads.torch} threads on "
                f"{threads.cores} cores. Threads that wait for a core make each other wait: two of them on a busy "
                "2-core machine trained LightGCN 30 times slower than one.",
                cure,
            )
        ]
    return []


def check_gpu(torch_works: bool) -> list[Finding]:
    """A torch build that does not fit the machine."""
    if not torch_works:
        return []
    import torch

    if torch.version.cuda is not None and not torch.cuda.is_available():
        return [
            _note("torch is a CUDA build, and there is no usable GPU: it works, on the CPU.", CPU_TORCH_ANEW)
        ]
    if torch.version.cuda is None and Path("/dev/nvidia0").exists():
        return [
            _note("There is an NVIDIA GPU, and torch is a CPU build.", "pip install --force-reinstall torch")
        ]
    return []


def check_folder(folder: Folder) -> list[Finding]:
    """Runs write checkpoints, logs and results."""
    findings = []
    if not folder.writable:
        findings.append(
            _problem(
                f"Nothing can be written into {folder.path}.", "Start elsewhere, or give --output FOLDER."
            )
        )
    if folder.free_gib is not None and folder.free_gib < LITTLE_SPACE:
        text = f"Only {folder.free_gib:.2f} GiB are free in {folder.path}."
        findings.append(_problem(text, "Free some space, or give --output FOLDER on another disk."))
    return findings


def _problem(what: str, cure: str) -> Finding:
    return Finding(Level.PROBLEM, what, cure)


def _note(what: str, cure: str) -> Finding:
    return Finding(Level.NOTE, what, cure)
