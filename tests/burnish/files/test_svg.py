"""The frame and the marks that all pictures share, to the byte."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from burnish.errors import ConfigurationError
from burnish.files.svg import (
    fitted,
    heading,
    label,
    line,
    scale,
    svg_path,
    text_width,
    ticks,
    with_margin,
    write_svg,
)

FRAME = """<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 20 10' role='img' width='20' height='10'>
<title>a &lt; b &amp; c</title>
<rect width='20' height='10' fill='#ffffff'/>
<g font-family='system-ui, DejaVu Sans, sans-serif' font-size='12' fill='#1f2328'>
<line x1='1' x2='2.5' y1='3' y2='3' stroke='#e5e7eb' stroke-width='2'/>
<text x='1.5' y='4' text-anchor='middle' font-size='11'>5%</text>
<text x='0' y='9' font-size='14' font-weight='600'>x &lt; y</text>
</g>
</svg>
"""


def test_frame_and_marks_are_equal_to_the_byte(tmp_path: Path) -> None:
    parts = [
        line((1, 2.5), (3, 3), "#e5e7eb", " stroke-width='2'"),
        label(1.5, 4, "5%"),
        heading(0, 9, "x < y", 14),
    ]
    path = write_svg(tmp_path / "new" / "a.svg", parts, width=20, height=10, title="a < b & c", font_size=12)
    assert path.read_text(encoding="utf-8") == FRAME
    ElementTree.parse(path)


def test_scale_goes_either_way_and_bears_a_point() -> None:
    assert [scale(0.0, 4.0, 10, 20)(value) for value in (0.0, 1.0, 4.0)] == [10.0, 12.5, 20.0]
    assert [scale(4.0, 0.0, 10, 20)(value) for value in (4.0, 3.0, 0.0)] == [10.0, 12.5, 20.0]
    assert scale(2.0, 2.0, 10, 20)(2.0) == 10.0


def test_margin_is_never_empty() -> None:
    assert with_margin(0.0, 1.0) == (-0.08, 1.08)
    assert with_margin(3.0, 3.0) == (2.99, 3.01)


def test_other_suffix_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match=r"plot: 'a\.png'.*ends in \.svg, or else$"):
        svg_path("a.png", ", or else")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-0.011, 0.021, [-0.01, 0.0, 0.01, 0.02]), (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0])],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


#: Widths of DejaVu Sans at 13 pixels, as FreeType gives them.
MEASURED = {
    "LightGCN, softmax+average+aggregate": 263.9,
    "+0.0300 (+10.0%) no clear difference": 248.7,
    "ml-100k, ndcg@10: difference to plain, 95% interval": 340.5,
    "BPR, softmax": 86.5,
}


@pytest.mark.parametrize("text", MEASURED)
def test_widths_are_those_of_the_widest_font_or_a_little_more(text: str) -> None:
    assert MEASURED[text] <= text_width(text, 13) <= 1.15 * MEASURED[text]
    assert text_width(text, 26) == pytest.approx(2 * text_width(text, 13))


def test_what_does_not_fit_shows_both_ends_and_has_a_title() -> None:
    assert fitted("a<b", 100, 13) == "a&lt;b"
    assert fitted("abcdefghij<", 60, 13) == "<title>abcdefghij&lt;</title>abc…ij&lt;"
    assert fitted("abc", 0, 13) == "<title>abc</title>…"
    # Letters beyond ASCII may be as wide as they are high.
    assert text_width("中文", 10) == 20
