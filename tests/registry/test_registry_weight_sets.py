"""Which of several sets of weights in one file is taken, whatever their order in the file."""

import pytest
import torch

from registry.checkpoints import choose, read_weights
from registry.errors import WeightsError

NETWORK = {"stem.weight": torch.zeros(2, 3), "head.weight": torch.zeros(4, 2)}


def filled(value, **changed):
    return {name: torch.full_like(tensor, value) for name, tensor in NETWORK.items()} | changed


GOOD, BAD = filled(1.0), filled(2.0)
WIDER = {**BAD, "head.weight": torch.full((5, 2), 2.0)}


def under(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
@pytest.mark.parametrize(
    ("taken", "left"),
    [
        ({"ema": GOOD}, {"model": BAD}),
        ({"swa_model": GOOD}, {"state_dict": BAD}),
        ({"teacher": GOOD}, {"student": BAD}),
        ({"network": GOOD}, {"student": BAD}),
        ({"state_dict": GOOD}, {"ema": WIDER}),
        ({"state_dict": GOOD}, {"ema": {"stem.weight": BAD["stem.weight"]}}),
        ({"model": {**GOOD, "head.weight": torch.ones(5, 2)}}, {"ema": {"stem.weight": BAD["stem.weight"]}}),
        ({"net": GOOD}, {"model": under("wrapped.by.us.", WIDER)}),
        ({"model": GOOD}, {"encoder_k": BAD}),
        (under("b.ema.", GOOD), under("a.", BAD)),
    ],
    ids=lambda content: "+".join(dict.fromkeys(name.partition(".")[0] for name in content)),
)
def test_the_choice_does_not_hang_on_the_order(taken, left, first):
    content = {**taken, **left} if first else {**left, **taken}
    chosen = choose(content, NETWORK)
    assert {name: float(tensor.flatten()[0]) for name, tensor in chosen.state.items()} == {
        "stem.weight": 1.0,
        "head.weight": 1.0,
    }
    assert chosen.name.partition(".")[0] == next(iter(taken)).partition(".")[0]


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict_ema": GOOD, "ema": BAD},
        {"state_dict": GOOD, "model": BAD},
        {"net": GOOD, "weights": BAD},
        {"state_dict": {**under("a.", GOOD), **under("b.c.", BAD)}},
    ],
    ids=lambda content: "+".join(content),
)
def test_two_networks_that_nothing_tells_apart(content, tmp_path):
    torch.save(content, tmp_path / "net.pt")
    names = sorted(content) if len(content) > 1 else ["state_dict.a", "state_dict.b.c"]
    with pytest.raises(WeightsError, match="2 networks fit alike") as caught:
        read_weights(tmp_path / "net.pt", NETWORK)
    assert all(f"--key {name}" in str(caught.value) for name in names)
    for name in names:
        assert read_weights(tmp_path / "net.pt", NETWORK, name).name == name


def test_two_names_of_the_same_weights_are_one_network():
    chosen = choose({"model": GOOD, "net": {name: tensor.clone() for name, tensor in GOOD.items()}}, NETWORK)
    assert (chosen.name, chosen.others) == ("model", ("net",))


def test_the_whole_name_of_a_set_takes_that_one():
    content = {"module": {**GOOD, **under("ema.", BAD)}}
    assert choose(content, NETWORK).name == "module.ema"
    assert choose(content, NETWORK, "module").name == "module"


def test_weight_norm_is_multiplied_out_where_its_parts_fit_and_left_where_not():
    length, direction = torch.tensor([[2.0], [3.0], [1.0], [4.0]]), torch.full((4, 2), 3.0)
    chosen = choose({"stem.weight": GOOD["stem.weight"], "head.weight_g": length, "head.weight_v": direction}, NETWORK)
    assert torch.allclose(chosen.state["head.weight"], length.expand(4, 2) / 2**0.5)
    assert chosen.notes == ("weight norm multiplied out: head.weight",)
    wrong = {"head.weight_g": torch.ones(4, 1), "head.weight_v": torch.ones(1, 4)}  # would be broadcast
    assert choose({**GOOD, **wrong}, NETWORK).state.keys() == NETWORK.keys() | wrong.keys()


def test_ignored_keys_are_listed_and_a_pattern_that_fits_none_is_refused():
    content = {"model": {**GOOD, "decoder.weight": BAD["head.weight"], "token": torch.ones(1)}}
    chosen = choose(content, NETWORK, ignore=["decoder.*", "token"])
    assert chosen.state.keys() == NETWORK.keys()
    assert chosen.ignored == ("decoder.weight", "token")
    with pytest.raises(WeightsError, match="--ignore 'queue' fits no key"):
        choose(content, NETWORK, ignore=["queue"])


def test_an_average_of_parameters_alone_gets_the_buffers():
    network = {"stem.weight": torch.nn.Parameter(torch.zeros(2, 3)), "norm.running_var": torch.zeros(2)}
    plain = {"stem.weight": torch.zeros(2, 3), "norm.running_var": torch.full((2,), 7.0)}
    average = torch.ones(2, 3)
    for content in (
        {"model": plain, "ema": {"decay": 0.9, "shadow_params": [average], "collected_params": None}},
        {"state_dict": {**under("net.", plain), "net_ema.stemweight": average, "net_ema.decay": torch.ones(1)}},
        {"model": plain, "shadow": {"stem.weight": average}},
    ):
        chosen = choose(content, network)
        assert torch.equal(chosen.state["stem.weight"], average)
        assert torch.equal(chosen.state["norm.running_var"], plain["norm.running_var"])
        assert "buffers of" in str(chosen)
