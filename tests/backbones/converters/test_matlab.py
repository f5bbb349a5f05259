"""The graph of a MATLAB file: what is written reads back into the same matrices; what is no such file is refused."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recbole.config import Config
from recbole.data import create_dataset
from scipy import sparse
from scipy.io import loadmat
from typer.testing import CliRunner
from written_matlab import cells, content, saved

import burnish  # noqa: F401  (mends RecBole)
from burnish.backbones.converters import convert_matlab
from burnish.backbones.converters.matlab_file import Cell, Sparse, read_matlab
from burnish.cli.main import app
from burnish.enhancers.paths.graph import Graph
from burnish.enhancers.paths.graph_options import GraphConfig
from burnish.enhancers.paths.sources import read_graph
from burnish.errors import ConfigurationError, DataError

#: Data that may be tested with but not shipped.
YELP = Path(os.environ.get("BURNISH_TEST_DATA", "test-data")) / "wsdm20-yelp.mat"


def graph_of(out: Path, monkeypatch: pytest.MonkeyPatch, folder: Path, **options: Any) -> tuple[Graph, Any]:
    """The graph with all interactions, and RecBole's data set."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    settings = {
        "data_path": str(out.parent),
        "load_col": None,
        "show_progress": False,
        "eval_args": {"split": {"RS": [1.0, 0.0, 0.0]}, "order": "RO", "group_by": None, "mode": "full"},
    }
    train = create_dataset(Config(model="BPR", dataset=out.name, config_dict=settings)).build()[0]
    return read_graph(train, GraphConfig(**options)), train


def assert_same_matrices(graph: Graph, train: Any, file: Path, names: dict[str, int]) -> None:
    """Each relation has the edges of a matrix of the file, by names."""
    found = loadmat(file)
    lists = [[str(one.item()) for one in ids.ravel()] for ids in found["entity"].ravel()]
    own = {
        "user": [str(one) for one in train.field2id_token["user_id"]],
        "item": [str(one) for one in train.field2id_token["item_id"]],
    }
    assert len(graph.relations) == len(names)
    for name, number in names.items():
        relation = graph.relation(name)
        ends = []
        places = found["relationIdx"][number].astype(int) - 1
        for kind, place, ids in (
            (relation.source, places[0], relation.sources),
            (relation.target, places[1], relation.targets),
        ):
            texts = own.get(kind) or list(graph.labels[kind])
            where = {text.replace(" ", "_"): at for at, text in enumerate(lists[place])}
            ends.append(np.array([where.get(text.replace(" ", "_"), -1) for text in texts])[ids.numpy()])
        wanted = found["relation"].ravel()[number].tocsr()
        assert all(len(end) == 0 or end.min() >= 0 for end in ends)
        mine = sparse.coo_array((np.ones(len(relation)), tuple(ends)), shape=wanted.shape).tocsr()
        assert mine.max() == 1
        assert (mine != (wanted != 0)).nnz == 0


@pytest.mark.parametrize("seed", range(3))
def test_reads_back_into_the_same_matrices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    file = saved(tmp_path, content(seed), do_compression=bool(seed % 2))
    card = convert_matlab(file, tmp_path / "dataset" / "small")
    assert (card.users, card.items) == (12, 9)
    assert sorted(path.name for path in (tmp_path / "dataset" / "small").iterdir()) == [
        "README.txt",
        *(f"small.{ending}" for ending in ("card.json", "inter", "item", "net", "user")),
    ]
    columns = {"item_columns": ["category", "city"], "user_columns": ["compliment"]}
    graph, train = graph_of(tmp_path / "dataset" / "small", monkeypatch, tmp_path, **columns)
    names = {"rated": 0, "friend": 1, "compliment": 2, "category": 3, "city": 4}
    assert_same_matrices(graph, train, file, names)
    assert graph.n_edges == sum(card.edges.values()) == sum(m.nnz for m in content(seed)["relation"].ravel())
    written = json.loads((tmp_path / "dataset" / "small" / "small.card.json").read_text())
    assert written["edges"] == card.edges
    assert "small.item, column city" in (tmp_path / "dataset" / "small" / "README.txt").read_text()


@pytest.mark.skipif(
    not YELP.is_file(),
    reason=f"{YELP} is not there: the release's data are not shipped (set BURNISH_TEST_DATA)",
)
def test_the_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = convert_matlab(YELP, tmp_path / "released")
    assert (card.users, card.items) == (16_239, 14_284)
    assert sum(card.edges.values()) == 488_138
    graph, train = graph_of(tmp_path / "released", monkeypatch, tmp_path)
    assert graph.n_edges == 488_138
    names = {"rated": 0, "friend": 1, "compliment": 2, "category": 3, "city": 4}
    assert_same_matrices(graph, train, YELP, names)


def test_ratings_names_and_blanks(tmp_path: Path) -> None:
    convert_matlab(saved(tmp_path, content()), tmp_path / "small")
    lines = (tmp_path / "small" / "small.inter").read_text().splitlines()
    assert lines[:2] == ["user_id:token\titem_id:token\trating:float", "user-0\tbusiness-0\t4"]
    heads = (tmp_path / "small" / "small.item").read_text().splitlines()
    assert heads[0] == "item_id:token\tcategory:token_seq\tcity:token"
    assert heads[1].split("\t")[2].startswith("city_")
    assert heads[9].split("\t")[2] == ""
    made = content()
    made["relation"][0, 0] = sparse.csc_matrix(made["relation"][0, 0] != 0)
    convert_matlab(saved(tmp_path, made), tmp_path / "plain")
    assert (tmp_path / "plain" / "plain.inter").read_text().startswith("user_id:token\titem_id:token\n")


def test_relations_the_other_way_round_and_equal_names(tmp_path: Path) -> None:
    made = content()
    made["relationIdx"] = np.array([(1, 2), (4, 2), (2, 4)])
    made["relation"] = cells([made["relation"][0, 0], made["relation"][0, 3].T, made["relation"][0, 3]])
    made["entity"][0, 3] = cells([np.array([name]) for name in ("a b", "a_b", "c", "d", "e")]).T
    card = convert_matlab(saved(tmp_path, made), tmp_path / "small")
    rows = [line.split("\t") for line in (tmp_path / "small" / "small.item").read_text().splitlines()]
    assert rows[0][1:] == ["category:token_seq", "category_2:token_seq"]
    assert all(row[1] == row[2] for row in rows[1:])
    assert {word for row in rows[1:] for word in row[1].split()} == {"a_b", "a_b_2", "c", "d", "e"}
    assert card.written["a_category-business"] == "small.item, column category"


def spoilt(name: str) -> dict[str, Any]:
    made = content()
    relation, entity = made["relation"], made["entity"]
    if name in made:
        del made[name]
    elif name == "index beyond":
        made["relationIdx"][4, 1] = 9
    elif name == "index shape":
        made["relationIdx"] = made["relationIdx"][:, :1]
    elif name == "index text":
        made["relationIdx"] = "abc"
    elif name == "matrix shape":
        relation[0, 3] = relation[0, 3][:5]
    elif name == "dense":
        relation[0, 3] = relation[0, 3].toarray()
    elif name == "nan":
        relation[0, 0] = relation[0, 0] * np.nan
    elif name == "complex":
        relation[0, 0] = relation[0, 0] * 1j
    elif name == "lists":
        made["entity"] = entity[:, :4]
    elif name == "no cells":
        made["entity"] = np.ones((2, 2))
    elif name == "numbers":
        entity[0, 1] = np.ones((9, 1))
    elif name == "name twice":
        entity[0, 0][3, 0] = entity[0, 0][2, 0]
    elif name == "number as name":
        entity[0, 0][3, 0] = np.array([7.0])
    elif name == "struct":
        entity[0, 0][3, 0] = {"a": 1}
    elif name == "unfit id":
        entity[0, 1][3, 0] = np.array(["a\tb"])
    elif name == "type twice":
        made["entityName"][0, 3] = np.array(["city"])
    elif name == "sides":
        made["relationIdx"][4] = (5, 5)
        relation[0, 4] = sparse.csc_matrix(np.eye(3))
    elif name == "friends first":
        made["relationIdx"], made["relation"] = made["relationIdx"][[1, 0]], relation[:, [1, 0]]
    elif name == "none":
        made["relationIdx"], made["relation"] = np.zeros((0, 2)), np.empty((1, 0), dtype=object)
    return made


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("relation", "has no variable relation"),
        ("entityName", "has no variable entityName"),
        ("index beyond", "give numbers of types from 1 to 5"),
        ("index shape", "relationIdx is an array of numbers of 5 x 1; for 5 relations"),
        ("index text", "relationIdx is the text 'abc'"),
        (
            "matrix shape",
            r"relation\{4\} is a sparse matrix of 5 x 5, and relationIdx joins types of 9 and 5 nodes",
        ),
        ("dense", r"relation\{4\} is an array of numbers of 9 x 5; a sparse matrix"),
        ("nan", r"relation\{1\} holds NaN"),
        ("complex", r"relation\{1\} is a complex array; a sparse matrix of numbers"),
        ("lists", "entityName has 5 types and entity 4 lists"),
        ("no cells", "entity is an array of numbers of 2 x 2; a cell array"),
        ("numbers", r"entity\{2\} \(business\) is an array of numbers of 9 x 1; a cell array"),
        ("name twice", r"entity\{1\} \(user\) holds 'user-2' twice"),
        ("number as name", r"entity\{1\}\{4\} \(user\) is .*a text belongs there"),
        ("struct", r"entity\{1\}\{4\} \(user\) is .*a text belongs there"),
        ("unfit id", r"entity\{2\}\{4\} \(business\): .*not an id that RecBole can read"),
        ("type twice", "entityName holds a name twice"),
        ("sides", r"relation\{5\} is city-city; what can be converted"),
        ("friends first", "the first relation is user-user; that of users and items comes first"),
        ("none", "relation is empty"),
    ],
)
def test_what_is_no_such_graph(tmp_path: Path, name: str, said: str) -> None:
    file = saved(tmp_path, spoilt(name))
    with pytest.raises(DataError, match=said) as caught:
        convert_matlab(file, tmp_path / "out")
    assert str(file) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_damaged_files(tmp_path: Path) -> None:
    whole = saved(tmp_path, content()).read_bytes()
    file, draw = tmp_path / "damaged.mat", random.Random(0)
    (tmp_path / "small.mat").unlink()
    damaged = [
        b"",
        b"MATLAB 7.3 MAT-file, ".ljust(124) + b"\x00\x02IM" + b"\x89HDF",
        whole[:1000],
        b"x" * 500,
    ]
    for _ in range(400):
        raw = bytearray(whole)
        for _ in range(draw.choice([1, 3, 20])):
            raw[draw.randrange(128, len(raw))] = draw.randrange(256)
        damaged.append(bytes(raw))
    refused = []
    for raw in damaged:
        file.write_bytes(raw)
        try:
            convert_matlab(file, tmp_path / "out", force=True)
        except DataError as error:
            refused.append(str(error))
    assert len(refused) >= 4
    assert all(str(file) in message for message in refused)
    file.write_bytes(damaged[1])
    with pytest.raises(DataError, match=r"another version \(7\.3, HDF5\)"):
        convert_matlab(file, tmp_path / "other")


@pytest.mark.parametrize("packed", [False, True])
def test_files_as_scipy_reads_them(tmp_path: Path, packed: bool) -> None:
    made = content()
    made |= {
        "text": "é€",
        "flag": np.array([[True, False]]),
        "many": np.arange(24, dtype=np.int16).reshape(2, 3, 4),
        "single": np.array([[1.5]], dtype=np.float32),
        "nested": cells([cells([np.array(["a"]), np.zeros((0, 0))]), np.array([[7]])]),
    }
    file = saved(tmp_path, made, do_compression=packed)
    ours, theirs = read_matlab(file, made.keys()), loadmat(file)

    def same(mine: Any, other: Any) -> None:
        if isinstance(mine, Cell):
            assert mine.shape == other.shape
            for one, two in zip(mine.values, other.ravel(order="F"), strict=True):
                same(one, two)
        elif isinstance(mine, Sparse):
            again = sparse.coo_array((mine.values, (mine.rows, mine.columns)), shape=mine.shape)
            assert (again.tocsr() != other.tocsr()).nnz == 0
        elif isinstance(mine, str):
            assert mine == "".join(other.ravel())
        else:
            assert np.array_equal(mine, other)
            assert mine.shape == other.shape

    assert ours.keys() == made.keys()
    for name, value in ours.items():
        same(value, theirs[name])
    assert read_matlab(file, ["text"]) == {"text": "é€"}


def test_indices_beyond_the_matrix_are_refused(tmp_path: Path) -> None:
    """scipy does not look at them here, and would read other memory."""
    made = content()
    made["relation"][0, 3].indices[0] = 200  # of 9 rows
    with pytest.raises(DataError, match=r"is damaged \(a sparse matrix of 9 rows has row 200\)"):
        convert_matlab(saved(tmp_path, made), tmp_path / "out")


def test_folders_are_made_whole_or_not_at_all(tmp_path: Path) -> None:
    file, out = saved(tmp_path, content()), tmp_path / "small"
    convert_matlab(file, out)
    with pytest.raises(ConfigurationError, match="is there already"):
        convert_matlab(file, out)
    convert_matlab(file, out, force=True)
    (out / "mine.txt").write_text("x")
    with pytest.raises(ConfigurationError, match=r"would remove mine\.txt"):
        convert_matlab(file, out, force=True)
    with pytest.raises(DataError, match="there is no such file"):
        convert_matlab(tmp_path / "none.mat", tmp_path / "other")


def test_the_command(tmp_path: Path) -> None:
    file = saved(tmp_path, content())
    done = CliRunner().invoke(app, ["data", "mat", str(file), "--out", str(tmp_path / "small")])
    assert done.exit_code == 0, done.output
    assert "12 users, 9 items" in done.stderr
    assert "user-user" in done.stderr
    again = CliRunner().invoke(app, ["data", "mat", str(file), "--out", str(tmp_path / "small")])
    assert again.exit_code == 2
    assert again.stderr.count("error:") == 1


@pytest.mark.parametrize(
    ("types", "columns"),
    [
        (("item_id", "rating"), ("item_id_2", "rating_2")),
        (("user_id", "a_"), ("user_id_2", "a_")),
        (("a_city", "city"), ("city", "city_2")),
    ],
)
def test_columns_have_names_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, types: tuple[str, str], columns: tuple[str, str]
) -> None:
    made = content()
    for place, name in zip((3, 4), types, strict=True):
        made["entityName"][0, place] = np.array([name])
    convert_matlab(saved(tmp_path, made), tmp_path / "small")
    head = (tmp_path / "small" / "small.item").read_text().splitlines()[0].split("\t")
    assert [one.rpartition(":")[0] for one in head] == ["item_id", *columns]
    graph, train = graph_of(tmp_path / "small", monkeypatch, tmp_path, item_columns=columns)
    assert {len(graph.relation(name)) for name in columns} == {made["relation"][0, n].nnz for n in (3, 4)}
    assert train.item_num == 10


def test_a_third_column_does_not_take_the_name_of_a_second(tmp_path: Path) -> None:
    made = content()
    for place, name in ((2, "a_city"), (3, "city"), (4, "city_2")):
        made["entityName"][0, place] = np.array([name])
    made["relationIdx"] = np.array([(1, 2), (2, 4), (2, 5), (2, 3)])
    part = sparse.csc_matrix(np.eye(9, 4))
    made["relation"] = cells([made["relation"][0, 0], *made["relation"][0, 3:], part])
    card = convert_matlab(saved(tmp_path, made), tmp_path / "small")
    assert list(card.written.values())[1:] == [f"small.item, column city{n}" for n in ("", "_2", "_3")]


def test_types_without_nodes(tmp_path: Path) -> None:
    made = content()
    made["entity"][0, 4] = np.empty((0, 0), dtype=object)
    made["relation"][0, 4] = sparse.csc_matrix((9, 0))
    card = convert_matlab(saved(tmp_path, made), tmp_path / "small")
    assert (card.entities["city"], card.edges["business-city"]) == (0, 0)


def test_graphs_without_interactions_are_refused(tmp_path: Path) -> None:
    made = content()
    made["relation"][0, 0] = made["relation"][0, 0] * 0
    with pytest.raises(DataError, match=r"relation\{1\}, user-business, has no entry"):
        convert_matlab(saved(tmp_path, made), tmp_path / "small")
    assert not (tmp_path / "small").exists()


def test_folders_and_archives_are_told_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder; give a MATLAB file"):
        convert_matlab(tmp_path, tmp_path / "small")
    (tmp_path / "a.mat").write_bytes(b"PK\x03\x04" + bytes(200))
    with pytest.raises(DataError, match=r"is a zip archive; unpack it, and give the \.mat file"):
        convert_matlab(tmp_path / "a.mat", tmp_path / "small")
