"""The page: whole in one file, escaped, usable without its script, and true to the runs."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from written_runs import USERS, add_floor, write_comparison

from burnish.benchmarks.harness import make_plan, run_plan, summarise, to_page
from burnish.benchmarks.harness.page.parts import Place, places_of
from burnish.benchmarks.harness.page.slices import activity_parts, by_popularity, popularity_parts
from burnish.benchmarks.harness.page.tuned import at_edge
from burnish.benchmarks.harness.ranks import rank_arms
from burnish.errors import DataError

EVIL = "<script>alert('x')</script>&\""
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """The elements of a page, and the text of each kind."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.texts[tag][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A comparison of an earlier burnish, whose names are hostile, with a floor and an arm that failed."""
    draw = np.random.default_rng(1)
    plain = [draw.uniform(0.2, 0.6, USERS) for _ in range(3)]
    arms = {"plain": plain, "good": [p + 0.1 + draw.normal(0, 0.01, USERS) for p in plain], "none": plain}
    note = write_comparison(tmp_path, arms)
    add_floor(note, "EASE", [p + 0.02 + draw.normal(0, 0.01, USERS) for p in plain])
    content = json.loads(note.read_text())
    content["arms"][EVIL] = content["arms"].pop("good")
    content |= {"dataset": f"data{EVIL}", "label": f"BPR{EVIL}", "options": {EVIL: [EVIL]}}
    content["arms"]["failing"] = {"0": "failing/0-0a"}
    note.write_text(json.dumps(content))
    (note.parent / "failing").mkdir()
    (note.parent / "failing" / "failed-0-0a.json").write_text(json.dumps({"error": f"ValueError: {EVIL}"}))
    return tmp_path


def test_one_file_that_loads_nothing_and_runs_nothing_else(runs: Path) -> None:
    text = to_page(summarise(runs), title=EVIL, ranking=rank_arms(runs), flags=[EVIL])
    page = Page(text)
    assert text.count("<script>") == len(page.all("script")) == len(page.all("style")) == 1
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "img", "object", "embed", "base", "form"), tag
        assert not {name for name in attributes if name.startswith("on") or name in ("style", "src")}
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in page.texts["style"][0]
    assert "@import" not in page.texts["style"][0]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    policy = next(one["content"] for one in page.all("meta") if one.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.texts[kind][0].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert EVIL in page.texts["title"][0]
    assert EVIL in page.texts["h1"][0]
    assert any(f"BPR{EVIL}" in text for text in page.texts["th"])
    assert any(EVIL in text for text in page.texts["td"])


def test_it_can_be_walked_through(runs: Path) -> None:
    page = Page(to_page(summarise(runs)))
    known = Counter(one["id"] for _, one in page.elements if "id" in one)
    assert set(known.values()) == {1}
    assert {one["href"] for one in page.all("a")} <= {f"#{name}" for name in known}
    assert len(page.all("h1")) == 1
    regions = [one for one in page.all("div") if one.get("class") == "scroll"]
    assert regions
    assert all(one.get("tabindex") == "0" and one.get("aria-label") for one in regions)
    assert len(regions) == len(page.all("table"))
    assert all(one.get("role") == "img" for one in page.all("svg"))
    assert page.all("html")[0]["lang"] == "en"


def test_it_says_what_the_runs_say(runs: Path) -> None:
    rows = summarise(runs)
    text = to_page(rows)
    page = Page(text)
    words = " ".join(page.texts["body"][0].split())
    names = [name for name in page.texts["td"] if name in ("EASE", "plain", "none", "failing")]
    assert names[:4] == ["EASE", "plain", "none", "failing"], "floors first"
    assert f"failing failed (BPR{EVIL}). ValueError: {EVIL}." in words
    assert "failed" in page.texts["td"]
    items = page.texts["li"]
    assert any(item.startswith("·none: Clearly better than plain in 0") for item in items)
    assert not any(item.lstrip("✗·≤").startswith(f"{EVIL}: ") for item in items), "it helped"
    assert "of an earlier burnish" not in words, "these runs do not say how long they trained"
    assert "These runs did not note how active users are" in words
    assert "Few seeds: 3" in words
    assert "There is no ranking" not in words
    assert to_page(rows) == text
    good = next(row for row in rows if row.arm == EVIL)
    assert f"{good.mean:.4f}" in words
    assert f"+{100 * good.relative:.1f}%" in words


def test_rows_alone_are_refused(runs: Path) -> None:
    with pytest.raises(DataError, match="as `summarise` gives it"):
        to_page(list(summarise(runs)))


def test_a_real_plan(plan_content: dict[str, Any]) -> None:
    plan_content["options"] |= {"epochs": 3, "metrics": ["NDCG"], "topk": [5], "valid_metric": "NDCG@5"}
    plan_content |= {"floors": ["Pop"], "arms": {"big": {"options": {"embedding_size": 16}}}}
    plan_content["tune"] = {"trials": 3, "space": {"learning_rate": [0.001, 0.01, 0.1]}}
    plan = make_plan(plan_content)
    run_plan(plan, quiet=True)
    page = Page(to_page(summarise(plan.runs)))
    words = " ".join(page.texts["body"][0].split())
    for said in (
        *("Coverage@5", "Novelty@5", "Validation (NDCG@5) by epoch", "learning_rate: 0.001, 0.01, 0.1"),
        *(
            "All arms had as many trials, on validation alone: 3 of 3: big, plain",
            "no enhancer, other options",
        ),
        *("All planned runs finished: 6 of 6", "40", "30", "480", "Floors are compared: Pop"),
    ):
        assert said in words, said
    titles = page.texts["figcaption"]
    assert {"BPR, plain", "BPR, big", "BPR: change of NDCG@5 to plain"} <= set(titles)


def measured_place(tmp_path: Path) -> tuple[Place, list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Runs that noted activity; with the values of two arms and the activity by seed."""
    draw = np.random.default_rng(3)
    plain = [draw.uniform(0.2, 0.6, USERS) for _ in range(3)]
    arm = [values + draw.normal(0.05, 0.1, USERS) for values in plain]
    note = write_comparison(tmp_path, {"plain": plain, "arm": arm})
    activity = [draw.integers(1, 30, USERS) for _ in range(3)]
    import pandas as pd

    for name in ("plain", "arm"):
        for seed in range(3):
            path = note.parent / name / f"{seed}-0a" / "per_user.parquet"
            pd.read_parquet(path).assign(n_training=activity[seed]).to_parquet(path)
    return places_of(summarise(tmp_path, metrics="ndcg@10"))[0], plain, arm, activity


def test_parts_of_users_by_activity(tmp_path: Path) -> None:
    place, plain, arm, activity = measured_place(tmp_path)
    ((name, parts),) = activity_parts(place, "ndcg@10")
    assert (name, len(parts)) == ("arm", 2)
    for number, part in enumerate(parts):
        by_user: dict[int, list[tuple[float, float]]] = {}
        for ours, theirs, counts in zip(plain, arm, activity, strict=True):
            order = sorted(range(USERS), key=lambda user: (counts[user], user))
            for user in order[number * USERS // 2 : (number + 1) * USERS // 2]:
                by_user.setdefault(user, []).append((ours[user], theirs[user]))
        means = np.mean([np.mean(values, axis=0) for values in by_user.values()], axis=0)
        assert (part.baseline_mean, part.mean) == pytest.approx(tuple(means))
        assert part.n_users == len(by_user)
        assert part.low < part.difference < part.high


def with_deciles(
    folder: Path, n_seeds: int, *, of_arm: bool = True
) -> tuple[Place, list[dict[str, np.ndarray]]]:
    """Runs that noted test items and hits of each user by popularity; with what they noted, by seed."""
    import pandas as pd

    draw = np.random.default_rng(5)
    values = [np.full(USERS, 0.5) for _ in range(n_seeds)]
    note = write_comparison(folder, {"plain": values, "arm": values})
    noted = []
    for seed in range(n_seeds):
        wanted = draw.poisson(np.linspace(0.0, 2.0, 11), (USERS, 11))
        liking = draw.uniform(-0.2, 0.2, (USERS, 1))
        hits = {
            "plain": draw.binomial(wanted, np.clip(0.3 + liking, 0, 1)),
            "arm": draw.binomial(wanted, np.clip(0.45 + liking, 0, 1)),
        }
        noted.append({"wanted": wanted, **hits})
        for name in ("plain", "arm"):
            place = note.parent / name / f"{seed}-0a"
            measured = json.loads((place / "metrics.json").read_text())
            measured["popularity_deciles"] = {
                "wanted": wanted.sum(axis=0).tolist(),
                "hits@10": hits[name].sum(axis=0).tolist(),
            }
            (place / "metrics.json").write_text(json.dumps(measured))
            if name == "arm" and not of_arm:
                continue
            more = {f"wanted.{part}": wanted[:, part] for part in range(11)}
            more |= {f"hits@10.{part}": hits[name][:, part] for part in range(11)}
            pd.read_parquet(place / "per_user.parquet").assign(**more).to_parquet(place / "per_user.parquet")
    return places_of(summarise(folder, metrics="ndcg@10"))[0], noted


def test_changes_by_popularity_have_the_interval_of_a_ratio(tmp_path: Path) -> None:
    """Of one seed: the delta method for a ratio of sums over users (Cochran 1977, section 6.4), and the bootstrap."""
    place, (noted,) = with_deciles(tmp_path, 1)
    ((name, parts),) = popularity_parts(place, "hits@10")
    assert (name, len(parts)) == ("arm", 11)
    assert parts[0].n_users == 0
    assert np.isnan(parts[0].difference)  # nothing is wanted of it
    draw = np.random.default_rng(0)
    for number in (3, 10):
        part, wanted = parts[number], noted["wanted"][:, number]
        gained = noted["arm"][:, number] - noted["plain"][:, number]
        share = gained.sum() / wanted.sum()
        assert part.difference == pytest.approx(share)
        assert part.mean == pytest.approx(noted["arm"][:, number].sum() / wanted.sum())
        n = int((wanted > 0).sum())
        assert part.n_users == n
        left = (gained - share * wanted)[wanted > 0]
        error = np.sqrt(n / (n - 1) * (left**2).sum()) / wanted.sum()
        half = stats.t.ppf(0.975, n - 1) * error
        assert (part.low, part.high) == pytest.approx((share - half, share + half))
        drawn = draw.integers(USERS, size=(4000, USERS))
        again = gained[drawn].sum(axis=1) / wanted[drawn].sum(axis=1)
        assert again.std() == pytest.approx(error, rel=0.1)


def test_changes_by_popularity_of_several_seeds(tmp_path: Path) -> None:
    place, noted = with_deciles(tmp_path, 3)
    ((_, parts),) = popularity_parts(place, "hits@10")
    totals = {name: sum(one[name].sum(axis=0) for one in noted) for name in ("wanted", "plain", "arm")}
    for number in range(1, 11):
        assert parts[number].baseline_mean == pytest.approx(
            totals["plain"][number] / totals["wanted"][number]
        )
        assert parts[number].mean == pytest.approx(totals["arm"][number] / totals["wanted"][number])
        assert parts[number].low < parts[number].difference < parts[number].high
    _, changes = by_popularity([place]).tables
    last = changes.lines[0][-1]
    half = (parts[10].high - parts[10].low) / 2
    assert last.text == f"{parts[10].difference:+.3f} ± {half:.3f}"
    assert (last.tone == "gain") == (parts[10].low > 0)
    assert changes.lines[0][2].text == "–"


def test_earlier_runs_have_shares_alone(tmp_path: Path) -> None:
    place, _ = with_deciles(tmp_path, 2, of_arm=False)
    assert popularity_parts(place, "hits@10") == []
    assert len(by_popularity([place]).tables) == 1


def test_hits_of_lists_of_one_length_are_compared(tmp_path: Path) -> None:
    """An arm with lists of its own: the shortest that all runs have, and runs without them are left out."""
    with_deciles(tmp_path, 2)
    for file in tmp_path.rglob("metrics.json"):
        measured = json.loads(file.read_text())
        deciles = measured["popularity_deciles"]
        deciles["hits@20"] = deciles["wanted"]
        if file.parent.parent.name == "arm":
            deciles["hits@5"] = deciles.pop("hits@10")
        file.write_text(json.dumps(measured))
    shares, *_ = by_popularity(places_of(summarise(tmp_path, metrics="ndcg@10"))).tables
    told = {line[1].text: [cell.text for cell in line[2:]] for line in shares.lines}
    assert set(told) == {"plain", "arm"}
    assert told["plain"][1:] == told["arm"][1:] == ["1.000"] * 10


def test_ends_of_spaces() -> None:
    assert at_edge([0.1, 0.2, 0.3], 0.3)
    assert at_edge({"low": 1e-4, "high": 1e-2, "log": True}, 1e-2)
    assert not at_edge([0.1, 0.2, 0.3], 0.2)
    assert not at_edge([0, 10, 100], 0), "0 is a natural end"
    assert not at_edge([0.1, 0.2], 0.1), "two values say nothing"
    assert not at_edge(["a", "b", "c"], "a")
    assert not at_edge({"low": 1, "high": 9}, 5)
