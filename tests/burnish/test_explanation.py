"""Explanations: what a score consists of, and the forms that it is told in."""

from __future__ import annotations

import builtins
import json
import math
from typing import Any

import numpy as np
import pytest
import torch

from burnish.errors import UnsupportedError
from burnish.explanation import Explanation, Explanations, Reason, as_frame

PARTS = (
    Reason("interaction", "You chose A.", 0.5, {"item": "a", "title": "A"}, 0.125, "history"),
    Reason("interaction", "You chose B.", -0.25, {"item": "b"}, 0.0, "history"),
    Reason("attribute", "It is funny.", 7.0, {"attribute": "humor", "share": 0.5}, None, "guided"),
)


def one(**more: Any) -> Explanation:
    given: dict[str, Any] = {"method": "history", "base": 1.0, "omitted": 0.5, "exact": False, "budget": 64}
    return Explanation("u", "5", 2.0, PARTS, "Five", rank=3, additive=False, **given | more)


def test_a_standing_adds_up_to_the_score_by_way_of_the_average_item() -> None:
    lead = one(of="standing", average=0.75)
    assert lead.remainder == one().remainder
    assert lead.account().startswith(
        f"score {lead.score:.4g}: 0.75 as the average item has, +0.25 before any reason, "
    )
    assert json.loads(lead.to_json())["average"] == 0.75
    assert list(lead.to_frame()["of"].unique()) == ["standing"]
    assert lead.to_frame()["average"].tolist() == [0.75] * 3
    assert one().to_frame()["average"].isna().all()
    assert "average item" in lead._repr_html_()
    assert "average item" not in one()._repr_html_()


def test_the_parts_of_a_score_are_those_of_one_method() -> None:
    assert one().remainder == pytest.approx(2.0 - 1.0 - 0.5 - 0.25)
    assert one(base=None).remainder is None
    assert one(method="guided", omitted=0.0).remainder == pytest.approx(2.0 - 1.0 - 7.0)


def test_words() -> None:
    lines = one(note="so it is").to_text().splitlines()
    assert lines[0] == "Five (5) for user u: rank 3, score 2"
    assert lines[1] == "  +0.5 ± 0.12  You chose A."
    assert lines[2] == "  -0.25  You chose B."
    assert lines[4] == (
        "  score 2: 1 before any reason, +0.25 by those listed, +0.5 by others, +0.25 that no reason explains "
        "(history; estimated from 64 coalitions)"
    )
    assert lines[5] == "  so it is"
    assert str(one()) == one().to_text()
    assert "explains" not in Explanation("u", "5", 2.0, base=2.0, additive=True, method="m").account()


def test_json_and_tables_have_it_all() -> None:
    content = json.loads(one(omitted=math.nan).to_json())
    assert content["omitted"] is None
    assert content["remainder"] is None
    assert (content["rank"], content["share"], content["budget"]) == (3, 0.5, 64)
    assert [each["standard_error"] for each in content["reasons"]] == [0.125, 0.0, None]
    frame = Explanations([one(), Explanation("u", "6", 1.0, note="none")]).to_frame()
    assert list(frame["remainder"].iloc[:3]) == pytest.approx([0.25] * 3)
    assert list(frame["reason_method"].iloc[:3]) == ["history", "history", "guided"]
    assert frame["rank"].isna().tolist() == [False, False, False, True]
    assert frame.dtypes.equals(as_frame([Explanation("u", "6", 1.0)]).dtypes)


def test_evidence_of_numpy_and_torch_is_plain_numbers_however_deep() -> None:
    evidence = {
        "count": np.int64(3),
        "share": np.float32(0.5),
        "parts": (np.array([1.5, np.nan]), torch.tensor([1, 2])),
        "paths": [{"weight": float("inf"), "good": np.bool_(True)}],
    }
    found = Explanation("u", "5", 2.0, (Reason("path", "So.", 0.5, evidence),))
    plain = {
        "count": 3,
        "share": 0.5,
        "parts": [[1.5, None], [1, 2]],
        "paths": [{"weight": None, "good": True}],
    }
    assert json.loads(found.to_json())["reasons"][0]["evidence"] == plain
    assert json.loads(found.to_frame()["evidence"].iloc[0]) == plain


def test_a_notebook_shows_texts_escaped() -> None:
    html = Explanation("u", "5", 2.0, (Reason("path", "<b>x</b>", 0.5),), "<i>")._repr_html_()
    assert "&lt;b&gt;x" in html
    assert "<i>" not in html
    assert "±" in one()._repr_html_()


def test_shap_values_and_base_are_the_score() -> None:
    pytest.importorskip("shap")
    told = one().to_shap()
    assert told.feature_names == ["A", "b", "others", "not explained"]
    assert float(told.values.sum() + told.base_values) == pytest.approx(2.0)
    np.testing.assert_allclose(told.error_std, [0.125, 0, 0, 0]) if hasattr(told, "error_std") else None
    with pytest.raises(UnsupportedError, match="reasons of kind keyword are weights"):
        Explanation("u", "5", 2.0, (Reason("keyword", "tea", 0.1),)).to_shap()


def test_without_shap_it_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name == "shap":
            raise ImportError("No module named 'shap'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UnsupportedError, match=r"pip install 'burnish\[plots\]'"):
        one().to_shap()
