"""How sure a model with Gaussians is, told beside the reasons of its history, in every form."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from burnish.enhancers.conformance.data import NAME, write_data
from burnish.enhancers.conformance.presets import preset
from burnish.errors import UnsupportedError
from burnish.explanation import KINDS
from burnish.trained.explain import Explainer, explain
from burnish.trained.explanation_formats import line
from burnish.trained.explanation_sentences import sentence
from burnish.trained.open import open_trained
from burnish.trained.page import to_page
from burnish.trained.reason_givers import explaining_names
from burnish.training.train import train

RATIO = {"eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user", "mode": "full"}}
BY_DISTANCE = {"objective": True, "spread_role": "distance", "score": "w2", "initial_spread": 1.0}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Trained BPRs by the options of their rvrec."""
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    kept: dict[str, Any] = {}

    def model(**options: Any) -> Any:
        key = json.dumps(options)
        if key not in kept:
            settings = {**preset("BPR"), "epochs": 2, "data_path": str(folder), "threads": 1, **RATIO}
            kept[key] = open_trained(train("BPR", NAME, options=settings, enhancers={"rvrec": options}))
        return kept[key]

    return model


def test_beside_the_history_in_every_form(models: Any) -> None:
    trained = models()
    explainer = Explainer(trained, top=1)
    assert [giver.name for giver in explainer.givers] == ["history", "rvrec"]
    (one,) = explainer.explanations("u3")
    why, sure = (
        [reason for reason in one.reasons if (reason.kind == "uncertainty") == unsure]
        for unsure in (False, True)
    )
    assert {reason.kind for reason in why} == {"interaction"}
    assert "uncertainty" in KINDS
    assert [reason.evidence["about"] for reason in sure] == ["item", "user"]
    data = trained.dataset
    spread = trained.model.enhancers["rvrec"].spread_of("item").numpy()
    item = int(data.token2id("item_id", one.item))
    seen = np.flatnonzero(np.bincount(trained.splits.training.inter_feat["item_id"], minlength=len(spread)))
    assert sure[0].evidence["less_sure_than"] == pytest.approx(float(np.mean(spread[seen] < spread[item])))
    share = max(np.mean(spread[seen] < spread[item]), np.mean(spread[seen] > spread[item]))
    assert f"than of {int(100 * share)}% of items" in sure[0].text
    # They take no part in what the score consists of.
    assert all(reason.contribution == 0 and not reason.counts for reason in sure)
    alone = explain(trained, "u3", top=1, enhancer="history")[0]
    assert (one.method, one.base, one.remainder) == (alone.method, alone.base, pytest.approx(alone.remainder))
    assert json.loads(one.to_json())["reasons"][-1]["kind"] == "uncertainty"
    assert f"\n  {sure[0].text}" in one.to_text()
    assert line(sure[0]) == sure[0].text
    assert sentence(one).endswith(sure[0].text)
    page = to_page(explainer, [one])
    assert page.count(f'<p class="small">{sure[0].text}</p>') == 1
    assert page.count('<svg class="bar"') == len(why)
    assert any("no probability" in text for text in explainer.about())


def test_what_spreads_take_from_the_score_adds_up(models: Any) -> None:
    trained = models(**BY_DISTANCE)
    one = explain(trained, "u3", top=1, enhancer="rvrec")[0]
    pair = one.reasons[-1]  # it speaks against
    assert pair.evidence["about"] == "pair"
    raw = {table.side: table.raw().detach().double() for table in trained.model.enhancers.anatomy.tables}
    user, item = (
        raw[side][int(trained.dataset.token2id(f"{side}_id", token))]
        for side, token in (("user", "u3"), ("item", one.item))
    )
    means = [row / row.norm() for row in (user, item)]
    assert one.base == pytest.approx(-float((means[0] - means[1]).square().sum()), abs=1e-4)
    assert one.base + pair.contribution == pytest.approx(one.score)
    assert (one.additive, one.exact, one.method) == (True, True, "rvrec")
    both = explain(trained, "u3", top=1, reasons=100)[0]
    assert both.method == "folded-in user"
    assert pair.contribution in [reason.contribution for reason in both.reasons]


def test_without_spreads_nothing_is_said(models: Any) -> None:
    trained = models(objective=True, spread="none")
    one = explain(trained, "u3", top=1)[0]
    assert {reason.kind for reason in one.reasons} == {"interaction"}
    assert "rvrec" not in one.note
    with pytest.raises(UnsupportedError):
        explain(trained, "u3", enhancer="rvrec")
    assert "rvrec" not in explaining_names()
