"""Options with a wrong type, not a number, out of range or misspelt: name, value and cure, before anything is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import recbole

from burnish.enhancers.zoo import find_backbone
from burnish.errors import BurnishError, ConfigurationError, DataError, UnsupportedError
from burnish.files.yamls import read_yaml
from burnish.training.request import make_config
from burnish.training.train import train
from burnish.training.values import check_value


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"train_batch_size": 0}, "train_batch_size = 0: give a whole number, 1 or more"),
        ({"train_batch_size": 25.5}, "train_batch_size = 25.5: give a whole number"),
        ({"learning_rate": math.nan}, "learning_rate = nan: give a number that is finite"),
        ({"eval_memory_mib": math.inf}, "eval_memory_mib = inf: give a number that is finite"),
        ({"learning_rate": "fast"}, "learning_rate = 'fast': give a number"),
        ({"learning_rate": 0}, "learning_rate = 0: give a number above 0"),
        ({"embedding_size": True}, "embedding_size = True: give a whole number"),
        ({"embedding_size": -4}, "embedding_size = -4: give a whole number, 1 or more"),
        ({"weight_decay": [0.1]}, "weight_decay ="),
        ({"use_gpu": "perhaps"}, "use_gpu = 'perhaps': give a truth value, as in true or false"),
        ({"epochs": None}, "epochs = None"),
        ({"learner": "adma"}, "'adam'"),
        ({"learner": "lion"}, "learner = 'lion' is not known"),
        ({"learner": "sparse_adam"}, "no sparse gradients"),
        ({"rm_dup_inter": "frist"}, "Did you mean 'first'"),
        ({"metrics": ["NDGC"]}, "Did you mean 'NDCG'"),
        ({"metrics": []}, "metrics = [[][]]: give at least one"),
        ({"metrics": ["NDCG", "AUC"]}, "one kind"),
        ({"topk": [10, 0]}, "topk = .* above 0"),
        ({"topk": "ten"}, "topk = 'ten'"),
        ({"valid_metric": 3}, "valid_metric = 3"),
        ({"eval_args": {"splitt": {"RS": [8, 1, 1]}}}, "eval_args: key 'splitt'.* Did you mean 'split'"),
        ({"eval_args": {"split": {"RS": [0.8, 0.2]}}}, "three shares"),
        ({"eval_args": {"split": {"RS": [0, 0.5, 0.5]}}}, "training must be above 0"),
        ({"eval_args": {"split": {"LS": "tset_only"}}}, "Did you mean 'test_only'"),
        ({"eval_args": {"order": "OT"}}, "eval_args.order = 'OT'"),
        ({"eval_args": {"group_by": "item"}}, "eval_args.group_by = 'item'"),
        ({"eval_args": {"mode": "uni"}}, "Did you mean 'uni100'"),
        ({"train_neg_sample_args": {"distributoin": "uniform"}}, "Did you mean 'distribution'"),
        ({"train_neg_sample_args": {"distribution": "popular"}}, "Did you mean 'popularity'"),
        ({"train_neg_sample_args": {"sample_num": 0}}, "sample_num = 0: give a whole number, 1 or more"),
        ({"train_neg_sample_args": {"dynamic": True}}, "candidate_num = 0"),
        ({"train_neg_sample_args": {"sample_num": 10**14}}, "sample_num = 1000.*give 100000 at most"),
        ({"train_neg_sample_args": 3}, "train_neg_sample_args = 3"),
        ({"train_neg_sample_args": None}, "BPR compares each item with a sampled one"),
        ({"clip_grad_norm": {"maxnorm": 1}}, "Did you mean 'max_norm'"),
        ({"encoding": "utf-88"}, "encoding = 'utf-88'.* Did you mean 'utf-8'"),
        ({"encoding": "rot13"}, "encoding = 'rot13' is not known.*encodings of text"),
        ({"encoding": "hex"}, "encoding = 'hex' is not known"),
        ({"encoding": "cp037"}, "encoding = 'cp037' is not known"),
        ({"encoding": "undefined"}, "encoding = 'undefined' is not known"),
        ({"encoding": 7}, "encoding = '7' is not known"),
        (
            {"train_neg_sample_args": {"distribution": "popularity", "alpha": 1000}},
            "alpha = 1000: .*-20 to 20",
        ),
        ({"train_neg_sample_args": {"distribution": "popularity", "alpha": -99.5}}, "alpha = -99.5"),
        ({"learning_rate": 1e38}, "learning_rate = 1e[+]38: .* single precision"),
        ({"weight_decay": 10**400}, "weight_decay = 1000.*single precision"),
        ({"epochs": 10**40}, "epochs = 1000.* at most"),
        ({"local_rank": 0}, "local_rank = 0: a run trains in one process"),
        ({"world_size": 4}, "world_size = 4: a run trains in one process"),
        ({"threads": 100000}, "threads = 100000: give 1024 at most"),
        ({"worker": 10**6}, "worker = 1000000: give 1024 at most"),
        ({"checkpoint_dir": "/proc/x"}, "checkpoint_dir = '/proc/x': this folder cannot be made"),
        ({"checkpoint_dir": "a\0b"}, "checkpoint_dir = 'a.*b': this folder cannot be made"),
        ({"checkpoint_dir": "/dev/null/x"}, "checkpoint_dir = '/dev/null/x': this folder cannot be made"),
        ({"valid_metric": "NDCG"}, "valid_metric = 'NDCG': NDCG is .* of how many: NDCG@5 or NDCG@10"),
        ({"valid_metric": "ndcg@"}, "valid_metric = 'ndcg@': NDCG is .* of how many"),
        ({"metrics": ["GAUC"], "valid_metric": "GAUC@10"}, "GAUC is not computed of the first items"),
        ({"metrics": "GiniIndex", "valid_metric": "giniindex"}, "GiniIndex@5 or GiniIndex@10"),
        ({"tail_ratio": -2}, "tail_ratio = -2: give the share"),
        ({"tail_ratio": 1.5}, "tail_ratio = 1.5: give the share"),
        ({"tail_ratio": "x"}, "tail_ratio = 'x': give the share"),
        ({3: 4}, "options: the name 3 of an option is a int, not a text"),
        ({"user_inter_num_interval": 5}, "'5' is an illegal interval"),
        ({"item_inter_num_interval": "[5,inf"}, "illegal interval"),
        ({"item_inter_num_interval": "[9,5]"}, "lower end comes first"),
        ({"val_interval": {"rating": ">3"}}, "val_interval.rating = '>3': '>3' is an illegal interval"),
        ({"gpu_id": "first"}, "gpu_id = 'first'"),
        ({"seed": -1}, "seed = -1: give a whole number, 0 or more"),
        ({"USER_ID_FIELD": "item_id"}, "ITEM_ID_FIELD = 'item_id' and USER_ID_FIELD = 'item_id'"),
        ({"normalize_all": True, "normalize_field": ["price"]}, "one of the two"),
    ],
)
def test_values(world: Any, options: dict[Any, Any], says: str) -> None:
    with pytest.raises(BurnishError, match=says):
        train("BPR", "d", options=world.options("BPR", options))


def test_every_metric_is_called_as_it_is_computed(world: Any) -> None:
    """With @k or without it: one of the two trains, and the other one is refused before training."""
    from recbole.evaluator.register import metric_types, metrics_dict

    for name, kind in metric_types.items():
        metric = metrics_dict[name].__name__
        value = kind.name == "VALUE"
        options = {"metrics": [metric], "topk": [5], "eval_args": {"mode": "labeled" if value else "full"}}
        accepted = []
        for called in (metric, f"{metric}@5"):
            try:
                model = find_backbone("FM" if value else "BPR")
                asked = world.options(model.__name__, {**options, "valid_metric": called})
                make_config(model, "d", {}, asked)
                accepted.append(called)
            except ConfigurationError as error:
                assert f"valid_metric = {called!r}" in str(error)  # noqa: PT017
        assert len(accepted) == 1
        assert train(model, "d", options={**asked, "valid_metric": accepted[0]}, keep_checkpoint=False)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "cuda:1"}, "device = 'cuda:1' has no effect.*use_gpu: true and gpu_id: '1'"),
        ({"device": "cpu"}, "device = 'cpu' has no effect.*use_gpu: false"),
        ({"use_gpu": True}, "torch sees no GPU here"),
    ],
)
def test_devices_that_there_are_not(
    world: Any, monkeypatch: pytest.MonkeyPatch, options: Any, says: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.warns(UserWarning, match=says):
        make_config(find_backbone("BPR"), "d", {}, world.options("BPR", options))


def test_wandb_that_is_not_installed(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from burnish.training.inputs import machine

    monkeypatch.setattr(machine, "find_spec", lambda _: None)
    with pytest.raises(
        ConfigurationError, match="log_wandb = True: the package wandb is not installed; pip install"
    ):
        world.train(log_wandb=True)


def test_a_value_that_contains_itself(world: Any) -> None:
    value: dict[str, Any] = {}
    value["b"] = [value]
    with pytest.raises(ConfigurationError, match="options: option 'a' contains itself"):
        world.train(a=value)


def test_an_empty_file_of_options(world: Any, tmp_path: Path) -> None:
    for text in ("", "# nothing\n", "---\n"):
        (tmp_path / "empty.yaml").write_text(text)
        files = [tmp_path / "empty.yaml"]
        result = train(
            "BPR", "d", config_files=files, options=world.options("BPR", {}), keep_checkpoint=False
        )
        assert result.test_result


def test_text_encodings_of_python_are_read_or_named(world: Any) -> None:
    """None of them ends in an error that names neither option nor file."""
    import encodings.aliases

    for name in sorted(
        {*encodings.aliases.aliases.values(), "idna", "punycode", "unicode_escape", "undefined"}
    ):
        try:
            make_config(find_backbone("BPR"), "d", {}, world.options("BPR", {"encoding": name}))
        except BurnishError as error:
            assert "encoding" in str(error) or "d.inter" in str(error)  # noqa: PT017


def test_adamw_trains_adamw(world: Any) -> None:
    from burnish.training.stages import Run

    run = Run(make_config(find_backbone("BPR"), "d", {}, world.options("BPR", {"learner": "adamw"})), None)
    run.prepare()
    assert type(run.trainer.optimizer).__name__ == "AdamW"


@pytest.mark.parametrize(
    ("split", "valid", "test"), [("test_only", False, True), ("valid_only", True, False)]
)
def test_leave_one_out_of_one_part(world: Any, split: str, valid: bool, test: bool) -> None:
    result = world.train(eval_args={"split": {"LS": split}})
    assert bool(result.valid_result) == valid
    assert bool(result.test_result) == test


@pytest.mark.parametrize(
    ("model", "metric"), [("FM", "LogLoss"), ("FM", "AUC"), ("EMF", "RMSE"), ("EMF", "MAE")]
)
@pytest.mark.parametrize(("shares", "phase"), [((238, 1, 1), "validation"), ((236, 3, 1), "test")])
def test_metrics_of_labels_need_two_rows(
    world: Any, model: str, metric: str, shares: tuple[int, ...], phase: str
) -> None:
    options = {"metrics": [metric], "valid_metric": metric}
    split = {"split": {"RS": list(shares)}, "order": "RO", "group_by": None, "mode": "labeled"}
    with pytest.raises(
        DataError, match=rf"the {phase} split has a single row .*metrics = \['{metric}'\] cannot"
    ):
        world.train(model, eval_args=split, **options)


def test_rankings_of_one_row_are_measured(world: Any) -> None:
    split = {"split": {"RS": [238, 1, 1]}, "order": "RO", "group_by": None, "mode": "full"}
    assert world.train(eval_args=split).valid_result


def test_option_of_the_model_names_itself(world: Any) -> None:
    """What only the model's constructor knows comes with the options that were given."""
    with pytest.raises(BurnishError, match=r"multiple of the number of attention heads.*n_heads = 3"):
        world.train("SASRec", n_heads=3)


def test_defaults_of_every_model_pass() -> None:
    from burnish.enhancers.zoo import list_backbones
    from burnish.training.inputs.declared import declared_options
    from burnish.training.inputs.options import check_options

    properties = Path(recbole.__file__).parent / "properties"
    files = [properties / "overall.yaml", *(properties / "dataset").glob("*.yaml")]
    files = [
        file for file in [*files, *(properties / "quick_start_config").glob("*.yaml")] if file.stem != "url"
    ]
    defaults = [read_yaml(file) for file in files]
    assert {"valid_metric", "train_neg_sample_args", "load_col", "threshold"} <= set().union(*defaults)
    tried = 0
    for name in list_backbones():
        try:
            model = find_backbone(name)
        except BurnishError:  # its package is not installed
            continue
        options = {key: option.default for key, option in declared_options(model).items()}
        if "loss_type" in options and not hasattr(model, "input_type") and options["loss_type"] == "CE":
            options["train_neg_sample_args"] = None
        check_options(options, options.keys(), model)
        for option, value in (pair for one in (*defaults, options) for pair in one.items()):
            check_value(option, value, model)
        tried += 1
    assert tried > 80


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("valid_metric", "NDGC@10", "valid_metric: metric 'NDGC' is not known. Did you mean 'NDCG'"),
        ("valid_metric", "NDCG", "valid_metric = 'NDCG' is not how a metric is called; say ndcg@10"),
        ("valid_metric", "RMSE@5", "say rmse"),
        ("valid_metric", "ndcg@", "say ndcg@10"),
        (
            "train_neg_sample_args",
            {"distribution": "unifrom"},
            "'unifrom' is not known. Did you mean 'uniform'",
        ),
        ("train_neg_sample_args", "x", "give null, or a mapping"),
        ("cold_below", "x", "cold_below = 'x'"),
        ("cold_below", 0, "cold_below = 0"),
        ("eval_memory_mib", -1, "eval_memory_mib = -1"),
        ("threads", 0, "threads = 0"),
        ("sequence_training", False, "sequence_training = False: give one of"),
        ("sequence_training", "whoel", "Did you mean 'whole'"),
        ("sequence_stride", "exakt", "from 1 or more, or 'exact'. Did you mean 'exact'"),
        ("sequence_stride", 0, "sequence_stride = 0"),
        ("threshold", {"rating": "high"}, "threshold = .*give one column"),
        ("threshold", {}, "threshold = .*give one column"),
        ("seq_len", {"words": 0}, r"seq_len\.words = 0"),
        ("discretization", {"price": {"method": "EW"}}, r"discretization\.price"),
        ("discretization", {"price": {"method": "ED", "bucket": 0}}, r"discretization\.price\.bucket = 0"),
        ("preload_weight", {"item_id": 3}, r"preload_weight\.item_id = 3"),
        ("benchmark_filename", ["train", "test"], "three are needed"),
        ("load_col", {"inter": "user_id"}, r"load_col\.inter = 'user_id': give a list of columns"),
        ("save_dataset", True, "saved data are pickles"),
        ("clip_grad_norm", "{'max_norm': 0}", "a number above 0"),
        ("learning_rate", "abc", "learning_rate = 'abc': give a number"),
    ],
)
def test_a_value_alone_that_no_run_could_have(option: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_value(option, value, find_backbone("SASRec"))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("valid_metric", "ndcg@5"),
        ("valid_metric", "GAUC"),
        ("valid_metric", "AUC"),
        ("train_neg_sample_args", None),
        ("train_neg_sample_args", "None"),
        ("train_neg_sample_args", {"distribution": "popularity", "sample_num": 2}),
        ("cold_below", None),
        ("eval_memory_mib", 0),
        ("threads", None),
        ("sequence_training", "Whole"),
        ("sequence_training", None),
        ("sequence_stride", "exact"),
        ("sequence_stride", "5"),
        ("sequence_stride", None),
        ("threshold", {"rating": 4}),
        ("load_col", {"inter": ["user_id", "item_id"], "item": "*"}),
        ("unused_col", None),
        ("save_dataset", False),
        ("learning_rate", "1e-3"),
        ("a_models_own", {"any": "thing"}),
    ],
)
def test_a_value_alone_that_runs_may_have(option: str, value: Any) -> None:
    check_value(option, value, find_backbone("SASRec"))


def test_whole_sequences_need_a_backbone_of_sequences() -> None:
    with pytest.raises(UnsupportedError, match="sequence_training = 'whole', and BPR trains on no sequences"):
        check_value("sequence_training", "whole", find_backbone("BPR"))
    check_value("sequence_training", "auto", find_backbone("BPR"))
