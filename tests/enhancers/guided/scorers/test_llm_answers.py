"""What is read from answers as models write them, against readings made by hand."""

from __future__ import annotations

import json

import pytest
from llm_world import tiny_schema

from burnish.enhancers.guided.scorers.lenient import JsonObject, read_json
from burnish.enhancers.guided.scorers.parsing import parse_answer

BOTH = ["item_1", "item_2"]
GOOD = {"item_1": {"humor": 3, "pacing": 4}, "item_2": {"humor": 0, "pacing": 9}}
PLAIN = json.dumps(GOOD)
LISTED = [{"id": key, **scores} for key, scores in GOOD.items()]


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        json.dumps(GOOD, indent=2),
        f"```json\n{PLAIN}\n```",
        f"Sure! Here are the scores [as asked]:\n\n{PLAIN}\n\nI hope that {{helps}}.",
        f"<think>item_1: {{'humor'}} perhaps {json.dumps({'item_1': {'humor': 9, 'pacing': 9}})}</think>\n{PLAIN}",
        '{"item_1": {"humor": 3, "pacing": 4,}, "item_2": {"humor": 0, "pacing": 9,},}',
        '{"item_1": {"humor": "3", "pacing": " 4 "}, "item_2": {"humor": "0.0", "pacing": 9.0}}',
        json.dumps({"items": GOOD}),
        json.dumps({"results": LISTED, "comment": "fine"}),
        json.dumps(LISTED),
        json.dumps({"item_1": {"scores": GOOD["item_1"]}, "item_2": {"Humor": 0, "Pacing": 9, "extra": 99}}),
        json.dumps({key: {n: {"score": s, "why": "x"} for n, s in row.items()} for key, row in GOOD.items()}),
        f"{json.dumps({'item_1': GOOD['item_1']})}\n{json.dumps({'item_2': GOOD['item_2']})}",
        PLAIN[:-1] + ', "item_9": {"humor": 1, "pacing": 1}}',
        PLAIN + PLAIN,
        json.dumps([[LISTED]]),
    ],
)
def test_taken_in_any_of_these_forms(text: str) -> None:
    parsed = parse_answer(text, BOTH, tiny_schema())
    assert parsed.valid == GOOD
    assert not parsed.wrong


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ('{"humor": 12, "pacing": 1}', "humor = 12 is outside 0 to 9"),
        ('{"humor": -1, "pacing": 1}', "humor = -1 is outside"),
        ('{"humor": 2.5, "pacing": 1}', "humor = 2.5 is no whole number"),
        ('{"humor": true, "pacing": 1}', "humor = True is no whole number"),
        ('{"humor": null, "pacing": 1}', "humor = None is no whole number"),
        ('{"humor": NaN, "pacing": 1}', "humor = nan is no whole number"),
        ('{"humor": "high", "pacing": 1}', "humor = 'high' is no whole number"),
        ('{"humor": 1e400, "pacing": 1}', "humor = inf is no whole number"),
        ('{"humor": 1}', "pacing missing"),
        ('{"humor": 1, "humor": 2, "pacing": 1}', "humor is given more than once"),
        ("[1, 2]", "its scores are no object"),
        ("7", "its scores are no object"),
    ],
)
def test_a_bad_item_does_not_spoil_a_good_one(second: str, reason: str) -> None:
    text = f'{{"item_1": {json.dumps(GOOD["item_1"])}, "item_2": {second}}}'
    parsed = parse_answer(text, BOTH, tiny_schema())
    assert parsed.valid == {"item_1": GOOD["item_1"]}
    assert list(parsed.wrong) == ["item_2"]
    assert reason in parsed.wrong["item_2"]


def test_an_item_given_twice_counts_where_both_agree() -> None:
    same = '{"item_1": {"humor": 3, "pacing": 4}, "item_1": {"pacing": 4, "humor": 3}}'
    assert parse_answer(same, ["item_1"], tiny_schema()).valid == {"item_1": {"humor": 3, "pacing": 4}}
    other = '{"item_1": {"humor": 3, "pacing": 4}, "item_1": {"humor": 5, "pacing": 4}}'
    assert "more than once" in parse_answer(other, ["item_1"], tiny_schema()).wrong["item_1"]


@pytest.mark.parametrize(
    "text", ["", "I cannot do that.", "{", "[[[[", "null", "3", "{}", "\x00", "```json\n```"]
)
def test_nothing_to_take(text: str) -> None:
    parsed = parse_answer(text, BOTH, tiny_schema())
    assert not parsed.valid
    assert set(parsed.wrong) == set(BOTH)


@pytest.mark.parametrize("cut", range(len(PLAIN)))
def test_of_an_answer_cut_off_anywhere_the_complete_items_are_kept(cut: int) -> None:
    parsed = parse_answer(PLAIN[:cut], BOTH, tiny_schema())
    first_ends = PLAIN.index("}") + 1
    assert parsed.valid == ({"item_1": GOOD["item_1"]} if cut >= first_ends else {}) or (
        # the very last bracket is no loss
        cut == len(PLAIN) - 1 and parsed.valid == GOOD
    )


def test_scores_alone_are_those_of_a_single_item_only() -> None:
    alone = '{"humor": 3, "pacing": 4}'
    assert parse_answer(alone, ["item_1"], tiny_schema()).valid == {"item_1": {"humor": 3, "pacing": 4}}
    assert parse_answer(f"[{alone}]", ["item_1"], tiny_schema()).valid == {
        "item_1": {"humor": 3, "pacing": 4}
    }
    # which of two items it means, nobody can tell
    assert not parse_answer(alone, BOTH, tiny_schema()).valid
    assert not parse_answer(f"[{alone}, {alone}]", BOTH, tiny_schema()).valid
    # and scores of an item that was not asked for are not those of the one that was
    assert not parse_answer('{"id": "item_7", "humor": 3, "pacing": 4}', ["item_1"], tiny_schema()).valid


def test_deep_nesting_ends() -> None:
    for text in ("[" * 50_000, '{"a":' * 50_000, "[" * 50_000 + "]" * 50_000):
        assert not parse_answer(text, BOTH, tiny_schema()).valid


@pytest.mark.parametrize(
    "value", [{"a": [1, 2.5, -3e2, None, True, 'x"y\\z\u00e9\n']}, [], {}, [[], {}, [{}]]]
)
def test_what_is_json_is_read_as_json(value: object) -> None:
    def plain(read: object) -> object:
        if isinstance(read, JsonObject):
            return {name: plain(inner) for name, inner in read}
        return [plain(inner) for inner in read] if isinstance(read, list) else read

    assert [plain(found) for found in read_json(json.dumps(value))] == [value]
    # the tolerant path, which a trailing word makes it take
    found = [plain(found) for found in read_json(json.dumps(value) + " done")]
    assert found == ([value] if value else [])
