"""A network in memory: what it is fed, whose observer it is, and a training around it that goes on undisturbed."""

import copy
import inspect
import json
import random
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

import gestaltbench as gb
from benchmark.engine.devices import training_untouched
from benchmark.failures import BenchError, CardError, LabelError, WeightsError
from benchmark.variables import read_settings
from registry.code import code_digest
from registry.families.family import Draft
from registry.in_memory import copied, hold
from registry.register import CardFolder
from registry.world_networks import TinyResNet

FIELDS = {"size": 64, "resize": 64, "interpolation": "bicubic", "mean": (0.5,) * 3, "std": (0.25,) * 3}
AS_FIELDS = transforms.Compose(
    [transforms.Resize(64, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(64), transforms.ToTensor(),
     transforms.Normalize([0.5] * 3, [0.25] * 3)]
)  # fmt: skip
OPAQUE = transforms.Compose([transforms.Resize(70), transforms.CenterCrop(64), transforms.RandomInvert(1.0),
                             transforms.ToTensor()])  # fmt: skip
NAMES = ["cat", "dog", "car", "bird"]


def world(number=0):
    net = TinyResNet(16)
    folder = Path(inspect.getfile(TinyResNet)).with_name("world_checkpoints")
    net.load_state_dict(load_file(folder / f"world-standard-{number}.safetensors"))
    return net


class Small(nn.Module):
    def __init__(self, width=6, num_classes=16):
        super().__init__()
        self.width = width
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, stride=4), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        return 20 * self.head(self.body(x).mean((2, 3)))


def small(**more):
    torch.manual_seed(5)
    return Small(**more)


def held(net, preprocess=None, labels=None):
    settings = read_settings()
    shelf = CardFolder(cards=settings.cards, place=settings.place)
    draft = Draft(name="", arch="", source="memory")
    return hold(net, preprocess, labels, draft, shelf, "cpu", lambda _model: [], False)[0]


def evaluated(net, db, **more):
    more = {"preprocess": FIELDS, "labels": "world16", "limit": 16, "check": False, "progress": False, **more}
    return gb.evaluate(net, "cue-conflict", db=str(db), **more)


def photographs():
    noise = map(Image.fromarray, np.random.default_rng(0).integers(0, 256, (64, 5, 7, 3)).astype(np.uint8))
    return [each.resize((97 + i, 80 + i % 9), Image.Resampling.BICUBIC) for i, each in enumerate(noise)]


def own_answers(net, transform, get=lambda output: output):
    with torch.no_grad():
        answers = [get(net.eval()(transform(image)[None])) for image in photographs()]
    return torch.cat(answers).argmax(1).tolist()


def decisions(model):
    with torch.no_grad():
        fed = [model.fit(model.prepare([np.asarray(image)], "card")) for image in photographs()]
        return torch.cat([model.forward(x) for x in fed]).argmax(1).tolist()


@pytest.mark.slow
def test_an_object_says_by_itself_what_it_is_or_is_refused_in_one_line():
    locked = small()
    locked.lock = threading.Lock()
    for net, said, error, words in [
        (small(), {}, CardError, "does not state its input. Give preprocess="),
        (small(), {"preprocess": FIELDS}, WeightsError, "16 outputs are those of label space geirhos16 or world16"),
        (small(), {"preprocess": FIELDS, "labels": [*map(str, range(7))]}, LabelError, "outputs have no names"),
        (small(), {"preprocess": FIELDS, "labels": ["a", "b"]}, WeightsError, r"logits \(2, 2\)"),
        (small(), {"preprocess": 7, "labels": "world16"}, CardError, "preprocess=int: expected a callable"),
        (small(), {"preprocess": {"size": 64}, "labels": "world16"}, CardError, "Give mean, std"),
        (7, {}, CardError, "expected a network or a function"),
        (locked, {}, CardError, "network Small cannot be read .*its copy answers"),
        (lambda images: 1 / 0, {"preprocess": FIELDS, "labels": "world16"}, CardError, "division by zero"),
        (nn.Sequential(small(), nn.Softmax(1)), {"preprocess": FIELDS, "labels": "world16"}, WeightsError, "softmax"),
    ]:  # fmt: skip
        with pytest.raises(error, match=words):
            held(net, **said)


@pytest.mark.slow
def test_a_copy_shares_nothing_with_its_network_and_calls_no_hook_of_the_user():
    net, seen = small(), []
    net.body[0].register_forward_hook(lambda *_: seen.append(1))
    pruned = nn.utils.weight_norm(nn.Conv2d(3, 2, 1))
    net.extra = pruned
    pruned(torch.zeros(1, 3, 2, 2))
    net.body.eval()
    net.body = torch.compile(net.body)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    other = copied(net.half()).train()
    assert type(other.body) is nn.Sequential
    other(torch.rand(4, 3, 64, 64)).sum()
    other.extra(torch.zeros(1, 3, 2, 2))
    assert (seen, net.training, net.body.training, other.head.weight.dtype) == ([], True, False, torch.float32)
    assert all(torch.equal(value, before[name].to(value.dtype)) for name, value in net.state_dict().items())


def test_every_generator_mode_and_hook_is_as_it_was_even_after_a_failure():
    def state():
        python, arrays = random.getstate(), np.random.get_state()
        hooks = len(nn.modules.module._global_forward_hooks)
        modes = torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.get_default_dtype(), hooks
        return python, arrays[1].tolist(), torch.get_rng_state().tolist(), torch.get_num_threads(), modes

    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            before = state()
            with pytest.raises(KeyboardInterrupt), training_untouched():
                random.random(), np.random.rand(3), torch.rand(3), torch.set_num_threads(2)
                assert state()[-1] == (True, False, torch.float32, 0)
                raise KeyboardInterrupt
            assert state() == before
    finally:
        handle.remove()


class Noisy(Dataset):
    """Images that are augmented by every generator that a loader's workers have."""

    def __len__(self):
        return 160

    def __getitem__(self, i):
        shift = random.random() + float(np.random.rand()) + float(torch.rand(()))
        return torch.full((3, 64, 64), i / 160) + 0.1 * shift * torch.rand(3, 64, 64), i % 16


def trained(db, steps, every):
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    net, step = Small(), 0
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
    net.head.register_forward_hook(lambda module, _inputs, output: output + 0 * module.weight.sum())
    while step < steps:
        for images, labels in DataLoader(Noisy(), batch_size=8, shuffle=True, num_workers=2):
            step += 1
            with torch.autocast("cpu", torch.bfloat16):
                loss = nn.functional.cross_entropy(net(images + 0.01 * torch.randn_like(images)), labels)
            loss.backward()
            if every and step % every == 0:  # between the gradients and the step that they are for
                with torch.no_grad():
                    evaluated(net, db, name="run", step=step, limit=2)
            optimizer.step()
            optimizer.zero_grad()
    return net, optimizer, (random.random(), float(np.random.rand()), float(torch.rand(())))


@pytest.mark.slow
def test_a_training_ends_bit_equal_with_an_evaluation_every_20_steps(tmp_path):
    both = [trained(tmp_path / "r.db", 40, every) for every in (0, 20)]
    (net, optimizer, drawn), (watched, its_optimizer, its_drawn) = both
    states = zip(net.state_dict().values(), watched.state_dict().values(), strict=True)
    assert all(torch.equal(*pair) for pair in states) and drawn == its_drawn and watched.training
    momenta = ([each["momentum_buffer"] for each in o.state.values()] for o in (optimizer, its_optimizer))
    assert all(torch.equal(*pair) for pair in zip(*momenta, strict=True))
    points = gb.Leaderboard(tmp_path / "r.db").training_curves()
    assert {point.step for curve in points for point in curve.points} <= {20, 40} and points


@pytest.mark.slow
def test_the_same_weights_in_memory_and_in_a_file_are_one_observer(tmp_path):
    db = tmp_path / "r.db"
    for net in (nn.Sequential(world()), (world(), AS_FIELDS)):
        assert evaluated(net, db, preprocess=None, labels=None).name == "world-standard-0"
    first = evaluated(small(), db, name="mine")
    assert first.headlines.keys() == {"cue-conflict"} and len(gb.trials("mine", "cue-conflict", db=db)) > 0
    assert "mine" in repr(first) and "<table" in first._repr_html_()
    with pytest.raises(BenchError, match="cannot be reproduced: it was evaluated in memory"):
        gb.reproduce("mine", "cue-conflict", db=str(db))
    assert "no card loads it" in gb.provenance("mine", "cue-conflict", db=str(db))[0].first[0]
    flags = [flag for row in gb.show("mine", db=str(db)) for flag in row.flags]
    assert "evaluated in memory: no card loads it again" in flags
    with pytest.raises(CardError, match="is registered, and is another one"):
        evaluated(world(1), db, name="world-standard-0", preprocess={**FIELDS, "std": (0.2,) * 3})
    kept = evaluated(small(), db, name="mine", save=True)
    assert kept.frame().value.equals(first.frame().value) and len(gb.models("mine")) == 1
    assert gb.reproduce("mine", "cue-conflict", db=str(db)).exit_code == 0
    with_flags = [flag for row in gb.show("mine", db=str(db)) for flag in row.flags]
    assert "evaluated in memory: no card loads it again" not in with_flags
    with pytest.raises(CardError, match="save=True: no card can load"):
        evaluated((small(width=7), OPAQUE), db, name="opaque", preprocess=None, save=True)


def objects(folder):
    """Yield name -> object, what is said of it, and its own decisions on 64 photographs."""
    import open_clip
    import pytorch_lightning
    import timm
    import transformers
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC
    from torchvision import models

    torch.manual_seed(0)
    for name in ("test_resnet", "mobilenetv3_small_050"):
        net = timm.create_model(name)
        transform = timm.data.create_transform(**timm.data.resolve_model_data_config(net))
        yield f"timm {name}", net, {}, own_answers(net, transform)
    for name, entry in (("resnet18", "ResNet18"), ("squeezenet1_1", "SqueezeNet1_1")):
        net, weights = models.get_model(name), getattr(models, f"{entry}_Weights").DEFAULT
        yield f"torchvision {name}", (net, weights), {}, own_answers(net, weights.transforms())
    plain = models.squeezenet1_0()
    yield "torchvision plain", plain, {}, own_answers(plain, models.SqueezeNet1_0_Weights.DEFAULT.transforms())

    names = dict(enumerate(NAMES))
    made = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], id2label=names)
    resnet = transformers.ResNetForImageClassification(made)
    made = transformers.ViTConfig(hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
                                  image_size=64, id2label=names)  # fmt: skip
    vit = transformers.ViTForImageClassification(made)
    nn.init.normal_(vit.classifier.weight)
    processor = transformers.ViTImageProcessor(size={"height": 64, "width": 64})
    for name, net in (("resnet", resnet), ("vit", vit)):
        fed = lambda image: processor(images=image, return_tensors="pt")["pixel_values"][0]  # noqa: E731
        yield f"transformers {name}", (net, processor), {}, own_answers(net, fed, lambda output: output.logits)

    class Lit(pytorch_lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net, self.loss = small(), nn.CrossEntropyLoss(weight=torch.ones(16))

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch, _i):
            return self.loss(self(batch[0]), batch[1])

    said = {"labels": "world16"}
    yield "lightning", (Lit(), AS_FIELDS), said, own_answers(Lit(), AS_FIELDS)
    for name, net in (("parallel", nn.DataParallel(world(1))), ("compiled", torch.compile(world(1))),
                      ("averaged", torch.optim.swa_utils.AveragedModel(world(1))),
                      ("script", torch.jit.script(world(1))), ("half", world(1).half()),
                      ("double", world(1).double())):  # fmt: skip
        yield name, (net, AS_FIELDS), said, own_answers(world(1), AS_FIELDS)
    yield "own transform", (world(2), OPAQUE), said, own_answers(world(2), OPAQUE)

    thumbnail = lambda image: np.asarray(image.resize((8, 8)), dtype=np.float32).ravel() / 255  # noqa: E731
    table, classes = np.stack([thumbnail(image) for image in photographs()]), np.array(NAMES)[np.arange(64) % 4]
    for name, kind in (("logistic", LogisticRegression()), ("svc", LinearSVC())):
        pipeline = make_pipeline(StandardScaler(), kind).fit(table, classes)
        own = [pipeline.classes_.tolist().index(answer) for answer in pipeline.predict(table)]
        yield f"scikit-learn {name}", (pipeline, thumbnail), {}, own
    matrix = np.random.default_rng(1).normal(size=(192, 1000))
    function = lambda images: images.reshape(len(images), -1)[:, :192] @ matrix  # noqa: E731  # as jax.jit's
    yield "function", (function, thumbnail), {}, function(table).argmax(1).tolist()
    net = world(2).eval()
    yield "function of tensors", (lambda x: net(x), AS_FIELDS), said, own_answers(net, AS_FIELDS)

    vision = {"image_size": 64, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    config = folder / "tiny-towers.json"
    config.write_text(json.dumps({"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}))
    open_clip.add_model_config(config)
    towers, _, transform = open_clip.create_model_and_transforms("tiny-towers")
    tokenize = open_clip.get_tokenizer("tiny-towers")
    words = [template(name) for name in sorted(NAMES) for template in open_clip.OPENAI_IMAGENET_TEMPLATES]
    with torch.no_grad():
        units = nn.functional.normalize(towers.eval().encode_text(tokenize(words)), dim=1)
    vectors = nn.functional.normalize(units.view(4, -1, units.shape[1]).mean(1), dim=1)
    own = own_answers(towers.visual, transform, lambda f: nn.functional.normalize(f, dim=1) @ vectors.T)
    yield "open_clip", (towers, transform, tokenize), {"labels": None}, own


@pytest.mark.release
def test_objects_of_libraries_decide_as_their_own_pipelines(tmp_path):
    (tmp_path / "four.yaml").write_text(f"name: four\nclasses: {sorted(NAMES)}\n")
    count = 0
    for name, net, said, own in objects(tmp_path):
        said = {"labels": str(tmp_path / "four.yaml")} if said == {"labels": None} else said
        model = held(copy.copy(net), **said)
        agreeing = np.mean(np.array(decisions(model)) == own)
        assert agreeing == 1, (name, agreeing)
        count += 1
    assert count == 20


def test_a_class_typed_in_a_notebook_counts_by_its_source(monkeypatch):
    import linecache

    def typed(text, cell):
        linecache.cache[cell] = (len(text), None, text.splitlines(keepends=True), cell)
        module = types.ModuleType("__main__")
        exec(compile(text, cell, "exec"), module.__dict__)
        return module.f

    plain = typed("def f(x):\n    return x + 1\n", "<cell 1>")
    noted = typed("def f(x):  # of x\n    '''Add one.'''\n    return x + 1\n", "<cell 2>")
    other = typed("def f(x):\n    return x + 2\n", "<cell 3>")
    assert code_digest(plain) == code_digest(noted) != code_digest(other)
    assert sys.modules["__main__"] is not plain
