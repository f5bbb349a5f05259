"""`bake` gives a plain model with the same scores, and a checkpoint that RecBole reads without burnish."""

from __future__ import annotations

import json
import pickletools
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
import shift
import shipping as ship
import torch

import burnish
from burnish.enhancers.attach import enhance
from burnish.enhancers.bake import bake
from burnish.enhancers.conformance.world import build_world
from burnish.errors import ConfigurationError, UnknownNameError, UnsupportedError

#: Looks up single rows of a Linear layer by other sums than the whole product takes.
ROUNDING = {"rtol": 2e-5, "atol": 2e-6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    return ship.folder_for(tmp_path_factory)


@pytest.mark.parametrize("backbone", ship.REFINABLE)
def test_baked_scores_are_those_of_the_enhanced_model(folder, backbone):
    world = build_world(enhance(backbone, "rows"), folder)
    world.trainer.fit(world.train, saved=False, verbose=False)  # leaves tensors with graphs behind (MKR)
    ship.as_if_trained(world.model)
    batch = ship.first_test_batch(world)
    wanted = ship.scores(world.model, batch)
    before = {key: value.clone() for key, value in world.model.state_dict().items()}
    baked = bake(world.model)
    assert type(baked).__module__.startswith("recbole.")
    ship.assert_scores_equal(wanted, ship.scores(baked, batch), **ROUNDING)
    # The refined rows are in the tables; the padding row and everything else is as it was.
    for table in world.model.enhancers.anatomy.tables:
        raw = table.raw().detach()
        stored = baked.get_parameter(table.name)
        stored = (stored.t() if table.transposed else stored)[table.first : table.first + table.count]
        enhancer = world.model.enhancers["rows"]
        scale = (enhancer.of_user if table.side == "user" else enhancer.of_item).detach().clone()
        scale[0] = 0.0
        torch.testing.assert_close(stored, raw * (1 + scale).unsqueeze(-1))
        assert torch.equal(stored[0], raw[0])
    # The enhanced model is untouched, and independent of the baked one.
    with torch.no_grad():
        for parameter in baked.parameters():
            parameter.zero_()
    after = world.model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    ship.assert_scores_equal(wanted, ship.scores(world.model, batch))


@pytest.mark.parametrize("backbone", ["BPR", "NeuMF", "LightGCN", "SASRec", "BERT4Rec"])
def test_a_trained_network_bakes_within_rounding(folder, backbone):
    world = build_world(enhance(backbone, "rvrec"), folder)
    ship.as_if_trained(world.model)
    batch = ship.first_test_batch(world)
    ship.assert_scores_equal(
        ship.scores(world.model, batch), ship.scores(bake(world.model), batch), **ROUNDING
    )


#: One of each kind of table, and every model that keeps state outside its parameters.
CHECKPOINTED = [
    *("BPR", "LightGCN", "DMF", "SimpleX", "NNCF", "MultiVAE", "GCMC", "SASRec", "BERT4Rec"),
    *("DeepFM", "FwFM", "DIN", "DIEN", "KGCN", "MKR", "RippleNet"),
]


def test_recbole_without_burnish_loads_the_checkpoints_and_scores_equally(folder, tmp_path):
    """In a process in which `import burnish` fails; RecBole gets only what it needs on today's libraries."""
    jobs = []
    for backbone in CHECKPOINTED:
        world = build_world(enhance(backbone, "rows"), folder)
        world.trainer.fit(world.train, saved=False, verbose=False)
        ship.as_if_trained(world.model)
        batch = ship.first_test_batch(world)
        file = tmp_path / f"{backbone}.pth"
        baked = bake(world.model, file)
        assert names_of_burnish(file) == []
        torch.save(batch.interaction, tmp_path / f"{backbone}.batch")
        torch.save(ship.scores(baked, batch), tmp_path / f"{backbone}.scores")
        jobs.append(backbone)
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    script = tmp_path / "plain.py"
    script.write_text(PLAIN_RECBOLE)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(Path(ship.__file__))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        env={"PATH": "", "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == jobs


#: RecBole 1.2.1 by itself imports on an old stack only, so what it misses is put back here by hand.
PLAIN_RECBOLE = textwrap.dedent(
    """
    import ast, contextlib, copy, importlib.abc, json, random, sys, types

    class NoBurnish(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] == "burnish":
                raise ImportError("burnish is not here")

    sys.meta_path.insert(0, NoBurnish())
    import numpy as np, pandas as pd, scipy.sparse as sp, torch
    torch.set_num_threads(1)
    np.float_, np.complex_, np.unicode_ = np.float64, np.complex128, np.str_
    ray = types.ModuleType("ray"); ray.tune = types.ModuleType("ray.tune"); ray.tune.report = print
    sys.modules.update({"ray": ray, "ray.tune": ray.tune})
    sp.dok_matrix._update = lambda self, data: getattr(self, "_dict", self).update(data)
    real_agg = pd.Series.agg
    pd.Series.agg = lambda self, f=None, *a, **k: self.map(len) if f is len else real_agg(self, f, *a, **k)
    read = pd.read_csv
    def read_csv(*a, **k):
        frame = read(*a, **k)
        for c in frame.columns:
            if not pd.api.types.is_numeric_dtype(frame[c].dtype):
                frame[c] = frame[c].astype(object)
        return frame
    pd.read_csv = read_csv
    class Graph:
        def __init__(self, source, target, n=None):
            self.source, self.target = torch.as_tensor(source), torch.as_tensor(target)
            self.n = n or int(max(self.source.max(), self.target.max())) + 1
            self.edata = {}
        def filter_edges(self, wanted):
            return wanted(types.SimpleNamespace(data=self.edata)).nonzero().view(-1)
        def adjacency_matrix(self, transpose=False, scipy_fmt="coo", **_):
            row, column = (self.target, self.source) if transpose else (self.source, self.target)
            return sp.coo_matrix((np.ones(len(row)), (row.numpy(), column.numpy())), shape=(self.n, self.n))
    dgl = types.ModuleType("dgl")
    dgl.graph = lambda edges, **_: Graph(*edges)
    dgl.edge_subgraph = lambda graph, ids, **_: Graph(graph.source[ids], graph.target[ids], graph.n)
    sys.modules["dgl"] = dgl
    load = torch.load
    torch.load = lambda file, *a, **k: load(file, *a, **{"weights_only": False, **k})

    from recbole.data.interaction import Interaction
    from recbole.quick_start import load_data_and_model

    def scores(model, batch):
        model.eval()
        found = []
        for way in ("full_sort_predict", "predict"):
            torch.manual_seed(0); np.random.seed(0); random.seed(0)
            asked = copy.copy(batch)
            if way == "predict" and "item_id" not in asked:
                asked.update(Interaction({"item_id": torch.arange(1, len(asked) + 1)}))
            with contextlib.suppress(NotImplementedError, AssertionError), torch.no_grad():
                found.append(getattr(model, way)(asked).flatten().clone())
        return found

    for name in json.load(open("jobs.json")):
        with contextlib.redirect_stdout(sys.stderr):
            config, model, *_ = load_data_and_model(f"{name}.pth")
        assert type(model).__module__.startswith("recbole.") and "enhancers" not in config
        wanted = torch.load(f"{name}.scores")
        got = scores(model, Interaction(torch.load(f"{name}.batch")))
        assert len(wanted) == len(got) > 0
        for a, b in zip(wanted, got):
            torch.testing.assert_close(a, b, rtol=0, atol=0, msg=lambda m: f"{name}: {m}")
        print(name)
    assert not any(module.split(".")[0] == "burnish" for module in sys.modules)
    """
)


def test_a_checkpoint_of_kgat_scores_equally_by_what_it_kept(folder, tmp_path):
    """KGAT's attention is in no checkpoint of RecBole's: the embeddings of the last evaluation are."""
    from recbole.quick_start import load_data_and_model

    world = build_world(enhance("KGAT", "rows"), folder)
    world.trainer.fit(world.train, saved=False, verbose=False)
    ship.as_if_trained(world.model)
    batch = ship.first_test_batch(world)
    wanted = ship.scores(world.model, batch)[0]
    bake(world.model, tmp_path / "kgat.pth")
    loaded = load_data_and_model(str(tmp_path / "kgat.pth"))[1]
    assert torch.equal(wanted, ship.scores(loaded, batch)[0])


def names_of_burnish(file: Path) -> list[str]:
    """Names in a checkpoint's pickle that lead to burnish, found without loading it."""
    with zipfile.ZipFile(file) as archive:
        content = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    strings = [argument for _, argument, _ in pickletools.genops(content) if isinstance(argument, str)]
    return [text for text in strings if text.split(".")[0].split(" ")[0] == "burnish" or text == "enhancers"]


def test_the_scan_finds_burnish_in_an_enhanced_checkpoint(folder):
    world = build_world(enhance("BPR", "rows"), folder)
    world.trainer._save_checkpoint(0, verbose=False)
    assert names_of_burnish(Path(world.trainer.saved_model_file))


def test_the_checkpoint_is_what_recboles_trainer_writes(folder, tmp_path):
    plain = build_world("LightGCN", folder)
    plain.trainer._save_checkpoint(3, verbose=False)
    wanted = torch.load(plain.trainer.saved_model_file, weights_only=False)
    world = build_world(enhance("LightGCN", "rows"), folder)
    ship.as_if_trained(world.model)
    baked = bake(world.model, tmp_path / "new" / "plain.pth", progress={"epoch": 3, "best_valid_score": 0.5})
    got = torch.load(tmp_path / "new" / "plain.pth", weights_only=False)
    assert list(wanted) == list(got)
    assert (got["epoch"], got["cur_step"], got["best_valid_score"]) == (3, 0, 0.5)
    assert list(wanted["state_dict"]) == list(got["state_dict"])
    assert wanted["other_parameter"].keys() == got["other_parameter"].keys()
    assert wanted["optimizer"]["param_groups"] == got["optimizer"]["param_groups"]
    assert got["config"].model_class is type(plain.model)
    one, other = wanted["config"].final_config_dict, got["config"].final_config_dict
    assert one == other
    assert "enhancers" in world.config.final_config_dict  # of the enhanced model: untouched
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "plain.pth"]
    # RecBole goes on training from it.
    plain.trainer.resume_checkpoint(tmp_path / "new" / "plain.pth")
    assert plain.trainer.start_epoch == 4
    assert torch.equal(plain.model.user_embedding.weight, baked.user_embedding.weight)


def test_a_file_that_cannot_be_written_leaves_nothing_behind(folder, tmp_path):
    world = build_world(enhance("BPR", "rows"), folder)
    (tmp_path / "here").write_text("a file")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        bake(world.model, tmp_path / "here" / "plain.pth")
    (tmp_path / "taken").mkdir()
    with pytest.raises(ConfigurationError, match="taken is a folder"):
        bake(world.model, tmp_path / "taken")
    with pytest.raises(UnknownNameError, match="Did you mean 'epoch'"):
        bake(world.model, tmp_path / "plain.pth", progress={"epochs": 3})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "taken"]


@pytest.mark.parametrize("enhancer", [shift.Shift(site="output"), burnish.RVRec(site="output")])
def test_what_no_table_can_hold_is_refused_with_the_option(folder, enhancer):
    world = build_world(enhance("LightGCN", enhancer), folder)
    with pytest.raises(UnsupportedError, match=r"site='output'.*train it with site: table"):
        bake(world.model)


@pytest.mark.parametrize(("options", "shown"), [({}, ""), ({"users": 9}, r" \(users=9\)")])
def test_options_are_shown_where_there_are_some(folder, options: dict[str, int], shown: str) -> None:
    enhanced = build_world(enhance("LightGCN", burnish.Softmax(**options)), folder).model
    with pytest.raises(
        UnsupportedError, match=f"enhancer 'softmax'{shown} changes more than embedding tables"
    ):
        bake(enhanced)


def test_a_plain_model_is_refused(folder):
    with pytest.raises(ConfigurationError, match="bake: no enhancer is attached"):
        bake(build_world("BPR", folder).model)


def test_enhancers_without_tables_bake_to_the_trained_backbone(folder):
    world = build_world(enhance("BPR", shift.Weights(values=(0.5, 1.5))), folder)
    baked = bake(world.model)
    own = world.model.state_dict()
    assert all(torch.equal(own[key], value) for key, value in baked.state_dict().items())
