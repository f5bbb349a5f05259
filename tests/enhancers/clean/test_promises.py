"""What every enhancer promises, of `clean`; the suite's data are few, so noise is looked for in fewer than usual."""

from __future__ import annotations

import pytest

from burnish.enhancers.clean.clean import Clean
from burnish.enhancers.conformance.suite import check_enhancer

PROMISES = [
    check
    for check in check_enhancer(
        Clean(repeats=1, kinds="uniform", least=0.0), backbones=["BPR", "LightGCN", "MultiVAE", "SASRec"]
    )
    if check.name != "two processes"
]


@pytest.fixture(autouse=True)
def _of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("clean", "planted"):
        monkeypatch.setattr(f"burnish.enhancers.clean.{module}.LEAST_ROWS", 1)
    monkeypatch.setattr("burnish.enhancers.clean.planted.MOST", 1.0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", PROMISES, ids=repr)
def test_promises(check) -> None:  # type: ignore[no-untyped-def]
    assert check().status in ("passed", "not applicable")
