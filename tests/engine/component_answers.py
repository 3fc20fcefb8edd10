"""What the program's own components answer on tiny fixed inputs; tests/golden/answers.json has what they answered.

`python tests/engine/component_answers.py` writes that file anew, after a version was raised."""

import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmark import stats
from benchmark.contracts import Block, Trials
from benchmark.contracts.trials import stacked_tables
from benchmark.engine.device_choice import Tuning
from benchmark.engine.devices import TunedModel, feed
from benchmark.engine.model_view import NetworkView
from benchmark.engine.scoring import pooled_score
from benchmark.identity import VERSIONS
from benchmark.plugins import find_suites
from benchmark.stimuli.datasets import seeds_of, subset
from benchmark.stimuli.image_files import FileImages
from benchmark.stimuli.world.sets import WORLD_SETS, generated_set
from benchmark.testing import ToyShelf, toy_trials
from benchmark.transforms import human, imagenet_c
from benchmark.transforms.corruptions import CORRUPTIONS
from benchmark.transforms.human import degradation
from benchmark.transforms.imagenet_c import corruption
from benchmark.transforms.listing import own_list
from registry.architectures import NETWORKS_VERSION
from registry.cards import builtin_cards
from registry.files import WeightSources
from registry.labels import decide, label_space
from registry.loading import load_network, load_observer
from registry.world_networks import tiny_resnet

GOLDEN = Path(__file__).parents[1] / "golden" / "answers.json"
#: Another processor or version of torch moves float32 sums by a few in a million, and with them a grey level of a few
#: pixels in ten thousand. Whatever a person changes on purpose moves these answers by far more.
LOOSE = 1e-3
#: Statistics are computed in float64.
TIGHT = 1e-5
SPACES = {"corruption": "world16", "saliency": "world16"}
Numbers = dict[str, list[float]]


def told(values: Any) -> list[float]:
    """Seven numbers of an array: its size, mean and spread, and four of its random projections."""
    array = np.asarray(values)
    if array.dtype.kind in "US":
        array = np.array([zlib.crc32(text.encode()) % 9973 for text in array.ravel().tolist()])
    flat = array.astype(np.float64).ravel()
    if not len(flat):
        return [0.0]
    known = np.isfinite(flat)
    flat = np.where(known, flat, 0.0)
    weights = np.random.default_rng(len(flat)).choice([-1.0, 1.0], (4, len(flat)))
    size = np.abs(flat).mean() * math.sqrt(len(flat)) or 1.0
    shares = [len(flat), known.mean(), flat.mean(), flat.std()]
    return [float(f"{one:.9g}") for one in (*shares, *(weights @ flat / size))]


def close(label: str, a: Numbers, b: Numbers) -> bool:
    """Whether two answers of a component are the same but for rounding. A metric, a corruption or a column more moves
    no number; of trials that were stored without the column its scores give a reason."""
    exact = label.endswith(".scores") or label in ("statistics", "scoring", "stimuli")
    within = TIGHT if exact else LOOSE
    return a.keys() <= b.keys() and all(
        len(a[name]) == len(b[name]) and np.allclose(a[name], b[name], within, within, equal_nan=True) for name in a
    )


def _suite(name: str, part: str) -> Numbers:
    """What a suite shows and keeps of the toy observer, or the scores of that."""
    suite = find_suites().suites[name]
    trials = toy_trials(suite, ToyShelf(SPACES.get(name, suite.spaces[0])))
    if part == "trials":
        return {column: told(values) for column, values in trials.columns.items()}
    scores = list(suite.score(suite.config, trials))
    others = {"other": trials, "another": trials}
    if suite.against:
        scores += suite.against.scores(suite.config, trials, others)
        scores += suite.against.group(suite.config, others) if suite.against.group else []
    return {f"{one.metric}/{one.role}/{one.condition}": _numbers(one.value, one.low, one.high, one.n) for one in scores}


def _numbers(*values: float | None) -> list[float]:
    return [-9.0 if value is None else float(value) for value in values]


def _images(side: int) -> Any:
    """Two smooth pictures with some noise, uint8 [2, 3, side, side]."""
    y, x = np.mgrid[:side, :side] / side
    waves = [np.sin(6 * x * k + 4 * y * (3 - k) + phase) for phase in (0, 1) for k in range(3)]
    noise = np.random.default_rng(0).normal(0, 0.05, (6, side, side))
    levels = (127.5 + 100 * (np.stack(waves) + noise)).clip(0, 255).round()
    return torch.from_numpy(levels.reshape(2, 3, side, side)).to(torch.uint8)


def _applied(transform: Any, side: int) -> list[float]:
    return told(transform.apply(_images(side), np.array([11, 12], dtype=np.uint64)))


def _imagenet_c() -> Numbers:
    frost = [np.asarray(np.random.default_rng(k).integers(0, 256, (256, 256, 3)), dtype=np.uint8) for k in range(5)]
    made = {f"{n}/{s}": corruption(n, s, frost) for n in CORRUPTIONS for s in range(1, 6)}
    shown = {name for name in made if name[-1] in "15"} - {"spatter/1"}  # that needs OpenCV
    kept = {f"{name}/params": told([repr(one.params)]) for name, one in made.items()}
    kept |= {f"{name}/levels": told([repr(one.levels)]) for name, one in own_list("imagenet-c").items()}
    return kept | {name: _applied(one, 224) for name, one in made.items() if name in shown}


def _human() -> Numbers:
    made = {f"{n}/{c}": degradation(n, str(c)) for n, entry in own_list("human").items() for c in entry.levels}
    params = {"params": told([repr(one.params) for one in made.values()])}
    params["list"] = told([repr(one.levels) for one in own_list("human").values()])
    return params | {name: _applied(one, 48) for name, one in made.items()}


def _answers() -> Numbers:
    """A network of the built-in world, by every presentation, tuned and plain; ideal observers; files of all kinds."""
    cards = builtin_cards()
    model = load_network(cards["world-standard-0"], WeightSources(weights_folder=Path("unused")))
    stimuli = subset(generated_set("world-natural"), 8)
    images, index = [stimuli.decode(i) for i in range(8)], np.arange(8)
    found: Numbers = {"seeds": told(seeds_of(stimuli, index, 3)), "drawn": told(images)}
    for how in ("whole", "card", "crop224", "crop224-bicubic"):
        pixels = model.present(images, how)  # type: ignore[arg-type]
        found[f"{how} pixels"] = told(pixels)
        asis = TunedModel(model=model, tuning=Tuning(4), run=model.forward)
        for folded, fed in ((False, asis), (True, feed(model, Tuning(4), device="cpu"))):
            block = Block(stimuli=stimuli, presentation=how)  # type: ignore[arg-type]
            grouping = model.labels.groupings["world16"]
            view = NetworkView(feed=fed, block=block, index=index, pixels=pixels, grouping=grouping, seed=0, batch=4)
            found[f"{how} {folded}"] = told(view.probabilities)
            found[f"{how} {folded} answers"] = told(view.responses)
    for name, card in cards.items():
        if card.source == "ideal":
            ideal = load_observer(card, WeightSources(weights_folder=Path("unused")))
            answered = ideal.answer(stimuli.labels, seeds_of(stimuli, index, 0), model.labels.classes)
            found[name] = told(answered)
    return found | _files() | _library()


def _files() -> Numbers:
    picture = Image.fromarray(np.asarray(_images(64)[0].permute(1, 2, 0)))
    modes = ("RGB", "L", "P", "RGBA", "RGB", "CMYK")
    names = ("rgb.png", "grey.png", "palette.png", "alpha.png", "photo.jpg", "print.jpg")
    kinds = dict(zip(names, modes, strict=True))
    with TemporaryDirectory() as folder:
        paths = []
        for name, mode in kinds.items():
            paths.append(Path(folder) / name)
            picture.convert(mode).save(paths[-1])
        decode = FileImages(files=tuple(paths), remedy="")
        return {name: told(decode(i)) for i, name in enumerate(kinds)}


def _statistics() -> Numbers:
    made = np.random.default_rng(1)
    a, b = made.integers(0, 2, 60), made.integers(0, 2, 60)
    return {
        "wilson": [*stats.wilson(3, 17), *stats.wilson(0, 5), *stats.wilson(90, 100, 0.99)],
        "difference": [float(x) for x in np.ravel(stats.paired_difference(9, 4, 60))],
        "mcnemar": [stats.mcnemar_exact(9, 4), stats.mcnemar_exact(0, 3)],
        "mean": [float(x) for x in stats.mean_interval(b + 0.1 * a)],
        "holm": [float(x) for x in stats.holm([0.01, 0.04, 0.03])],
    }


def _scoring() -> Numbers:
    suite = find_suites().suites["cue-conflict"]
    trials = toy_trials(suite, ToyShelf("geirhos16"))
    half = np.arange(len(trials)) % 3 > 0
    people: Sequence[Trials] = [trials, trials.where(half), trials.where(~half)]
    scores = [pooled_score(metric, people) for metric in suite.metrics]
    return {one.metric: _numbers(one.value, one.low, one.high) for one in scores if one}


def _stimuli() -> Numbers:
    found: Numbers = {}
    for name in WORLD_SETS:
        part = subset(generated_set(name), 3)
        found[name] = told([part.decode(i) for i in range(3)])
        found[f"{name} labels"] = told([*part.ids, *(str(v) for c in part.labels.values() for v in c)])
    return found


def _library() -> Numbers:
    space = label_space("imagenet1k")
    logits = torch.from_numpy(np.random.default_rng(2).normal(0, 3, (4, 1000)))
    found = {name: told(decide(logits, one)) for name, one in space.groupings.items()}
    table = stacked_tables([{"a": np.arange(3), "b": np.array(["x", "y", "z"])}, {"a": np.arange(2)}])
    return found | {name: told(values) for name, values in table.items()}


def _networks() -> Numbers:
    """A tiny network, and the simulated people of the built-in world."""
    images, cards = _images(64).float() / 255, builtin_cards()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        answers = {"tiny": told(tiny_resnet(16).eval()(images))}
        for name in (name for name, card in cards.items() if card.simulated):
            answers[name] = told(
                load_network(cards[name], WeightSources(weights_folder=Path("unused"))).forward(images)
            )
    return answers


SUITES = find_suites().suites
#: Component -> its version, and what makes its answers.
COMPONENTS: Mapping[str, tuple[int, Callable[[], Numbers]]] = {
    "answers": (VERSIONS["answers"], _answers), "stimuli": (VERSIONS["stimuli"], _stimuli),
    "statistics": (VERSIONS["statistics"], _statistics), "scoring": (VERSIONS["scoring"], _scoring),
    "imagenet-c": (imagenet_c.VERSION, _imagenet_c), "human-degradations": (human.VERSION, _human),
    "networks": (NETWORKS_VERSION, _networks),
    **{f"{n}.trials": (s.trial_version, partial(_suite, n, "trials")) for n, s in SUITES.items()},
    **{f"{n}.scores": (s.version, partial(_suite, n, "scores")) for n, s in SUITES.items()},
}  # fmt: skip


def main() -> None:
    """Write what every component answers now."""
    lines = []
    for label, (version, answers) in COMPONENTS.items():
        rows = [f"  {json.dumps(n)}: {json.dumps(v)}" for n, v in answers().items()]
        inside = ",\n".join(rows)
        lines.append(f'{json.dumps(label)}: {{"version": {version}, "answers": {{\n{inside}}}}}')
    GOLDEN.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
