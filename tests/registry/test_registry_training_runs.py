"""The step or epoch of a checkpoint, from its name or from the file."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from registry.cards import Checkpoint, ModelCard
from registry.training_runs import checkpoint_files, placed, steps_in_file, steps_in_name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("epoch=3-step=1200.ckpt", {"epoch": 3, "step": 1200}),
        ("step_1000.pt", {"step": 1000}),
        ("Step0010.safetensors", {"step": 10}),
        ("checkpoint-1000.pt", {"step": 1000}),
        ("ckpt0020.pth", {"step": 20}),
        ("resnet50_epoch12.pt", {"epoch": 12}),
        ("resnet50_ep_12.pth.tar", {"epoch": 12}),
        ("iter-40000.bin", {"step": 40000}),
        ("0007.pt", {"step": 7}),
        ("vit_s16_ep5.pt", {"epoch": 5}),
        ("vit_s16.pt", {}),
        ("model.1000.pt", {"step": 1000}),
        ("resnet50.pt", {}),
        ("best.pt", {}),
        ("loss0.35.pt", {}),
        ("sample3.pt", {}),
        ("step" + "9" * 30 + ".pt", {}),
        ("step_10k.pt", {"step": 10_000}),
        ("iter_1M_best.pt", {"step": 1_000_000}),
        ("step_1e5.pt", {"step": 100_000}),
        ("step_1e100.pt", {}),
        ("step_1.5k.pt", {}),
        ("step_999999999999999m.pt", {}),
        ("step3model.pt", {"step": 3}),
        ("Epoch 8.pt", {"epoch": 8}),
    ],
)
def test_names_say_steps(name, said):
    assert steps_in_name(Path(name)) == said


def test_files_say_steps(tmp_path):
    weights = {"w": torch.zeros(2)}
    torch.save({"model": weights, "global_step": 30, "epoch": 2}, tmp_path / "a.pt")
    torch.save({"model": weights, "epoch": torch.tensor(3)}, tmp_path / "tensor.pt")
    torch.save(weights, tmp_path / "bare.pt")
    torch.save({"model": weights, "step": True, "epoch": -1}, tmp_path / "odd.pt")
    save_file(weights, tmp_path / "b.safetensors", metadata={"step": "40", "note": "x"})
    assert steps_in_file(tmp_path / "a.pt") == {"step": 30, "epoch": 2}
    assert steps_in_file(tmp_path / "b.safetensors") == {"step": 40}
    assert steps_in_file(tmp_path / "bare.pt") == {} == steps_in_file(tmp_path / "odd.pt")
    assert steps_in_file(tmp_path / "tensor.pt") == {"epoch": 3}


def test_checkpoints_come_in_the_order_of_the_training(tmp_path):
    names = ("step10.pt", "step9.pt", "step100.pt", "best.pt", "epoch1.pt")
    for name in names:
        torch.save({"w": torch.zeros(1)}, tmp_path / name)
    (tmp_path / "broken.pt").write_bytes(b"PK not a checkpoint")
    (tmp_path / ".step1.pt").write_bytes(b"hidden")
    (tmp_path / "notes.txt").write_text("step 1")
    files = checkpoint_files(tmp_path)
    assert [path.name for path in files] == sorted([*names, "broken.pt"])
    found = placed(files)
    assert [path.name for path in found.steps] == ["step9.pt", "step10.pt", "step100.pt"]
    assert found.unit == "step"
    reasons = {path.name: reason for path, reason in found.left_out.items()}
    assert reasons.keys() == {"best.pt", "epoch1.pt", "broken.pt"}
    assert "says a step or an epoch" in reasons["best.pt"]
    assert reasons["epoch1.pt"] == "it says its epoch, the others say their step"
    assert [p.name for p in checkpoint_files(tmp_path, "step1*.pt")] == ["step10.pt", "step100.pt"]


def test_folders_within_say_steps_where_names_do_not():
    folder = Path("runs-7/run")
    names = ("checkpoint-500/model.pt", "epoch 3/step_4.pt", "20/model.pt", "step_9/ema/model.pt")
    found = placed([folder / name for name in names], folder=folder)
    steps = {path.relative_to(folder).as_posix(): step for path, step in found.steps.items()}
    assert steps == {names[1]: 4, names[3]: 9, names[2]: 20, names[0]: 500}


def test_links_to_checkpoints_of_the_folder_are_none(tmp_path):
    for name in ("step_1.pt", "step_2.pt"):
        torch.save({"w": torch.zeros(1)}, tmp_path / name)
    (tmp_path / "last.pt").symlink_to("step_2.pt")
    (tmp_path / "step_3.pt").symlink_to("gone.pt")
    assert [path.name for path in checkpoint_files(tmp_path)] == ["step_1.pt", "step_2.pt"]
    assert [path.name for path in checkpoint_files(tmp_path, "l*.pt")] == ["last.pt"]


def test_a_card_says_of_what_run_it_is_and_others_say_nothing():
    card = ModelCard(name="a", source="ideal", arch="shape-reader", labels="any")
    assert "checkpoint" not in card.model_dump(mode="json")
    mine = card.model_copy(update={"checkpoint": Checkpoint(run="r", step=3)})
    plain = mine.model_dump(mode="json")
    assert plain["checkpoint"] == {"run": "r", "step": 3, "unit": "step"}
    assert ModelCard.model_validate(plain) == mine
