"""The conformance suite: sound subjects pass, and each broken promise is noticed by the check that states it."""

from __future__ import annotations

import ast
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from burnish.enhancers import conformance
from burnish.enhancers.conformance import (
    REPRESENTATIVE,
    Outcome,
    check_backbone,
    check_enhancer,
    definitions,
    write_data,
)
from burnish.enhancers.conformance.matrix.__main__ import WITHOUT_TABLES, backbones_with_tables
from burnish.enhancers.conformance.matrix.page import page
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.options import EnhancerConfig
from burnish.enhancers.zoo import OUTSIDE, find_backbone, list_backbones
from burnish.errors import UnknownNameError, UnsupportedError

IN_ONE_PROCESS = [name for name in definitions() if name != "two processes"]


@pytest.fixture(autouse=True)
def _quiet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


def outcome_of(check: str, enhancer: Enhancer[Any], backbone: str | type = "BPR") -> Outcome:
    (found,) = [c.outcome() for c in check_backbone(backbone, enhancers=[enhancer], only=[check])]
    return found


# ------------------------------------------------------------------ sound subjects


@pytest.mark.parametrize("backbone", REPRESENTATIVE)
def test_representative_backbones_keep_every_promise(backbone: str) -> None:
    outcomes = [check.outcome() for check in check_backbone(backbone, only=IN_ONE_PROCESS)]
    assert len(outcomes) == len(IN_ONE_PROCESS)
    broken = [f"{o.check}: {o.detail}" for o in outcomes if o.status not in ("passed", "not applicable")]
    assert not broken
    # What does not apply must be the backbone's own limit, known here by name.
    limits = {"one-row batch", "float64", "checkpoint reloads", "baked checkpoint is plain"}
    limits |= {"nothing stale", "saves and loads"} if backbone == "KGAT" else set()
    assert {o.check for o in outcomes if o.status == "not applicable"} <= limits


def test_two_processes_agree_with_one() -> None:
    for backbone in ("BPR",):
        (check,) = check_backbone(backbone, only=["two processes"])
        assert check().status == "passed"


def test_there_are_84_backbones_with_tables_and_the_others_refuse() -> None:
    assert len(backbones_with_tables()) == 84
    recboles = {name for name, category in list_backbones().items() if category not in OUTSIDE}
    assert set(backbones_with_tables()) | set(WITHOUT_TABLES) == recboles
    for name in set(WITHOUT_TABLES) - {
        "LightGBM",
        "XGBoost",
    }:  # these two need their packages even to be found
        outcomes = {check.outcome().status for check in check_backbone(name, only=["attaches"])}
        assert outcomes == {"refused"}, name


# ------------------------------------------------------------------ broken promises


class Broken(Enhancer[EnhancerConfig]):
    """A base for enhancers that break one promise each; by itself it breaks none."""

    name = "broken"

    def bind(self, anatomy: Any, dataset: Any) -> None:
        self.shift = nn.Parameter(torch.zeros(()))

    def refines(self, table: Any) -> bool:
        return True

    def refine(self, rows: Tensor, ids: Tensor, table: Any) -> Tensor:
        return rows + self.shift

    def loss(self, batch: Any) -> dict[str, Tensor]:
        return {"pull": (self.shift - 1).square().expand(len(batch))}


class NotTheIdentity(Broken):
    def refine(self, rows: Tensor, ids: Tensor, table: Any) -> Tensor:
        return rows * 1.001 + self.shift


class DrawsFromTheGlobalStream(Broken):
    def loss(self, batch: Any) -> dict[str, Tensor]:
        np.random.rand()
        return super().loss(batch)


class WithoutGradient(Broken):
    def bind(self, anatomy: Any, dataset: Any) -> None:
        super().bind(anatomy, dataset)
        self.idle = nn.Parameter(torch.zeros(3))


class CountsEvaluations(Broken):
    def bind(self, anatomy: Any, dataset: Any) -> None:
        super().bind(anatomy, dataset)
        self.register_buffer("count", torch.zeros(()))

    def refine(self, rows: Tensor, ids: Tensor, table: Any) -> Tensor:
        if not self.training:
            self.count += 1
        return rows + self.shift


class Remembers(Broken):
    kept: Tensor | None = None

    def refine(self, rows: Tensor, ids: Tensor, table: Any) -> Tensor:
        if not self.training:
            if self.kept is None:
                self.kept = self.shift.detach().clone()
            return rows + self.kept
        return rows + self.shift


class DiffersEveryTime(Broken):
    made: ClassVar[int] = 0

    def bind(self, anatomy: Any, dataset: Any) -> None:
        super().bind(anatomy, dataset)
        type(self).made += 1
        self.wanted = float(type(self).made)

    def loss(self, batch: Any) -> dict[str, Tensor]:
        return {"pull": (self.shift - self.wanted).square().expand(len(batch))}


class KeepsAPlainNumber(Broken):
    """What it learned is in no tensor, so a checkpoint cannot bring it back."""

    extra = 0.0

    def loss(self, batch: Any) -> dict[str, Tensor]:
        self.extra += 0.1
        return super().loss(batch)

    def refine(self, rows: Tensor, ids: Tensor, table: Any) -> Tensor:
        return rows + self.shift + self.extra * rows


class OneShiftAnId(Broken):
    """Right in itself, but it does not say that its shifts have a row for each id."""

    def bind(self, anatomy: Any, dataset: Any) -> None:
        self.shifts = nn.ParameterDict(
            {
                "user": nn.Parameter(torch.zeros(anatomy.n_users)),
                "item": nn.Parameter(torch.zeros(anatomy.n_items)),
            }
        )

    def refine(self, rows: Tensor, ids: Tensor, table: Any) -> Tensor:
        return rows + self.shifts[table.side][ids].unsqueeze(-1)

    def loss(self, batch: Any) -> dict[str, Tensor]:
        total: Any = sum((s - torch.arange(len(s)).sin()).square().sum() for s in self.shifts.values())
        return {"pull": total.expand(len(batch))}


class InFloat32(Broken):
    def loss(self, batch: Any) -> dict[str, Tensor]:
        return {"pull": torch.zeros(len(batch), dtype=torch.float32) / 0 + self.shift.float()}


class NeedsTwoRows(Broken):
    def loss(self, batch: Any) -> dict[str, Tensor]:
        return {"pull": (self.shift.expand(len(batch)) - torch.arange(float(len(batch))).std()).square()}


class Refuses(Broken):
    def bind(self, anatomy: Any, dataset: Any) -> None:
        raise UnsupportedError("not on this one")


BROKEN = {
    "identity at start": NotTheIdentity,
    "same random stream": DrawsFromTheGlobalStream,
    "gradients arrive": WithoutGradient,
    "evaluation is pure": CountsEvaluations,
    "nothing stale": Remembers,
    "same seed, same result": DiffersEveryTime,
    "checkpoint reloads": KeepsAPlainNumber,
    "saves and loads": KeepsAPlainNumber,
    "other order of ids": OneShiftAnId,
    "float64": InFloat32,
    "one-row batch": NeedsTwoRows,
}


@pytest.mark.parametrize("check", BROKEN)
def test_a_broken_promise_is_noticed(check: str) -> None:
    assert outcome_of(check, Broken()).status == "passed"
    found = outcome_of(check, BROKEN[check]())
    assert found.status == "failed", found
    assert found.detail


def test_padding_that_is_refined_is_noticed(monkeypatch) -> None:
    from burnish.enhancers.tables import Refinement

    assert outcome_of("padding untouched", Broken()).status == "passed"
    monkeypatch.setattr(
        Refinement,
        "_refine_whole",
        lambda self: self._refine(self.raw, torch.arange(len(self.raw)), *self.spans[0]),
    )
    found = outcome_of("padding untouched", Broken())
    assert found.status == "failed"
    assert "row 0 of" in found.detail


class HoldsItsEnhancers(find_backbone("BPR")):  # type: ignore[misc]
    """A backbone that copies the refined table when it is made: detached, it is not what it was."""

    def train(self, mode: bool = True) -> Any:
        result = super().train(mode)
        with torch.no_grad():
            self.user_embedding._parameters["weight"].mul_(1.5)
        return result


def test_a_backbone_that_changes_its_tables_when_it_is_evaluated_is_noticed() -> None:
    statuses = {
        check.name: check.outcome().status
        for check in check_backbone(HoldsItsEnhancers, only=["evaluation is pure", "attaches"])
    }
    assert statuses == {"attaches": "passed", "evaluation is pure": "failed"}


# ------------------------------------------------------------------ the calls


def test_expected_failures_are_told_apart_from_failures_and_from_passes() -> None:
    wrong = [NotTheIdentity()]
    (known,) = check_backbone(
        "BPR", enhancers=wrong, only=["identity at start"], expected_failed={"identity at start": "by design"}
    )
    assert known.outcome().status == "expected failure"
    assert known.outcome().detail == "by design"
    known()  # no error
    (sound,) = check_backbone("BPR", only=["attaches"], expected_failed={"attaches": "it should not"})
    assert sound.outcome().status == "unexpected pass"
    with pytest.raises(AssertionError, match="announced as failing"):
        sound()
    (unknown,) = check_backbone("BPR", enhancers=wrong, only=["identity at start"])
    with pytest.raises(AssertionError, match="promise: Before training"):
        unknown()


def test_a_refusal_is_reported_with_its_reason() -> None:
    outcomes = [
        c.outcome() for c in check_enhancer(Refuses(), backbones=["BPR", "SASRec"], only=["attaches"])
    ]
    assert [(o.backbone, o.status, o.detail) for o in outcomes] == [
        ("BPR", "refused", "not on this one"),
        ("SASRec", "refused", "not on this one"),
    ]


def test_names_that_do_not_exist_are_errors() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'attaches'"):
        list(check_backbone("BPR", only=["attach"]))
    with pytest.raises(UnknownNameError, match="Did you mean 'BPR'"):
        list(check_backbone("BPRR"))


def test_the_data_are_the_same_for_the_same_arguments_and_may_have_as_many_users_as_items(tmp_path) -> None:
    first, second = write_data(tmp_path / "a"), write_data(tmp_path / "b")
    for file in sorted(first.iterdir()):
        assert file.read_bytes() == (second / file.name).read_bytes()
    square = write_data(tmp_path / "c", n_users=30, n_items=30)
    rows = [line.split("\t") for line in (square / "conformance.inter").read_text().splitlines()[1:]]
    assert len({row[0] for row in rows}) == len({row[1] for row in rows}) == 30
    assert len({(row[0], row[1]) for row in rows}) == len(rows)
    assert len({row[3] for row in rows}) == len(rows)


# ------------------------------------------------------------------ the page


def test_the_page_counts_what_the_outcomes_say() -> None:
    def made(backbone: str, check: str, status: Any, detail: str = "") -> Outcome:
        return Outcome(backbone, "probe", check, status, detail, 0.1)

    outcomes = [
        made("BPR", "attaches", "passed"),
        made("LR", "attaches", "refused", "no | table"),
        made("BPR", "float64", "failed", "AssertionError: x"),
        made("LR", "float64", "not applicable", "why"),
    ]
    text = "\n".join(page(outcomes, ["about weights"]))
    attaches = next(line for line in text.splitlines() if line.startswith("| attaches |"))
    assert attaches.endswith("| 1 passed, 1 refused |")
    assert "| refused | every check | LR | probe | no \\| table |" in text
    assert "| failed | float64 | BPR | probe | AssertionError: x |" in text
    assert "| BPR | general | 1 passed, 1 **failed** |" in text
    assert "| LR | context | 1 refused, 1 not applicable |" in text
    assert "about weights" in text
    assert "to 2 backbones" in text


def test_promises_hold_where_asserts_are_off() -> None:
    """`python -O` removes assert statements: a promise must raise by itself."""
    package = Path(str(conformance.__file__)).parent
    bare = [
        f"{file.name}:{node.lineno}"
        for file in sorted(package.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert)
    ]
    assert not bare
    code = (
        "import torch\n"
        "from burnish.enhancers.conformance.subject import assert_equal_states\n"
        "assert False, 'asserts are on'\n"
        "assert_equal_states({'a': torch.zeros(1)}, {'a': torch.ones(1)})\n"
    )
    ended = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.strip().endswith("AssertionError: a of the state dict differs")
