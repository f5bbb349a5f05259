"""What is removed and what stays; the curve's picture; the command."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from burnish.benchmarks.valuation.__main__ import main
from burnish.benchmarks.valuation.curves import draw
from burnish.benchmarks.valuation.judges import find_judges
from burnish.benchmarks.valuation.removal import Point, kept_rows, removal_study
from burnish.enhancers.conformance.data import NAME
from burnish.enhancers.conformance.presets import preset
from burnish.enhancers.conformance.world import prepare_folder
from burnish.errors import ConfigurationError, DataError
from burnish.noise.kinds import KINDS

USERS = np.array([0, 0, 0, 1, 1, 2])
VALUES = np.array([0.1, 0.5, 0.3, 0.2, 0.9, -1.0])


def test_the_lowest_go_first_and_nobody_is_emptied():
    np.testing.assert_array_equal(kept_rows(VALUES, USERS, 0.5, "lowest"), [1, 4, 5])
    np.testing.assert_array_equal(kept_rows(VALUES, USERS, 0.5, "highest"), [0, 3, 5])
    np.testing.assert_array_equal(kept_rows(VALUES, USERS, 1 / 6, "lowest"), [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(kept_rows(VALUES, USERS, 0.0, "highest"), np.arange(6))
    np.testing.assert_array_equal(kept_rows(VALUES, USERS, 0.99, "lowest"), [1, 4, 5])
    with pytest.raises(ConfigurationError, match="share = 1"):
        kept_rows(VALUES, USERS, 1.0, "lowest")


def test_a_study_in_small(tmp_path):
    prepare_folder(tmp_path)
    points = removal_study(
        find_judges(["random", "joint"]),
        model="BPR",
        dataset=NAME,
        options={**preset("BPR"), "data_path": str(tmp_path)},
        kind="uniform",
        noise_share=0.2,
        shares=[0.3],
        metric="ndcg@5",
        seeds=[0, 1],
        epochs=1,
    )
    assert len(points) == 2 * 2 * 2
    start = [point for point in points if point.share == 0.0]
    assert len({point.metrics for point in start}) == 1  # the whole data are trained on once a seed
    assert all(len(point.metrics) == 2 for point in points)
    by = {(p.judge, p.removed): p for p in points if p.share > 0}
    for judge in ("random", "joint"):
        found = by[judge, "lowest"].noise_found + by[judge, "highest"].noise_found
        assert 0.0 < found <= 1.0


def test_the_picture_has_a_line_a_judge_and_end(tmp_path):
    points = [
        Point(judge, end, share, (0.3 - share, 0.31 - share), 0.0)
        for judge in ("joint", "a<b")
        for end in ("lowest", "highest")
        for share in (0.0, 0.2)
    ]
    tree = ElementTree.parse(draw(points, tmp_path / "curves.svg", "ndcg@10")).getroot()
    lines = tree.findall(".//{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 4
    assert sum("stroke-dasharray" in line.attrib for line in lines) == 2
    with pytest.raises(ConfigurationError, match=r"\.svg"):
        draw(points, tmp_path / "curves.png", "")
    with pytest.raises(DataError, match="no points"):
        draw([], tmp_path / "curves.svg", "")


def test_the_command(tmp_path, capsys):
    prepare_folder(tmp_path)
    options = {**preset("BPR"), "data_path": str(tmp_path)}
    common = [
        "--dataset",
        NAME,
        "--epochs",
        "1",
        "--width",
        "4",
        "--options",
        json.dumps(options),
        "--seeds",
        "1",
        "2",
    ]
    rows = tmp_path / "rows.jsonl"
    assert main(["detect", *common, "--judges", "joint", "random", "--output", str(rows)]) == 0
    written = [json.loads(line) for line in rows.read_text().splitlines()]
    assert {(row["judge"], row["kind"], row["seed"]) for row in written} == {
        (judge, kind, seed) for judge in ("joint", "random") for kind in KINDS for seed in (1, 2)
    }
    assert main(["stability", *common, "--judges", "popularity"]) == 0
    assert "1.000" in capsys.readouterr().out
    plot = [
        "--shares",
        "0.2",
        "--judges",
        "random",
        "--metric",
        "ndcg@5",
        "--plot",
        str(tmp_path / "c.svg"),
    ]
    assert main(["remove", *common, *plot]) == 0
    assert (tmp_path / "c.svg").read_text().startswith("<svg")
    assert main(["detect", *common, "--judges", "jiont"]) == 1
    assert "joint" in capsys.readouterr().err
