"""Checkpoint files: every row of the table in docs/models.md, which weights are taken, each way to be wrong. Published
weights saved again are known by their tensors: input, labels and name come with them."""

import argparse
import collections
import json
import pickle
import zipfile
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from registry_builders import HALF, Hostile, under
from safetensors.torch import save_file
from torch.testing import assert_close

from benchmark.engine.devices import check_tuned
from registry.cards import builtin_cards
from registry.checkpoints import choose_weights, read_content, read_weights
from registry.convert import write_converted
from registry.files import WeightSources, conversions, digest_state
from registry.known_states import known_card, known_check, remember_network, state_key
from registry.loading import load_network
from registry.model import LoadedModel
from registry.register import register
from registry.training_runs import checkpoint_files, placed, steps_in_file, steps_in_name
from registry.user_errors import BenchError, WeightsError


@pytest.mark.parametrize("how", ["torch", "legacy", "pickle", "nested", "attributes"])
def test_a_hostile_pickle_executes_nothing(how, tiny, card, tmp_path):
    target, path = tmp_path / "executed", tmp_path / "net.pt"
    content = {"state_dict": tiny.state_dict(), "extra": Hostile(target)}
    pickles = {"pickle": Hostile(target), "nested": {"w": np.zeros(3), "deep": [{"a": (Hostile(target),)}]}}
    if how in ("torch", "legacy"):
        torch.save(content, path, _use_new_zipfile_serialization=how == "torch")
    elif how == "attributes":  # sets one of a function of torch, as a state that it is given
        path.write_bytes(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00aK\x01sb.")
    else:
        path.write_bytes(pickle.dumps(pickles[how]))
    with pytest.raises(WeightsError, match="--convert") as caught:
        load_network(card(path), WeightSources(weights_folder=tmp_path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    if how in ("pickle", "attributes"):
        with pytest.raises(WeightsError, match="no tensors of numbers"):
            caught.value.remedy.write()
    else:
        made = read_content(caught.value.remedy.write())  # what is no weight is left out
        assert [*made] == (["w", "deep"] if how == "nested" else ["state_dict"])
        assert how == "nested" or digest_state(made["state_dict"]) == digest_state(tiny.state_dict())
    assert not target.exists() and not hasattr(torch._utils._rebuild_tensor_v2, "a")


@pytest.mark.parametrize(
    "name",
    ["os.system", "builtins.eval", "builtins.getattr", "functools.partial", "numpy.core.multiarray.fromfile",
     "argparse.FileType", "pathlib.os.system", "train.Trainer"],
)  # fmt: skip
def test_what_is_not_on_the_list_is_refused_by_its_name(name, tmp_path):
    called = b"c%s\n%s\n(K\x07tR" % tuple(name.encode().rsplit(b".", 1))  # with a number
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as file:
        for member, content in ("data.pkl", b"\x80\x02" + called + b"."), ("version", "3"), ("byteorder", "little"):
            file.writestr(f"net/{member}", content)
    with pytest.raises(WeightsError, match=f"holds '{name.removeprefix('builtins.')}'.*before any of it ran"):
        read_content(tmp_path / "net.pt")


def test_another_digest_is_refused(tiny, card, tmp_path):
    torch.save(tiny.state_dict(), path := tmp_path / "net.pt")
    right, place = digest_state(tiny.state_dict()), WeightSources(weights_folder=tmp_path)
    assert load_network(card(path, sha256=right), place)
    with pytest.raises(
        WeightsError, match=f"'mine': expected digest {'0' * 64}, got {right}, from .*net.pt.*--replace"
    ):
        load_network(card(path, sha256="0" * 64), place)
    with pytest.raises(WeightsError, match="digest of"):
        load_network(card(path, file_sha256="0" * 64), place)


def test_the_digest_is_of_the_content(tiny):
    state = tiny.state_dict()
    digest = digest_state(state)
    assert digest == digest_state(dict(reversed(state.items())))
    lasting = {n: t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t for n, t in state.items()}
    assert digest == digest_state(lasting)
    name = next(iter(state))
    for changed in (state[name] + 1e-6, state[name].half(), state[name].flatten()):
        assert digest != digest_state({**state, name: changed})
    assert digest != digest_state({f"x.{n}": t for n, t in state.items()})


def script(state):
    args = argparse.Namespace(lr=np.float64(0.1), out=Path("runs"), seeds=np.arange(3))
    best = {"best": np.float32(0.7), "history": collections.defaultdict(list, {"acc": [0.1]})}
    return {"model": state, "args": args, "epoch": 3, **best, "queue": collections.deque([1])}


COUNTERS = {"n_averaged": torch.tensor(3), "criterion.weight": torch.ones(9), "step": torch.tensor(7)}
#: row of the table -> (state dict -> what `torch.save` writes, what the check "weights" says)
READ = {
    "a state dict": (lambda s: s, "the whole file"),
    "with `args`, numpy scalars, paths": (script, "model; ignored: args, epoch, best, history, queue"),
    "under any prefix": (lambda s: {"state_dict": under("wrapped.by.us.", s)}, "state_dict.wrapped.by.us"),
    "thop, losses, optimizer": (
        lambda s: {"state_dict": {**s, **COUNTERS, "conv1.0.total_ops": torch.zeros(1)},
                   "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
        "state_dict; ignored: optimizer, n_averaged, criterion.weight, step, conv1.0.total_ops",
    ),
    "Lightning with an average inside": (
        lambda s: {"state_dict": {n: t * 0 for n, t in under("model.", s).items()} | under("ema_model.", s),
                   "loops": {}},
        "state_dict.ema_model; state_dict.model would fit too",
    ),
    "a teacher of another architecture": (
        lambda s: {"state_dict": {**under("student.", s), "teacher.stem.weight": torch.ones(4)}},
        "state_dict.student; ignored: teacher.stem.weight",
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", READ)
def test_a_file_that_is_read(row, tiny, tmp_path):
    write, says = READ[row]
    torch.save(write(tiny.state_dict()), tmp_path / "net.pt")
    weights = read_weights(tmp_path / "net.pt", tiny.state_dict(keep_vars=True))
    assert digest_state(weights.state) == digest_state(tiny.state_dict()) and str(weights).startswith(says)


@pytest.mark.slow
def test_the_choice_is_frozen_and_key_overrules_it(tiny, nine, folders, tmp_path):
    state = tiny.state_dict()
    average = {**state, "fc.bias": state["fc.bias"] + 1}
    torch.save({"state_dict": {**under("model.", state), **under("ema_model.", average)}}, tmp_path / "net.pt")
    how = {**HALF, **folders, "labels": nine}
    for name, key, taken, other in (("one", None, "ema_model", "model"), ("two", "model", "model", "ema_model")):
        card, checks = register(name, "timm:test_resnet", tmp_path / "net.pt", **how, key=key)
        digest = digest_state(state if key else average)
        assert digest == card.sha256 == load_network(card, folders["place"]).digest
        assert checks[0].detail.startswith(f"state_dict.{taken}; state_dict.{other} would fit too")
        assert card.options["key"].endswith(taken)
    with pytest.raises(WeightsError, match="no weights under the key 'swa'; found weights under state_dict"):
        register("three", "timm:test_resnet", tmp_path / "net.pt", **how, key="swa")


#: row of the table -> (state dict -> what `torch.save` writes, what the error says)
REFUSED = {
    "ONNX": (None, r"ONNX file.*torch\.export\.save"),
    "a backbone without a head": (
        lambda s: {name: value for name, value in s.items() if not name.startswith("fc")},
        "Only the head is missing.*--probe world",
    ),
    "21,843 outputs": (
        lambda s: {**s, "fc.weight": torch.zeros(21843, 96), "fc.bias": torch.zeros(21843)},
        "class count 21843 does not fit the label space: --labels imagenet21k",
    ),
    "no state dict": (lambda _: {"epoch": 3, "loss": 0.1}, r"holds no weights by name.*found keys epoch, loss\."),
    "other keys": (
        lambda s: {f"module.{n.replace('conv1.0', 'strange')}": t for n, t in s.items()},
        "1 keys are missing: conv1.0.weight; 1 keys are unexpected: strange.weight",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("row", REFUSED)
def test_a_file_that_is_refused(row, tiny, nine, folders, tmp_path):
    write, message = REFUSED[row]
    path = tmp_path / ("net.pt" if write else "net.onnx")
    path.write_bytes(b"\x08\x07")
    if write:
        torch.save(write(tiny.state_dict()), path)
    with pytest.raises(BenchError, match=message) as caught:
        register("mine", "timm:test_resnet", path, labels=nine, **HALF, **folders)
    assert "\n" not in str(caught.value) and not folders["cards_folder"].exists()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "output", "added"), [
    ("Tuple", None, 0), ("Mapping", None, 0), ("Listed", None, 0), ("Output", None, 0), ("Data", None, 0),
    ("Several", "0", 0), ("Several", "1", 1), ("Several", "1.deep", 1),
])  # fmt: skip
def test_logits_are_found_in_what_a_factory_returns(kind, output, added, factories, nine, folders, tmp_path):
    network, weights = import_module(factories).seeded().eval(), tmp_path / "net.safetensors"
    save_file(network.state_dict(), weights)
    how = {**HALF, **folders, "labels": nine, "output": output, "trial": check_tuned}
    card, checks = register("mine", f"python:{factories}:{kind}", weights, **how)
    assert checks[-1].name == "tuned form" and checks[-1].ok  # a copy whose batch norm is folded
    model, images = load_network(card, WeightSources(weights_folder=tmp_path)), torch.rand(3, 3, 32, 32)
    assert_close(model.forward(images), network((images - 0.5) / 0.5) + added)
    assert model.identity != replace(model, card=card.model_copy(update={"options": {"output": "other"}})).identity


NETWORK = {"stem.weight": torch.zeros(2, 3), "head.weight": torch.zeros(4, 2)}


def filled(value, **changed):
    return {name: torch.full_like(tensor, value) for name, tensor in NETWORK.items()} | changed


RIGHT, WRONG = filled(1.0), filled(2.0)
WIDER = {**WRONG, "head.weight": torch.full((5, 2), 2.0)}


@pytest.mark.parametrize(("taken", "left"), [
    ({"ema": RIGHT}, {"model": WRONG}), ({"swa_model": RIGHT}, {"state_dict": WRONG}),
    ({"teacher": RIGHT}, {"student": WRONG}), ({"network": RIGHT}, {"student": WRONG}),
    ({"state_dict": RIGHT}, {"ema": WIDER}),
    ({"model": {**RIGHT, "head.weight": torch.ones(5, 2)}}, {"ema": {"stem.weight": WRONG["stem.weight"]}}),
    ({"net": RIGHT}, {"model": under("wrapped.by.us.", WIDER)}), ({"model": RIGHT}, {"encoder_k": WRONG}),
    (under("b.ema.", RIGHT), under("a.", WRONG)),
])  # fmt: skip
def test_the_choice_does_not_hang_on_the_order(taken, left):
    for content in ({**taken, **left}, {**left, **taken}):
        chosen = choose_weights(content, NETWORK)
        ones = {name: float(tensor.flatten()[0]) for name, tensor in chosen.state.items()}
        assert ones == {"stem.weight": 1.0, "head.weight": 1.0}
        assert chosen.name.partition(".")[0] == next(iter(taken)).partition(".")[0]


@pytest.mark.parametrize("content", [
    {"state_dict_ema": RIGHT, "ema": WRONG}, {"state_dict": RIGHT, "model": WRONG}, {"net": RIGHT, "weights": WRONG},
    {"state_dict": {**under("a.", RIGHT), **under("b.c.", WRONG)}},
])  # fmt: skip
def test_two_networks_that_nothing_tells_apart(content, tmp_path):
    torch.save(content, tmp_path / "net.pt")
    names = sorted(content) if len(content) > 1 else ["state_dict.a", "state_dict.b.c"]
    with pytest.raises(WeightsError, match="2 networks fit equally well") as caught:
        read_weights(tmp_path / "net.pt", NETWORK)
    assert all(f"--key {name}" in str(caught.value) for name in names)
    assert [read_weights(tmp_path / "net.pt", NETWORK, name).name for name in names] == names


def test_a_whole_name_takes_its_set_and_a_pattern_leaves_keys():
    content = {"module": {**RIGHT, **under("ema.", WRONG)}}
    assert [choose_weights(content, NETWORK, key).name for key in (None, "module")] == ["module.ema", "module"]
    content = {"model": {**RIGHT, "decoder.weight": WRONG["head.weight"], "token": torch.ones(1)}}
    chosen = choose_weights(content, NETWORK, ignore=["decoder.*", "token"])
    assert chosen.state.keys() == NETWORK.keys() and chosen.ignored == ("decoder.weight", "token")
    with pytest.raises(WeightsError, match="--ignore 'queue' fits no key"):
        choose_weights(content, NETWORK, ignore=["queue"])


def test_an_average_of_parameters_alone_gets_the_buffers():
    network = {"stem.weight": torch.nn.Parameter(torch.zeros(2, 3)), "norm.running_var": torch.zeros(2)}
    plain = {"stem.weight": torch.zeros(2, 3), "norm.running_var": torch.full((2,), 7.0)}
    average = torch.ones(2, 3)
    for content in (
        {"model": plain, "ema": {"decay": 0.9, "shadow_params": [average], "collected_params": None}},
        {"state_dict": {**under("net.", plain), "net_ema.stemweight": average, "net_ema.decay": torch.ones(1)}},
        {"model": plain, "shadow": {"stem.weight": average}},
    ):
        chosen = choose_weights(content, network)
        assert torch.equal(chosen.state["stem.weight"], average)
        assert torch.equal(chosen.state["norm.running_var"], plain["norm.running_var"])
        assert "buffers of" in str(chosen)


NAMES = {
    "step_1000.pt": 1000, "Step0010.safetensors": 10, "checkpoint-1000.pt": 1000, "ckpt0020.pth": 20, "0007.pt": 7,
    "iter-40000.bin": 40000, "model.1000.pt": 1000, "step3model.pt": 3,
}  # fmt: skip
EPOCHS = {"resnet50_epoch12.pt": 12, "resnet50_ep_12.pth.tar": 12, "vit_s16_ep5.pt": 5, "Epoch 8.pt": 8}
NOTHING = ["vit_s16.pt", "resnet50.pt", "best.pt", "loss0.35.pt", "sample3.pt", f"step{'9' * 30}.pt", "step_1e100.pt",
           "step_1.5k.pt", "step_10k.pt"]  # fmt: skip


def test_names_and_files_say_steps(tmp_path):
    assert {name: steps_in_name(Path(name)) for name in NAMES} == {name: {"step": n} for name, n in NAMES.items()}
    assert {name: steps_in_name(Path(name)) for name in EPOCHS} == {name: {"epoch": n} for name, n in EPOCHS.items()}
    assert [name for name in NOTHING if steps_in_name(Path(name))] == []
    assert steps_in_name(Path("epoch=3-step=1200.ckpt")) == {"epoch": 3, "step": 1200}
    weights = {"w": torch.zeros(2)}
    torch.save({"model": weights, "global_step": 30, "epoch": 2}, tmp_path / "a.pt")
    torch.save({"model": weights, "epoch": torch.tensor(3)}, tmp_path / "tensor.pt")
    torch.save(weights, tmp_path / "bare.pt")
    torch.save({"model": weights, "step": True, "epoch": -1}, tmp_path / "odd.pt")
    save_file(weights, tmp_path / "b.safetensors", metadata={"step": "40", "note": "x"})
    said = {path.name: steps_in_file(path) for path in tmp_path.iterdir()}
    assert (said["a.pt"], said["b.safetensors"]) == ({"step": 30, "epoch": 2}, {"step": 40})
    assert (said["bare.pt"], said["odd.pt"], said["tensor.pt"]) == ({}, {}, {"epoch": 3})


def test_checkpoints_come_in_the_order_of_the_training(tmp_path):
    names = ("step10.pt", "step9.pt", "step100.pt", "best.pt", "epoch1.pt")
    for name in names:
        torch.save({"w": torch.zeros(1)}, tmp_path / name)
    for name in ("broken.pt", ".step1.pt", "notes.txt"):  # hidden, and another suffix
        (tmp_path / name).write_bytes(b"PK not a checkpoint")
    files = checkpoint_files(tmp_path)
    assert [path.name for path in files] == sorted([*names, "broken.pt"])
    found = placed(files)
    assert [found.unit, *(path.name for path in found.steps)] == ["step", "step9.pt", "step10.pt", "step100.pt"]
    reasons = {path.name: reason for path, reason in found.left_out.items()}
    assert reasons.keys() == {"best.pt", "epoch1.pt", "broken.pt"}
    assert "says a step or an epoch" in reasons["best.pt"]
    assert reasons["epoch1.pt"] == "it says its epoch, the others say their step"
    assert [p.name for p in checkpoint_files(tmp_path, "step1*.pt")] == ["step10.pt", "step100.pt"]

    (tmp_path / "last.pt").symlink_to("step9.pt")  # a link to one of the folder is not one more
    (tmp_path / "step3.pt").symlink_to("gone.pt")
    assert checkpoint_files(tmp_path) == files
    assert [p.name for p in checkpoint_files(tmp_path, "l*.pt")] == ["last.pt"]


def test_folders_within_say_steps_where_names_do_not():
    folder = Path("runs-7/run")
    names = ("epoch 3/step_4.pt", "step_9/ema/model.pt", "20/model.pt", "checkpoint-500/model.pt")
    found = placed([folder / name for name in names[::-1]], folder=folder)
    assert found.steps == dict(zip(map(folder.joinpath, names), (4, 9, 20, 500), strict=True))


def test_no_file_is_replaced_and_none_is_written_twice(tmp_path):
    path = tmp_path / "net.npz"
    first, again = (write_converted(lambda: {"w": np.ones(2)}, path) for _ in range(2))
    other = write_converted(lambda: {"w": np.zeros(2), "epoch": 3}, path)
    third = write_converted(lambda: {"w": np.zeros(2)}, path)
    assert first == again and len({first, other, third}) == 3
    assert conversions(path) == {str(file.resolve()) for file in (first, other, third)}
    with pytest.raises(WeightsError, match="no tensors of numbers"):
        write_converted(lambda: {"epoch": 3, "names": np.array(["a", "b"])}, path)


@pytest.mark.slow
@pytest.mark.parametrize(("write", "says"), [
    (lambda path: np.save(path, np.ones(3)), "one array, without names"),
    (lambda path: path.write_bytes(pickle.dumps({"w": np.ones(3)})[:-20]), "cannot be converted"),
    (lambda path: torch.jit.freeze(torch.jit.script(timm.create_model("test_resnet").eval())).save(path), "frozen"),
])  # fmt: skip
def test_what_cannot_be_converted_is_one_error(write, says, folders, tmp_path):
    write(path := tmp_path / "net.npy")
    with pytest.raises(WeightsError, match=says):
        register("mine", "timm:test_resnet", path, **HALF, **folders, convert=True)


WORLD = {"name": "mine", "arch": "python:registry.world_networks:tiny_resnet", "replaces": True}
CONTAINERS = {
    "state": lambda state: state,
    "prefixed": lambda state: {"state_dict": under("module.", state)},
    "turned round, no counters": lambda state: {n: state[n] for n in reversed(state) if "num_batches" not in n},
    "double": lambda state: {"model": {name: tensor.double() for name, tensor in state.items()}, "epoch": 3},
}


@pytest.fixture(scope="module")
def world():
    card = builtin_cards()["world-stylised-1"]
    return card, load_network(card, WeightSources(weights_folder=Path("unused"))).module.state_dict()


def known(checks):
    return [(check.mark, check.detail) for check in checks if check.name == "known"]


@pytest.mark.slow
@pytest.mark.parametrize("container", CONTAINERS)
def test_known_weights_bring_input_labels_and_name(container, world, folders, tmp_path):
    published, state = world
    torch.save(CONTAINERS[container](state), tmp_path / "net.pt")
    card, checks = register(**WORLD, weights=tmp_path / "net.pt", **folders)
    assert (card.preprocess, card.labels) == (published.preprocess, "world16")
    assert known(checks) == [("", "the weights are those of world-stylised-1, fed and labelled as published")]
    assert not [check for check in checks if check.mark]


@pytest.mark.slow
def test_what_was_asked_for_is_shown_beside_what_is_known(world, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.yaml").write_text(f"name: other\nclasses: [{', '.join(map(str, range(16)))}]\n")
    save_file(world[1], "net.safetensors")
    asked = {"labels": "other.yaml", "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "size": 48}
    card, checks = register(**WORLD, weights="net.safetensors", **asked, **folders)
    flags = "--size 64 --resize 64 --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25 --labels world16"
    assert known(checks) == [("look", f"the weights are those of world-stylised-1, published with {flags}")]
    assert (card.preprocess.mean, card.preprocess.interpolation) == (asked["mean"], "bicubic")
    other = {**world[1], "head.bias": world[1]["head.bias"] + 0.01}
    save_file(other, "net.safetensors")
    assert known(register(**WORLD, weights="net.safetensors", **asked, **folders)[1]) == []


def test_no_option_is_proposed_beside_a_transform_of_its_own():
    card, place = builtin_cards()["world-stylised-1"], WeightSources(weights_folder=Path("unused"))
    model = load_network(card, place)
    how = card.preprocess.model_copy(update={"resize_mode": "own", "size": 48})
    model.card = card.model_copy(update={"preprocess": how, "labels": "geirhos16"})
    text = "the weights are those of world-stylised-1; its own transform feeds them"
    assert known(known_check(model, place)) == [("note", text)]


@pytest.mark.slow
def test_a_published_network_is_known_after_its_first_load(tiny, card, nine, folders, tmp_path):
    place, how = folders["place"], {"size": 32, "resize": 40, "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
    published = card(None, source="hub", arch="hf_hub:lab/net", name="lab-net", preprocess=how)
    model = LoadedModel(card=published, module=tiny, digest="0" * 64, labels=None)
    remember_network(model, place)
    remember_network(model, place)
    (file,) = (tmp_path / "known").glob("*")
    assert known_card(state_key(tiny.state_dict()), place) == published
    torch.save(tiny.state_dict(), tmp_path / "net.pth")
    mine, checks = register("mine", "timm:test_resnet", tmp_path / "net.pth", **folders)
    assert (mine.preprocess, mine.labels) == (published.preprocess, nine)
    assert known(checks) == [("", "the weights are those of lab-net, fed and labelled as published")]
    for wrong in ("", "[]", json.dumps({"key": state_key(tiny.state_dict()), "card": {"name": "lab-net"}})):
        file.write_text(wrong)
        assert known_card(state_key(tiny.state_dict()), place) is None
