"""RecBole gives, mended on this stack, what it gave on the stack that it was made for.

tests/tools/record_reference.py recorded tests/data/recbole_reference.json there, without burnish.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

import burnish  # noqa: F401  (activates the mends)

TESTS = Path(__file__).parents[2]
RECORDED = json.loads((TESTS / "data" / "recbole_reference.json").read_text())


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = _load(TESTS / "tools" / "record_reference.py")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As it was recorded: the order of a sum depends on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_every_case_is_recorded() -> None:
    assert set(RECORDED) == {"stack", *reference.CASES}


@pytest.mark.parametrize("case", reference.CASES)
def test_data_losses_and_metrics_are_as_recorded(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hashes exactly; numbers but for what another processor may change (here they are equal)."""
    from recbole.data.dataset.dataset import Dataset

    # The recorded stack sorts by times in single precision, which is mended here: see `exact-times`.
    for name in ("build", "_change_feat_format"):
        monkeypatch.setattr(Dataset, name, getattr(Dataset, name).__wrapped__)
    measured, expected = reference.measure(case, tmp_path), RECORDED[case]
    assert measured["data"] == expected["data"]
    assert measured["losses"] == pytest.approx(expected["losses"], rel=1e-4)
    assert measured["metrics"] == pytest.approx(expected["metrics"], rel=1e-2, abs=1e-3)
