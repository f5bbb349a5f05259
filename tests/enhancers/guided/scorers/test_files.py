"""Files of scores: what is written is read back, and what is wrong is said with its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from burnish.enhancers.guided.attributes import make_schema
from burnish.enhancers.guided.scorers.files import FileScorer, read_scores, write_scores
from burnish.enhancers.guided.scorers.protocol import Scores, Texts
from burnish.errors import ConfigurationError, DataError, UnknownNameError

SCHEMA = make_schema(
    {"domain": "toys", "instruction": "Score.", "attributes": {"fun": "how much fun", "noise": "how loud"}}
)


def put(folder: Path, text: str, name: str = "scores.tsv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", ["tsv", "csv", "parquet"])
@pytest.mark.parametrize("id_column", ["item_id", "user_id"])
def test_what_is_written_is_read_back_the_same(tmp_path: Path, suffix: str, id_column: str) -> None:
    values = np.array([[1.0, 1 / 3], [np.nan, 9.0], [0.1 + 0.2, 1e-17]])
    spread = np.array([[0.0, 0.5], [np.nan, np.nan], [2 / 3, 0.25]])
    scores = Scores(("007", "7", 'a "quoted", ü'), ("fun", "noise"), values, spread)
    path = tmp_path / "new" / f"scores.{suffix}"
    write_scores(scores, path, id_column=id_column)
    back = read_scores(path, id_column=id_column)
    assert back.ids == scores.ids
    assert back.attributes == scores.attributes
    np.testing.assert_array_equal(back.values, values)
    assert back.uncertainty is not None
    np.testing.assert_array_equal(back.uncertainty, spread)
    assert [file.name for file in path.parent.iterdir()] == [path.name]  # nothing half-written is left


def test_a_spreadsheet_reads_the_same_numbers(tmp_path: Path) -> None:
    """The files are ordinary ones: pandas is the judge."""
    scores = Scores(("a", "b"), ("fun",), np.array([[2.5], [np.nan]]), np.array([[0.5], [np.nan]]))
    for suffix, read in (("tsv", pd.read_table), ("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        write_scores(scores, tmp_path / f"s.{suffix}")
        frame = read(tmp_path / f"s.{suffix}")
        assert list(frame.columns) == ["item_id", "fun", "fun_sd"]
        assert frame["fun"][0] == 2.5
        assert frame["fun"].isna()[1]


def test_uncertainty_of_some_attributes_only(tmp_path: Path) -> None:
    scores = read_scores(put(tmp_path, "item_id\tfun\tfun_sd\tnoise\n1\t4\t0.5\t6\n"))
    assert scores.attributes == ("fun", "noise")
    assert scores.uncertainty is not None
    np.testing.assert_array_equal(scores.uncertainty, [[0.5, np.nan]])


def test_a_schema_chooses_the_columns_and_their_order(tmp_path: Path) -> None:
    path = put(tmp_path, "item_id,title,noise,fun\n01,Ball,9,0\n", "s.csv")
    scores = read_scores(path, SCHEMA)
    assert (scores.ids, scores.attributes, scores.scale) == (("01",), ("fun", "noise"), (0.0, 9.0))
    np.testing.assert_array_equal(scores.values, [[0.0, 9.0]])


def test_recbole_heads_and_integer_ids_of_parquet(tmp_path: Path) -> None:
    assert read_scores(put(tmp_path, "item_id:token\tfun:float\n1\t4\n")).attributes == ("fun",)
    pd.DataFrame({"item_id": [3, 1], "fun": [1, 2]}).to_parquet(tmp_path / "s.parquet")
    assert read_scores(tmp_path / "s.parquet").ids == ("3", "1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("item_id\tfun\n", "no rows"),
        ("item_id\n1\n", "no attribute"),
        ("itemid\tfun\n1\t2\n", "no column 'item_id' or 'user_id'.*Is it 'itemid'"),
        ("item_id\tuser_id\tfun\n1\t1\t2\n", "not of pairs"),
        ("item_id\tfun\tfun\n1\t1\t2\n", "two columns are called 'fun'"),
        ("item_id\tfun\n1\thigh\n", r"row 2, column 'fun' \('1'\): 'high' is not a number"),
        ("item_id\tfun\n1\tinf\n", "row 2, column 'fun'.*infinite"),
        ("item_id\tfun\n1\t2\n\n1\t3\n", "row 4: item_id '1' is there already, in row 2"),
        ("item_id\tfun\n \t3\n", "row 2: item_id is empty"),
        ("item_id\tfun\n1\t2\t3\n", "line 2 has 3 cells and the first line 2"),
        ("item_id\tfun\tfun_sd\n1\t2\t-1\n", "column 'fun_sd'.*-1 is out of scale; it must be 0 or more"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_scores(put(tmp_path, text))


def test_out_of_the_schemas_scale(tmp_path: Path) -> None:
    path = put(tmp_path, "item_id\tfun\tnoise\n1\t3\t9.5\n")
    assert read_scores(path).values[0, 1] == 9.5  # without a schema nobody knows
    with pytest.raises(
        DataError, match=r"column 'noise' \('1'\): 9.5 is out of scale; it must be from 0 to 9"
    ):
        read_scores(path, SCHEMA)


def test_a_missing_attribute_names_the_nearest_column(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"'noise' is not known. Did you mean 'noises'"):
        read_scores(put(tmp_path, "item_id\tfun\tnoises\n1\t3\t9\n"), SCHEMA)


def test_missing_files_and_foreign_ones(tmp_path: Path) -> None:
    path = put(tmp_path, "item_id\tfun\n1\t2\n")
    with pytest.raises(DataError, match=r"does not exist. Did you mean .*scores.tsv"):
        read_scores(tmp_path / "score.tsv")
    with pytest.raises(ConfigurationError, match=r"suffix '.xlsx' names no format"):
        read_scores(tmp_path / "scores.xlsx")
    with pytest.raises(DataError, match="is not a parquet file"):
        read_scores(path.rename(tmp_path / "scores.parquet"))
    (tmp_path / "b.csv").write_bytes(b"item_id,fun\n\xff\xfe,1\n")
    with pytest.raises(DataError, match="is not a CSV file"):
        read_scores(tmp_path / "b.csv")
    pd.DataFrame({"item_id": [1.0], "fun": [1]}).to_parquet(tmp_path / "f.parquet")
    with pytest.raises(DataError, match="store ids as text or integers"):
        read_scores(tmp_path / "f.parquet")
    with pytest.raises(DataError, match="no column 'user_id'"):
        read_scores(put(tmp_path, "item_id\tfun\n1\t2\n"), id_column="user_id")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = put(tmp_path, "item_id\tfun\n1\t2\n")
    with pytest.raises(DataError, match="has a tab or an end of line"):
        write_scores(Scores(("a\tb",), ("fun",), np.array([[1.0]])), path)
    assert path.read_text() == "item_id\tfun\n1\t2\n"
    assert [file.name for file in tmp_path.iterdir()] == ["scores.tsv"]
    with pytest.raises(ConfigurationError, match="would be called 'a_sd'"):
        write_scores(
            Scores(("1",), ("a", "a_sd"), np.ones((1, 2)), np.ones((1, 2))),
            path,
        )


def test_the_scorer_follows_the_ids(tmp_path: Path) -> None:
    path = put(tmp_path, "item_id\tfun\tfun_sd\tnoise\n1\t4\t0.5\t6\n2\t5\t0\t7\n")
    scores = FileScorer(path).score(Texts(("2", "9"), {"title": ("x", "y")}), SCHEMA)
    assert scores.ids == ("2", "9")
    np.testing.assert_array_equal(scores.values, [[5, 7], [np.nan, np.nan]])
    assert scores.uncertainty is not None
    np.testing.assert_array_equal(scores.uncertainty, [[0, np.nan], [np.nan, np.nan]])
    assert "no row" in scores.notes["9"]
    assert "2" not in scores.notes
    with pytest.raises(DataError, match="none of the 1 ids has a row"):
        FileScorer(path).score(Texts(("x",), {}), SCHEMA)
