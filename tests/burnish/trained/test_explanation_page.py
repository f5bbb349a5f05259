"""The page of explanations: what is on it, and what cannot get into it."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from burnish.enhancers.conformance.data import NAME, write_data
from burnish.enhancers.conformance.presets import preset
from burnish.errors import DataError
from burnish.explanation import Explanation, Reason
from burnish.trained.explain import Explainer
from burnish.trained.explain_batch import explain_batch
from burnish.trained.finished_shards import FinishedFrames, shards_folder
from burnish.trained.open import open_trained
from burnish.trained.page import to_page
from burnish.training.train import train

EVIL = "<script>alert('x')</script>"
RATIO = {"eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user", "mode": "full"}}


@pytest.fixture(scope="module")
def explainer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    scores = ["item_id\twit\tpace", *(f"i{n}\t{n % 10}\t{(7 * n) % 9}" for n in range(1, 61))]
    (folder / "scores.tsv").write_text("\n".join(scores) + "\n", encoding="utf-8")
    options = {**preset("BPR"), "data_path": str(folder), "threads": 1, **RATIO}
    guided = {"guided": {"scores": str(folder / "scores.tsv")}}
    made = Explainer(open_trained(train("BPR", NAME, options=options, enhancers=guided)), top=2)
    made.titles[next(iter(made.titles))] = EVIL
    return made


def history(explainer: Explainer, **more: Any) -> Explainer:
    made = Explainer(explainer.trained, enhancer="history", **more)
    made.titles.update(explainer.titles)
    return made


def test_attributes_with_a_drawing_each(explainer: Explainer) -> None:
    found = list(explainer.explanations(["u3", "u4"]))
    text = to_page(explainer, found)
    assert text.count('<li class="card"') == 4
    assert text.count('<svg class="dots"') == 2 * 4
    assert text.count('<svg class="bar"') == sum(len(one.reasons) for one in found)
    assert "Why these recommendations for 2 users" in text
    for one in found:
        for name, value in explainer.profile("item", one.item).items():  # type: ignore[union-attr]
            assert name in text
            assert f"{value:+.1f}".replace("-", "−") in text


def test_history_words_and_paths(explainer: Explainer) -> None:
    source = history(explainer)
    chosen = source.history("u3")
    item = next(f"i{n}" for n in range(1, 61) if f"i{n}" not in chosen)
    node = {"type": "item", "id": 3, "label": EVIL, "original": chosen[2]}
    paths = [
        {
            "nodes": [
                {"type": "user", "id": 1, "label": "u3"},
                node,
                {"type": "user", "id": 2, "label": other},
                node,
            ],
            "edges": [
                {"relation": "rated", "direction": "along"},
                {"relation": "rated", "direction": "against"},
                {"relation": "rated", "direction": "along"},
            ],
        }
        for other in ("u9", "u8")
    ]
    reasons = (
        Reason("interaction", "x", 0.5, {"item": chosen[-1], "chosen_by": 0.001}, 0.01, "m"),
        Reason("interaction", EVIL, -0.25, {"item": chosen[0], "title": EVIL}, 0.0, "m"),
        Reason("path", EVIL, 0.5, {"paths": paths}),
    )
    one = Explanation(
        "u3", item, 2.0, reasons, EVIL, EVIL, 1, "m", 1.0, additive=False, exact=False, budget=8
    )
    text = to_page(source, [one])
    assert EVIL not in text
    assert "alert" in text
    assert text.count("another user") == 1  # two ways that look alike are drawn once
    assert "u9" not in text
    assert text.count('href="#u1-1">for 1</a>') == 2  # of the reason that names it, and of the path over it
    assert text.index(f"({chosen[2]})") < text.index(f"({chosen[1]})")
    assert 'href="#u1-1">against 1</a>' in text
    assert "as fewer than 1% of users did" in text
    assert f"({len(chosen)})" in text
    assert text.index(f"({chosen[-1]})") < text.index(
        f"({chosen[1]})"
    )  # what speaks for something comes first
    assert "Because you chose" in text


def test_it_loads_nothing_and_runs_nothing(explainer: Explainer) -> None:
    text = to_page(explainer, list(explainer.explanations("u3")))
    assert "<script" not in text
    assert not re.search(r"""\sstyle=|\son\w+=|<link|<img|@import|url\(""", text)
    assert not re.search(r"https?://", text)
    assert "default-src 'none'" in unescape(text)
    assert len(re.findall(r"<h1", text)) == 1
    anchors = set(re.findall(r'\sid="([^"]+)"', text))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= anchors
    assert len(anchors) == len(re.findall(r'\sid="', text))
    with pytest.raises(DataError, match="no explanation"):
        to_page(explainer, [])


# ---------------------------------------------------------------------- many users


def test_an_interrupted_batch_goes_on(explainer: Explainer, tmp_path: Path) -> None:
    import pandas as pd

    source, output = history(explainer), tmp_path / "why.parquet"
    calls: list[tuple[int, int, bool]] = []

    def stop(number: int, total: int, was_there: bool) -> None:
        calls.append((number, total, was_there))
        if number == 2 and not was_there and len(calls) == 2:
            raise KeyboardInterrupt

    users = [f"u{n}" for n in range(1, 11)]
    with pytest.raises(KeyboardInterrupt):
        explain_batch(source, output, users, shard=3, progress=stop)
    assert not output.exists()
    assert len(list(shards_folder(output).iterdir())) == 2
    target, explained = explain_batch(source, output, users, shard=3, progress=stop)
    assert calls[2:] == [(1, 4, True), (2, 4, True), (3, 4, False), (4, 4, False)]
    assert (target, explained) == (output, 50)
    assert not shards_folder(output).exists()
    frame = pd.read_parquet(output)
    whole = [one for one in source.explanations(users) for _ in one.reasons]
    assert list(frame["item"]) == [one.item for one in whole]
    np.testing.assert_allclose(frame["base"], [one.base for one in whole])
    # Shards of other settings are not taken.
    explain_batch(source, output, users, shard=3, progress=lambda *_: None)
    parts = FinishedFrames(shards_folder(output), "another")
    parts.write(0, frame.head(1))
    explain_batch(source, output, users, shard=3)
    pd.testing.assert_frame_equal(pd.read_parquet(output), frame)


def test_users_without_a_recommendation_have_a_row(explainer: Explainer, tmp_path: Path) -> None:
    import pandas as pd

    source = history(explainer)
    source.recommender.seen_users = source.recommender.seen_users.copy()
    number = int(source.trained.dataset.token2id("user_id", "u2"))
    source.recommender.seen_users[number] = False
    explain_batch(source, tmp_path / "why.parquet", ["u1", "u2"])
    frame = pd.read_parquet(tmp_path / "why.parquet")
    own = frame[frame["user"] == "u2"]
    assert len(own) == 1
    assert own["item"].isna().all()
    assert own["note"].iloc[0] == "no recommendation: not in training"
