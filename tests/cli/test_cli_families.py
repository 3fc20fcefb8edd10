"""Image-text models and detectors through every suite, from the command to the board, against answers and gradients
that open_clip and torchvision give by themselves."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional

import registry
from benchmark import api
from benchmark.cli import cli
from benchmark.stimuli.items import sample_order
from benchmark.stimuli.world.sets import generated_set
from registry.labels import label_space
from registry.world_networks import tiny_detector

pytestmark = [pytest.mark.slow, pytest.mark.release]
torch.set_num_threads(1)

CHECKPOINTS = Path(registry.__file__).parent / "world_checkpoints"
SHOWN = 8
NAMES = label_space("world16").classes
CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 64, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
INPUT = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bicubic", "resize_mode": "shortest"}
#: Torchvision's Faster R-CNN, as small as its parts allow.
FASTER = """
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign


def build(num_classes=17):
    body = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=4, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU()
    )
    body.out_channels = 32
    return FasterRCNN(
        body, min_size=64, max_size=64, rpn_anchor_generator=AnchorGenerator(((16, 32, 48),), ((1.0,),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], 3, 0),
        box_head=nn.Sequential(nn.Flatten(), nn.Linear(32 * 9, 32), nn.ReLU()),
        box_predictor=FastRCNNPredictor(32, num_classes),
        rpn_pre_nms_top_n_test=50, rpn_post_nms_top_n_test=20, box_detections_per_img=20,
    )
"""


def shown(stimuli, names):
    """[n, 3, 64, 64] in [0,1]: stimuli of the world by their names."""
    pixels = np.stack([stimuli.decode(stimuli.ids.index(name)) for name in names])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def normalised(images):
    mean, std = (torch.tensor(INPUT[name])[:, None, None] for name in ("mean", "std"))
    return (images - mean) / std


def log_norms(logits, images, truth):
    """[n] log10 of the gradient's length: of each image's log-odds of its category among all outputs."""
    images = images.clone().requires_grad_()
    found = logits(images).double()
    rows = torch.arange(len(found))
    rest = found.clone()
    rest[rows, truth] = -torch.inf
    (gradient,) = torch.autograd.grad((found[rows, truth] - rest.logsumexp(1)).sum(), images)
    return gradient.flatten(1).norm(dim=1).log10().numpy()


class Board:
    """A leaderboard of its own: commands that write to it, tables that are read from it."""

    def __init__(self, folder):
        self.folder, self.db = folder, str(folder / "results.db")

    def bench(self, *words):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("BENCH_HOME", str(self.folder / "home"))
            patch.setenv("BENCH_DB", self.db)
            patch.chdir(self.folder)
            plain = [str(word) for word in words]
            done = CliRunner().invoke(cli, plain, catch_exceptions=False, standalone_mode=False)
        assert not done.return_value, done.stdout + done.stderr
        return " ".join((done.stdout + done.stderr).split())

    def run(self, name, suite):
        how = ("--limit", SHOWN, "-q", "--device", "cpu", "--batch-size", 16)
        return self.bench("run", name, "--suite", suite, *how)

    def trials(self, name, suite, role=None):
        table = api.trials(api.Selection(self.db), name, suite)
        return table if role is None else table[table["role"] == role]

    def headlines(self, suite):
        (board,) = api.rank(api.Selection(self.db), suite)
        assert board.space == "world16"
        return {row.observer: row.cells[board.by] for row in (*board.rows, *board.references)}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A folder of open_clip, trained (both towers) on the images shown: all named rightly, so any can be attacked."""
    open_clip = pytest.importorskip("open_clip")
    folder = tmp_path_factory.mktemp("models") / "clip"
    folder.mkdir()
    text = json.dumps({"model_cfg": CLIP, "preprocess_cfg": INPUT})
    (folder / "open_clip_config.json").write_text(text)
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")([f"a photo of a {c}." for c in NAMES])
    natural = generated_set("world-natural")
    at = sample_order(natural.ids, natural.labels, SHOWN)  # those that --limit shows
    images = normalised(shown(natural, [natural.ids[i] for i in at]))
    truth = torch.tensor([NAMES.index(natural.labels["category"][i]) for i in at])
    search = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(200):
        image, words = (model.encode_image(images, normalize=True), model.encode_text(tokens, normalize=True))
        loss = functional.cross_entropy(model.logit_scale.exp() * image @ words.T, truth)
        search.zero_grad()
        loss.backward()
        search.step()
    assert loss < 0.05
    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="module")
def answered(clip, tmp_path_factory):
    """The sixteen names, and beside them two names for each category, grouped."""
    board = Board(tmp_path_factory.mktemp("board"))
    groups = "\n".join(f"  {name}: [{name}, 'small {name}']" for name in NAMES)
    every = ", ".join(f"{name}, 'small {name}'" for name in NAMES)
    file = board.folder / "pairs.yaml"
    file.write_text(f"classes: [{every}]\nspace: world16\ngroups:\n{groups}\n")
    single = ("--arch", f"open_clip:{clip}", "--templates", "single")
    for name, labels in (("sixteen", "world16"), ("pairs", file), ("again", "world16")):
        board.bench("register", name, *single, "--labels", labels)
    board.run("sixteen", "cue-conflict,saliency")
    return board


@pytest.fixture(scope="module")
def open_clips_own(clip):
    """What open_clip makes of PIL images, and its logits for [n, 3, 64, 64], of the sixteen names."""
    open_clip = pytest.importorskip("open_clip")
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{clip}")
    vectors = open_clip.build_zero_shot_classifier(
        model.eval().requires_grad_(False), open_clip.get_tokenizer(f"local-dir:{clip}"), NAMES,
        (lambda name: f"a photo of a {name}.",),
    )  # fmt: skip
    scale = model.logit_scale.exp()
    return transform, lambda images: scale * model.encode_image(images, normalize=True) @ vectors


def test_an_image_text_model_answers_and_has_gradients_as_open_clip(answered, open_clips_own):
    transform, logits = open_clips_own
    table = answered.trials("sixteen", "cue-conflict", "cue-conflict")
    conflict = generated_set("world-cue-conflict")
    pixels = [conflict.decode(conflict.ids.index(name)) for name in table["stimulus"]]
    theirs = logits(torch.stack([transform(Image.fromarray(one)) for one in pixels])).softmax(1)
    mine = table[[f"probability_{name}" for name in NAMES]].to_numpy()
    assert mine == pytest.approx(theirs.numpy(), abs=1e-4)
    assert table["response"].tolist() == [NAMES[i] for i in theirs.argmax(1)]
    shape, texture = (int((table["response"] == table[cue]).sum()) for cue in ("shape", "texture"))
    cell = answered.headlines("cue-conflict")["sixteen"]
    assert (cell.n, cell.value) == (shape + texture, pytest.approx(shape / (shape + texture)))
    table = answered.trials("sixteen", "saliency", "natural")
    images = shown(generated_set("world-natural"), table["stimulus"])
    truth = [NAMES.index(name) for name in table["category"]]
    expected = log_norms(lambda x: logits(normalised(x)), images, truth)
    assert len(table) == SHOWN and table["log_norm"].to_numpy() == pytest.approx(expected, abs=1e-3)


def test_a_folder_runs_by_its_path_and_is_known_the_second_time(answered, clip):
    words = ("run", clip, "--labels", "world16", "--dry-run", "--suite", "cue-conflict")
    for arch in ((), ("--arch", f"open_clip:{clip}")):  # that very folder is registered
        assert "plan" in answered.bench(*words, *arch)
        assert not (answered.folder / "home" / "cards" / "clip.yaml").exists()
    answered.bench("run", clip, "--labels", "geirhos16", "--suite", "cue-conflict", "--dry-run")
    assert (answered.folder / "home" / "cards" / "clip.yaml").exists()


def test_two_forms_of_answering_never_share_a_row(answered):
    assert "cached" not in answered.run("pairs", "cue-conflict")
    cells = answered.headlines("cue-conflict")
    assert cells["sixteen"].source.observer != cells["pairs"].source.observer
    one, other = (answered.trials(name, "cue-conflict") for name in ("sixteen", "pairs"))
    assert one["stimulus"].tolist() == other["stimulus"].tolist()
    columns = [f"probability_{name}" for name in NAMES]
    assert (one[columns] - other[columns]).abs().to_numpy().max() > 1e-3
    assert "two names: again = sixteen" in answered.run("again", "cue-conflict")
    same = answered.trials("again", "cue-conflict")
    assert same["probability_cat"].tolist() == one["probability_cat"].tolist()


def test_prompts_are_conditions_that_are_compared_within_images(answered, clip):
    file = answered.folder / "prompts.txt"
    file.write_text("a blurry photo of a {}.\na drawing of the {}.\n")
    how = ("--arch", f"open_clip:{clip}", "--labels", "world16")
    names = ["asked.blurry", "asked.drawing"]
    for name, template in zip(names, file.read_text().splitlines(), strict=True):
        answered.bench("register", name, *how, "--templates", template)
    many = ("--limit", 320, "-q", "--device", "cpu", "--suite", "cue-conflict")
    answered.bench("run", "sixteen,asked.*", *many)
    table = answered.bench("compare", "sixteen", "asked.*", "--suite", "cue-conflict")
    assert "cue-conflict: shape bias A: sixteen" in table
    found = api.compare_each(api.Selection(answered.db), "sixteen", "asked.*", suite="cue-conflict")
    assert [name for name, _ in found.rows] == names
    single = [api.compare(api.Selection(answered.db), "sixteen", name).headlines[0].comparison for name in names]
    for (_, row), one in zip(found.rows, single, strict=True):
        assert (row.comparison.difference, row.comparison.p) == (one.difference, one.p)
        assert one.p is not None
    low, high = sorted(row.comparison.p for _, row in found.rows)
    holm = [min(1, 2 * low), min(1, max(2 * low, high))]
    assert sorted(row.comparison.p_holm for _, row in found.rows) == pytest.approx(holm)


def best_boxes(found, threshold):
    """The category of each image's best box, by a walk over all boxes; "na" where none reaches the threshold."""
    answers = []
    for boxes in found:
        best, answer = 0.0, "na"
        for label, score in zip(boxes["labels"].tolist(), boxes["scores"].tolist(), strict=True):
            if score >= threshold and score > best:
                best, answer = score, NAMES[label - 1]
        answers.append(answer)
    return answers


@pytest.fixture(scope="module")
def detected(tmp_path_factory):
    """The built-in detector, and an untrained Faster R-CNN that reports from 0.05 and from 0.5."""
    board = Board(tmp_path_factory.mktemp("detectors"))
    (board.folder / "faster.py").write_text(FASTER)
    square = ("--size", 64, "--resize", 64, "--mean", "0,0,0", "--std", "1,1,1")
    faster = ("--arch", "detector:python:./faster.py:build", "--weights", "random:0", *square)
    board.bench("register", "faster", *faster, "--labels", "world16")
    board.bench("register", "silent", *faster, "--labels", "world16", "--threshold", "0.5")
    for suite in ("cue-conflict", "saliency", "corruption:quick"):
        board.run("faster,world-detector-0", suite)
    board.run("world-detector-0", "adversarial")
    board.run("silent", "cue-conflict,corruption:quick")
    return board


@pytest.fixture(scope="module")
def networks():
    """Both detectors, built and fed by hand."""
    world = tiny_detector(17)
    world.load_state_dict(load_file(CHECKPOINTS / "world-detector-0.safetensors"))
    made = {}
    exec(FASTER, made)
    torch.manual_seed(0)
    faster = made["build"](17)
    for network in (world, faster):
        network.eval().requires_grad_(False)
    world.score_thresh = faster.roi_heads.score_thresh = 1e-3  # lower boxes are in the rest's log-odds, too
    return {
        "world-detector-0": lambda images: world((images - 0.5) / 0.25),
        "faster": lambda images: faster(list(images)),
    }


@pytest.mark.parametrize("name", ["world-detector-0", "faster"])
def test_detectors_answer_with_their_best_box_and_gradients_are_those_of_the_boxes(name, detected, networks):
    table = detected.trials(name, "cue-conflict", "cue-conflict")
    found = networks[name](shown(generated_set("world-cue-conflict"), table["stimulus"]))
    assert table["response"].tolist() == best_boxes(found, 0.05) and len(table) == SHOWN

    def logits(images):
        rows = []
        for boxes in networks[name](images):
            of = {k: boxes["scores"][boxes["labels"] == k] for k in range(1, 17)}
            best = [one.clamp(min=1e-3).max() if len(one) else torch.tensor(1e-3) for one in of.values()]
            rows.append(torch.stack([*best, torch.tensor(0.05)]).logit())
        return torch.stack(rows)

    table = detected.trials(name, "saliency", "natural")
    images = shown(generated_set("world-natural"), table["stimulus"])
    expected = log_norms(logits, images, [NAMES.index(one) for one in table["category"]])
    assert np.isfinite(expected).any()
    assert table["log_norm"].to_numpy() == pytest.approx(expected, abs=1e-2, nan_ok=True)


def test_a_detector_is_attacked(detected):
    attacked = detected.trials("world-detector-0", "adversarial", "natural")
    right = attacked["clean_correct"].to_numpy()
    assert right.any() and (attacked["gradient_norm"].to_numpy()[right] > 0).all()
    robust = detected.headlines("adversarial")["world-detector-0"]
    assert robust.n == SHOWN and robust.value < right.mean()


def test_no_box_is_no_answer_and_counts(detected):
    assert set(detected.trials("silent", "cue-conflict")["response"]) == {"na"}
    bias = detected.headlines("cue-conflict")["silent"]
    assert (bias.value, bias.n) == (None, 0) and bias.reason
    accuracy, others = (detected.headlines("corruption:quick")[name] for name in ("silent", "faster"))
    assert (accuracy.value, accuracy.n) == (0.0, others.n)
