"""An endpoint of chat completions as an observer: a server on this machine plays the model."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from chat_server import Model, digest_of, serving

from registry.cards import Preprocess
from registry.errors import AnswerError, CardError
from registry.families import chat
from registry.files import Place
from registry.labels import label_space
from registry.loading import availability, load_model
from registry.register import register

WORDS = label_space("world16").classes
KEY = "sk-very-secret"
IMAGES = torch.randint(0, 256, (24, 3, 8, 8), generator=torch.Generator().manual_seed(0)).float() / 255
PIXELS = [(image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy() for image in IMAGES]
SAYS = [WORDS[at % 16] for at in range(24)]


@pytest.fixture
def model():
    return Model({digest_of(pixels): f" {word.capitalize()}.\n" for pixels, word in zip(PIXELS, SAYS, strict=True)})


@pytest.fixture
def asking(model, tmp_path, monkeypatch):
    """The network of an endpoint whose file says so; nothing is registered."""
    monkeypatch.setattr(chat, "PAUSE", 0.001)
    with serving(model) as url:

        def make(secret=KEY, labels="world16", **said):
            file = tmp_path / "endpoint.yml"
            file.write_text(yaml.safe_dump({"url": url, "model": "toy", "most_requests": 999, "retries": 3, **said}))
            place = Place(
                tmp_path / "weights", secret=lambda name: secret if name.startswith("BENCH_KEY_127_0_0_1_") else None
            )
            draft = chat.describe(chat.Draft("vlm", f"api:{file}", labels=labels), tmp_path, place)
            how = Preprocess(size=8, resize=8, mean=(0, 0, 0), std=(1, 1, 1))
            card = register.__globals__["_card"](draft, how)
            return chat.network(card, place, 17, bare=False)[0]

        yield make


def answers(network, images=IMAGES):
    return network(images).argmax(1).tolist()


EXPECTED = [WORDS.index(word) for word in SAYS]


def test_each_image_is_asked_once_with_its_own_order_of_the_options(asking, model, tmp_path):
    network = asking()
    twice = torch.cat([IMAGES, IMAGES[:5]])
    assert answers(network, twice) == EXPECTED + EXPECTED[:5]
    assert sorted(digest for digest, _ in model.asked) == sorted(map(digest_of, PIXELS))
    listed = {digest: text.partition(": ")[2].partition("?")[0].split(", ") for digest, text in model.asked}
    assert all(sorted(options) == sorted(WORDS) for options in listed.values())
    assert len({tuple(options) for options in listed.values()}) == 24
    assert len({options.index("dog") for options in listed.values()}) > 8  # anywhere
    again = asking()
    assert answers(again) == EXPECTED  # what is kept is read
    assert len(model.asked) == 24
    other = asking(question="What is it? {options}")
    answers(other)
    assert len(model.asked) == 48
    assert {digest: text.removeprefix("What is it? ").split(", ") for digest, text in model.asked[24:]} == listed
    body = model.bodies[0]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("toy", 0, 16)


def test_busy_and_broken_endpoints_are_asked_again(asking, model):
    model.faults = [429, 500, 503, 408, 429]
    assert answers(asking(concurrency=1, retries=5)) == EXPECTED
    assert (len(model.asked), len(model.headers)) == (24, 29)


def test_after_all_retries_it_ends_and_what_was_answered_is_kept(asking, model):
    network = asking(concurrency=1, retries=1)
    answers(network, IMAGES[:10])
    model.faults = [500] * 99
    with pytest.raises(
        AnswerError, match=r"'vlm': no answer from http://127.0.0.1:\d+/v1/chat/completions \(status 500\): busy"
    ):
        network(IMAGES)
    assert len(model.headers) == 12
    model.faults = []
    assert answers(asking(retries=1)) == EXPECTED
    assert len(model.asked) == 24


def test_no_server_and_no_answer_in_time(asking, model):
    with pytest.raises(AnswerError, match=r"no answer from http://127.0.0.1:1/chat/completions .*refused"):
        asking(url="http://127.0.0.1:1", retries=1)(IMAGES[:1])
    model.hold = 0
    with pytest.raises(AnswerError, match=r"no answer from .*timed out"):
        asking(timeout=0.05, retries=1)(IMAGES[:1])
    assert len(model.headers) == 2


@pytest.mark.parametrize(
    ("reply", "kind", "answer"),
    [
        ({"content": "DOG"}, "answer", "dog"),
        ({"content": '"dog".'}, "answer", "dog"),
        ({"content": [{"type": "text", "text": "dog"}]}, "answer", "dog"),
        ({"content": "It is a dog"}, "other", ""),
        ({"content": "dog, cat"}, "other", ""),
        ({"content": "puppy"}, "other", ""),
        ({"content": None}, "other", ""),
        ({"content": "dog", "refusal": "No."}, "refusal", ""),
    ],
)
def test_answers_are_read_strictly(reply, kind, answer, asking):
    plain = {"choices": [{"message": reply}]}
    assert asking()._parsed("0", plain) == chat.Reply("0", answer, kind, asking()._parsed("0", plain).text)
    filtered = {"choices": [{"message": reply, "finish_reason": "content_filter"}]}
    assert asking()._parsed("0", filtered).kind == "refusal"


def test_refusals_and_other_texts_are_no_answers_and_are_counted(asking, model):
    refused = {"choices": [{"message": {"content": None, "refusal": "I cannot."}}], "usage": model.usage}
    names = list(map(digest_of, PIXELS))
    model.replies = {names[3]: (200, refused), names[4]: (400, {"error": {"code": "content_filter"}})}
    del model.truth[names[5]]
    network = asking(prices=[2, 10])
    assert answers(network) == [16 if at in (3, 4, 5) else value for at, value in enumerate(EXPECTED)]
    cost = 23 * (1000 * 2 + 100 * 10) / 1e6  # a filtered request has no usage
    said = f"24 replies kept, 3 of them no answer (2 refused, 1 none of the options); cost {cost:.4f}"
    assert network.remark == said
    answers(asking())
    assert len(model.asked) == 24


def test_the_cap_on_requests_stops_and_a_higher_one_goes_on(asking, model):
    with pytest.raises(AnswerError, match=r"reached its cap, 10 requests: 10 replies kept.*nothing is asked twice"):
        asking(most_requests=10)(IMAGES)
    assert len(model.asked) == 10
    with pytest.raises(AnswerError, match="reached its cap"):
        asking(most_requests=10)(IMAGES)
    assert len(model.asked) == 10
    assert answers(asking(most_requests=24)) == EXPECTED
    assert len(model.asked) == 24


def test_the_cap_on_cost_counts_what_replies_have_used(asking, model):
    each = (1000 * 2 + 100 * 10) / 1e6
    said = {"prices": [2, 10], "most_requests": None, "concurrency": 1}
    with pytest.raises(AnswerError, match=r"its cap, a cost of 0\.016: 5 replies kept.*; cost 0\.0150"):
        asking(**said, most_cost=5.4 * each - 2e-4)(IMAGES)
    with pytest.raises(AnswerError, match="reached its cap"):
        asking(**said, most_cost=0)(IMAGES)
    assert len(model.asked) == 5
    # Several at a time: those under way count as the dearest.
    with pytest.raises(AnswerError, match="11 replies kept"):
        asking(**{**said, "concurrency": 6}, most_cost=11.5 * each)(IMAGES)
    assert answers(asking(**said, most_cost=1)) == EXPECTED
    assert len(model.asked) == 24
    model.usage = {}
    with pytest.raises(AnswerError, match="does not say what a reply has used: give most_requests"):
        asking(**said, most_cost=1, question="{options}")(IMAGES)


def test_another_model_behind_the_name_is_found_without_a_request_of_its_own(asking, model):
    network = asking(concurrency=1)
    answers(network, IMAGES[:10])
    model.served = "toy-2"
    assert answers(network, IMAGES[:10]) == EXPECTED[:10]
    with pytest.raises(AnswerError, match="answered by 'toy-2' now and was by 'toy-1' before"):
        asking(concurrency=1)(IMAGES)
    assert len(model.asked) == 11


def test_the_key_goes_to_its_host_and_nowhere_else(asking, model, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password other-secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    network = asking()
    network(IMAGES[:1])
    assert model.headers[0]["Authorization"] == f"Bearer {KEY}"
    asking(secret=None)(IMAGES[1:2])
    assert "Authorization" not in model.headers[1]
    name = digest_of(PIXELS[2])
    model.replies[name] = (401, {"error": {"message": f"Incorrect key {KEY}."}})
    with pytest.raises(AnswerError, match=r"401\): Incorrect key \*\*\*\..*BENCH_KEY_127_0_0_1_\d+ \(set\)") as caught:
        network(IMAGES[2:3])
    with pytest.raises(AnswerError, match=r"BENCH_KEY_127_0_0_1_\d+ \(not set\)"):
        asking(secret="")(IMAGES[2:3])
    with pytest.raises(AnswerError, match=r"_\d+ holds characters that no key has") as odd:
        asking(secret=f"{KEY}\nX: y")
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "netrc")
    assert KEY.encode() not in written
    assert KEY not in str(caught.value) + str(odd.value)
    other = replace(network.endpoint, url="https://api.openai.com/v1")
    assert other.variable == "BENCH_KEY_API_OPENAI_COM"


@pytest.mark.parametrize(
    "reply", [{}, [], {"choices": []}, {"choices": [{"message": "dog"}]}, {"choices": [{"message": {"content": [7]}}]}]
)
def test_replies_of_another_kind_are_refused(reply, asking, model):
    model.replies = {digest_of(PIXELS[0]): (200, reply)}
    with pytest.raises(AnswerError, match="a reply is no chat completion"):
        asking()(IMAGES[:1])
    assert not list(asking().file.parent.glob("*.jsonl"))


def test_lines_that_were_cut_short_or_are_none_are_as_if_not_there(asking, model):
    network = asking()
    answers(network)
    lines = network.file.read_bytes().splitlines(keepends=True)
    strange = json.dumps({**json.loads(lines[3]), "answer": "zebra"}).encode() + b"\n"
    network.file.write_bytes(b"".join(lines[:3]) + strange + b"[]\n\xff\n{}\n" + b"".join(lines[4:20]) + lines[20][:30])
    assert answers(asking()) == EXPECTED
    assert len(model.asked) == 24 + 5
    assert answers(asking()) == EXPECTED
    assert len(model.asked) == 24 + 5
    assert len(asking()._kept) == 24


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"url": "http://me:pw@host/v1"}, "field 'url'"),
        ({"url": "file:///etc/passwd"}, "field 'url'"),
        ({"model": ""}, "field 'model'"),
        ({"question": "What is it?"}, "field 'question'"),
        ({"key": KEY}, "field 'key': expected: no such field; fields are url, model"),
        ({"body": {"n": 2}}, "body: without model, messages, stream and n"),
        ({"most_requests": None}, "most_requests, or most_cost with prices, is needed"),
        ({"most_requests": None, "most_cost": 1}, "most_requests, or most_cost with prices"),
        ({"concurrency": 99}, "field 'concurrency'"),
        ({"prices": [1, -1]}, r"field 'prices\.1'"),
    ],
)
def test_what_no_endpoint_says_is_refused(said, says, asking):
    with pytest.raises(CardError, match=rf"endpoint .*endpoint\.yml: .*{says}") as caught:
        asking(**said)
    assert "pw" not in str(caught.value)


def test_what_a_network_is_given_and_an_endpoint_is_not(asking, tmp_path):
    with pytest.raises(CardError, match="would choose among 1000 options"):
        asking(labels="imagenet1k")
    (tmp_path / "list.yaml").write_text("just a text")
    place = Place(tmp_path / "weights")
    for arch, weights, options, says in (
        ("api:", None, {}, "the whole description"),
        (f"api:{tmp_path}/endpoint.yml", "net.pt", {}, "leave --weights out"),
        (f"api:{tmp_path}/list.yaml", None, {}, "field 'url' is missing"),
        (f"api:{tmp_path}/gone.yaml", None, {}, "gone.yaml is not there"),
        (f"api:{tmp_path}/endpoint.yml", None, {"scale": 255.0}, "sent images as they are"),
    ):
        asking()
        with pytest.raises(CardError, match=says):
            register("vlm", arch, weights and tmp_path / weights, cards_folder=tmp_path, place=place, **options)


def test_registering_asks_four_pictures_and_says_what_it_can_do(asking, model, tmp_path):
    asking()
    place = Place(tmp_path / "weights")
    card, checks = register("vlm", f"api:{tmp_path}/endpoint.yml", labels="world16", cards_folder=tmp_path, place=place)
    assert all(check.ok for check in checks)
    assert len(model.asked) == 4
    assert (card.arch, card.source, card.options["api"]["model"]) == ("api:toy", "api", "toy")
    assert availability(card, place).on_disk
    loaded = load_model(card, place)
    dearer = card.model_copy(update={"options": {"api": {**card.options["api"], "most_requests": 7, "concurrency": 2}}})
    other = card.model_copy(update={"options": {"api": {**card.options["api"], "question": "{options}"}}})
    assert load_model(dearer, place).identity == loaded.identity != load_model(other, place).identity
    assert len(model.asked) == 4


CHILD = """
import sys
import torch
from test_chat import IMAGES, chat
from registry.cards import read_cards
from registry.files import Place
from registry.loading import load_model
from pathlib import Path
folder = Path(sys.argv[1])
load_model(read_cards(folder)["vlm"], Place(folder / "weights")).module(IMAGES)
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_asks_nothing_twice(end, asking, model, tmp_path):
    """The server holds back all answers after the eleventh until the process is gone."""
    asking(concurrency=3)
    place = Place(tmp_path / "weights")
    card, _ = register("vlm", f"api:{tmp_path}/endpoint.yml", labels="world16", cards_folder=tmp_path, place=place)
    model.asked.clear(), model.answered.clear()
    model.hold = 11
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, stderr=subprocess.PIPE) as child:
        file = load_model(card, place).module.file
        deadline = time.monotonic() + 120
        while len(file.read_bytes().splitlines()) < 4 + 11 and time.monotonic() < deadline:
            assert child.poll() is None, child.stderr.read().decode()
            time.sleep(0.02)
        child.send_signal(end)
        if end == signal.SIGINT:
            model.gate.set()
        child.wait(60)
    model.hold = None
    network = load_model(card, place).module
    assert len(network._kept) == 4 + 11
    assert answers(network) == EXPECTED
    assert sorted(model.answered) == sorted(map(digest_of, PIXELS))  # each once
