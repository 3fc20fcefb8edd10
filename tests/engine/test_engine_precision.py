"""The run's precision is the network's alone; a compiled network gives what a plain one gives."""

import engine_nets
import numpy as np
import pytest
import torch
from engine_toys import Bench, Told, make_stimuli, network, toy_suite
from tensors import assert_close

from benchmark.contracts import Block, Metric, Policy, Score
from benchmark.engine import device_choice, devices
from benchmark.engine.devices import numerics
from benchmark.store import open_store
from benchmark.transforms.imagenet_c import corruption
from registry.labels import label_space
from registry.model import LoadedModel

pytestmark = pytest.mark.slow


def test_transforms_are_exact_whatever_the_precision(tmp_path):
    """What reaches a network in a run of that precision."""

    def observe(_config, view):
        return {"response": view.responses, "pixels": view.images.flatten(1).cpu().numpy()}

    found, transform = [], corruption("elastic_transform", 5)
    for precision in ("fp32", "bf16"):
        bench = Bench(tmp_path / precision)
        block = Block(stimuli=make_stimuli(12), presentation="whole", role="toys", transform=transform)
        suite = toy_suite((block,), observe=observe)
        assert not bench.run([network("net", "Readout")], [suite], precision=precision).failed
        found.append(bench.trials("net")["pixels"])
    np.testing.assert_array_equal(*found)
    assert found[0].min() >= 0 and found[0].max() <= 1


@pytest.mark.release
def test_a_compiled_network_takes_several_gradients_of_one_forward_pass():
    net = engine_nets.Normed(3).eval().requires_grad_(False)
    model = LoadedModel(card=network("net", "Normed"), module=net, digest="digest", labels=label_space("world16"))
    feed = devices.feed(model, device_choice.Tuning(2), device="cpu", compile_model=True)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def gradients(forward):
        pixels = images.clone().requires_grad_()
        logits = forward(pixels)
        return [torch.autograd.grad(logits[:, i].sum(), pixels, retain_graph=i == 0)[0] for i in (0, 1)]

    expected = gradients(model.forward)
    with numerics(Policy(compile=True)):
        with torch.inference_mode():  # answers first, in another batch size, as suites ask for them
            feed.run(torch.rand(4, 3, 32, 32))
        found = gradients(feed.run)
    for compiled, plain in zip(found, expected, strict=True):
        assert_close(compiled, plain, rtol=1e-4, atol=1e-6)


def right(trials):
    return (trials["response"] == trials["category"]).astype(float), np.ones(len(trials))


ACCURACY = Metric(name="accuracy", title="accuracy", definition="share of right answers", headline=True, ratio=right)


def test_a_run_in_bf16_is_compared_with_float32(leaderboard):
    """Of a network that rounds in bf16, and of one that does not."""
    told, stimuli = Told(), make_stimuli(2048)

    def score(_config, trials):
        return [Score(metric="accuracy", value=right(trials)[0].mean(), n=len(trials))]

    suite = toy_suite(stimuli, metrics=(ACCURACY,), score=score)
    cards = [network("rounded", "Coarse"), network("exact", "Pooled")]
    assert not leaderboard.run(cards, [suite], batch=64, reporter=told, precision="bf16").failed
    with open_store(leaderboard.settings.db, write=False) as store:
        flags = {row.observer: row.flags[-1] for row in store.latest_scores()}
    begun = "bf16 against float32 on 2,048 trials, "
    exact = f"{begun}100.00 % of decisions agree; accuracy moves by +0.0000 [-0.0019, 0.0019]"
    rounded, others = told.notes()
    assert others == f"exact under toy: {exact}" and flags["exact"] == "trust: answers at chance"
    shown = torch.from_numpy(np.stack([stimuli.decode(i) for i in range(2048)])).permute(0, 3, 1, 2) / 255
    full = np.array(label_space("world16").classes)[engine_nets.Coarse()((shown - 0.5) / 0.5).argmax(1).numpy()]
    low = leaderboard.trials("rounded")
    same, moved = 100 * (low["response"] == full).mean(), np.mean((low["response"] == low["category"]) * 1.0)
    moved -= (full == low["category"]).mean()
    assert same < 100 and f"{begun}{same:.2f} % of decisions agree; accuracy moves by {moved:+.4f} [" in rounded
    assert rounded == f"rounded under toy: {flags['rounded']}" and rounded.endswith("], not within 0.002")
