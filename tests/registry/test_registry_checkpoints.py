"""Checkpoint files: every usual wrapper, and each way in which a file can be wrong."""

import os
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from registry.checkpoints import read_content
from registry.errors import WeightsError
from registry.files import Place, digest_state
from registry.loading import load_model


def prefixed(state, prefix):
    return {prefix + name: tensor for name, tensor in state.items()}


def test_safetensors_give_the_same_weights(tiny, card, tmp_path):
    for prefix in ("", "module."):
        path = tmp_path / "net.safetensors"
        save_file(prefixed(tiny.state_dict(), prefix), path)
        model = load_model(card(path), Place(tmp_path))
        assert model.digest == digest_state(tiny.state_dict())


class Hostile:
    """Would create a file, were it ever unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (os.mkdir, (str(self.target),))


@pytest.mark.parametrize("how", ["torch", "legacy", "pickle"])
def test_a_hostile_pickle_executes_nothing(how, tiny, card, tmp_path):
    target, path = tmp_path / "executed", tmp_path / "net.pt"
    content = {"state_dict": tiny.state_dict(), "extra": Hostile(target)}
    if how == "pickle":
        path.write_bytes(pickle.dumps(content["extra"]))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "torch")
    with pytest.raises(WeightsError, match="safetensors") as caught:
        load_model(card(path), Place(tmp_path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not target.exists()


def archive(path, *names):
    """A PyTorch file of one list: each name, called with a number, then given a state."""
    calls = b"".join(
        b"c%s\n%s\n(K\x07tR" % tuple(name.encode().rsplit(b".", 1)) + state + b"a" for name, state in names
    )
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("net/data.pkl", b"\x80\x02]" + calls + b".")
        file.writestr("net/version", "3")
        file.writestr("net/byteorder", "little")
    return path


@pytest.mark.parametrize(
    "name",
    [
        "os.system", "posix.system", "builtins.eval", "builtins.getattr", "functools.partial",
        "numpy.core.multiarray.fromfile", "argparse.FileType", "pathlib.os.system", "train.Trainer",
    ],
)  # fmt: skip
def test_what_is_not_on_the_list_is_refused_by_its_name(name, tmp_path):
    with pytest.raises(WeightsError, match=f"holds '{name.removeprefix('builtins.')}'.*before any of it ran"):
        read_content(archive(tmp_path / "net.pt", (name, b"")))


def test_nothing_inside_is_a_state_dict(card, tmp_path):
    torch.save({"epoch": 3, "loss": 0.1}, tmp_path / "net.pt")
    with pytest.raises(WeightsError, match=r"holds no state dict.*found keys epoch, loss\. Name the file that holds"):
        load_model(card(tmp_path / "net.pt"), Place(tmp_path))


def test_missing_and_unexpected_keys_are_named(tiny, card, tmp_path):
    state = tiny.state_dict()
    gone = next(iter(state))
    state = {("strange." + n if n == gone else n): t for n, t in state.items()}
    torch.save({"state_dict": {f"module.{n}": t for n, t in state.items()}}, tmp_path / "net.pt")
    with pytest.raises(WeightsError) as caught:
        load_model(card(tmp_path / "net.pt"), Place(tmp_path))
    assert f"1 keys are missing: {gone}" in str(caught.value)
    assert f"1 keys are unexpected: strange.{gone}" in str(caught.value)


def test_another_digest_is_refused(tiny, card, tmp_path):
    torch.save(tiny.state_dict(), tmp_path / "net.pt")
    right = digest_state(tiny.state_dict())
    assert load_model(card(tmp_path / "net.pt", sha256=right), Place(tmp_path))
    with pytest.raises(WeightsError) as caught:
        load_model(card(tmp_path / "net.pt", sha256="0" * 64), Place(tmp_path))
    for part in ("0" * 64, right, "net.pt", "'mine'", "wrong name"):
        assert part in str(caught.value)
    with pytest.raises(WeightsError, match="file digest"):
        load_model(card(tmp_path / "net.pt", file_sha256="0" * 64), Place(tmp_path))


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
