import numpy as np

from burnish.benchmarks.performance import encoder as benchmark
from burnish.enhancers.guided.scorers.protocol import Scores


def test_agreement_is_by_attribute_over_known_ids():
    mine = Scores(("a", "b", "c", "d"), ("x", "y"), np.array([[1.0, 9], [2, 1], [3, 5], [np.nan, 0]]))
    # another order of ids and attributes, and an id that is missing
    other = Scores(("d", "c", "b", "a"), ("y", "x"), np.array([[9.0, 9], [4, 30], [8, 20], [0, 10]]))
    found = benchmark.agreement(mine, other)
    assert found["x"] == 1.0
    # ranks of y: 4, 2, 3, 1 against 1, 3, 2, 4
    np.testing.assert_allclose(found["y"], -1.0)
    assert (benchmark.recbole_ml_100k() / "ml-100k.item").is_file()
