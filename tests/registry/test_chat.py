"""An endpoint of chat completions as an observer: a server on this machine plays the model."""

import json
from contextlib import nullcontext

import pytest
import torch
import yaml
from chat_server import Model, digest_of, serving

from registry.cards import Preprocess
from registry.families import chat
from registry.files import WeightSources
from registry.labels import label_space
from registry.loading import load_network
from registry.register import drafted_card, register
from registry.user_errors import AnswerError, CardError

WORDS = label_space("world16").classes
KEY = "sk-very-secret"
IMAGES = torch.randint(0, 256, (24, 3, 8, 8), generator=torch.Generator().manual_seed(0)).float() / 255
NAMES = [digest_of((image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()) for image in IMAGES]
EXPECTED = [at % 16 for at in range(24)]


@pytest.fixture
def model():
    return Model({name: f" {WORDS[at].capitalize()}.\n" for name, at in zip(NAMES, EXPECTED, strict=True)})


@pytest.fixture
def asking(model, tmp_path, monkeypatch):
    monkeypatch.setattr(chat, "PAUSE", 0.001)
    with serving(model) as url:

        def make(secret=KEY, labels="world16", sha256=None, **said):
            file = tmp_path / "endpoint.yml"
            file.write_text(yaml.safe_dump({"url": url, "model": "toy", "most_requests": 999, "retries": 3, **said}))
            keys = {"BENCH_KEY_" + url.split("/")[2].replace(".", "_").replace(":", "___"): secret}
            place = WeightSources(weights_folder=tmp_path / "weights", secret=keys.get)
            draft = chat.describe(chat.Draft(name="vlm", arch=f"api:{file}", labels=labels), tmp_path, place)
            card = drafted_card(draft, Preprocess(size=8, resize=8, mean=(0, 0, 0), std=(1, 1, 1)))
            return chat.network(card.model_copy(update={"sha256": sha256}), place, 17, bare=False)[0]

        yield make


def answers(network, images=IMAGES):
    return network(images).argmax(1).tolist()


def test_each_image_is_asked_once_with_its_own_order_of_the_options(asking, model):
    assert answers(asking(), torch.cat([IMAGES, IMAGES[:5]])) == EXPECTED + EXPECTED[:5]
    assert sorted(digest for digest, _ in model.asked) == sorted(NAMES)
    listed = {digest: text.partition(": ")[2].partition("?")[0].split(", ") for digest, text in model.asked}
    assert all(sorted(options) == sorted(WORDS) for options in listed.values())
    assert len({tuple(options) for options in listed.values()}) == 24
    assert len({options.index("dog") for options in listed.values()}) > 8  # anywhere
    assert answers(asking()) == EXPECTED  # what is kept is read
    assert len(model.asked) == 24
    answers(asking(question="What is it? {options}"))
    assert {digest: text.removeprefix("What is it? ").split(", ") for digest, text in model.asked[24:]} == listed
    assert [model.bodies[0][name] for name in ("model", "temperature", "max_tokens")] == ["toy", 0, 16]


@pytest.mark.slow
def test_busy_and_broken_endpoints_are_asked_again_and_then_it_ends(asking, model):
    model.faults = [429, 500, 503, 408, 429]
    assert answers(asking(concurrency=1, retries=5), IMAGES[:10]) == EXPECTED[:10]
    assert (len(model.asked), len(model.headers)) == (10, 15)
    model.faults = [500] * 99
    busy = r"no answer from http://127.0.0.1:\d+/v1/chat/completions \(status 500\): busy"
    with pytest.raises(AnswerError, match=busy):
        asking(concurrency=1, retries=1)(IMAGES)
    assert len(model.headers) == 17
    model.faults = []
    assert answers(asking()) == EXPECTED and len(model.asked) == 24
    with pytest.raises(AnswerError, match=r"no answer from http://127.0.0.1:1/chat.*.*no connection to that host\.$"):
        asking(url="http://127.0.0.1:1", retries=1)(IMAGES[:1])


@pytest.mark.parametrize(("sha256", "requests"), [(None, 1), ("0" * 64, 4)])
def test_silence_is_waited_for_in_runs_and_hardly_at_registration(asking, model, sha256, requests):
    model.hold = 0
    with pytest.raises(AnswerError, match=r"no answer from .*timed out"):
        asking(sha256=sha256, timeout=0.05)(IMAGES[:1])
    assert len(model.headers) == requests


@pytest.mark.parametrize("start", ["HTTP/1.1 200 OK\r\nX-", "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"])
def test_a_reply_that_drips_ends_in_time(start, asking, model):
    model.drip = start.encode()
    with pytest.raises(AnswerError, match=r"timed out, not done after 0\.2 s"):
        asking(timeout=0.2)(IMAGES[:1])


def test_retries_and_failures_of_earlier_runs_count_as_requests(asking, model):
    model.faults = [500] * 3
    with pytest.raises(AnswerError, match="reached its cap, 5 requests: 2 replies kept"):
        asking(most_requests=5, concurrency=1)(IMAGES)
    with pytest.raises(AnswerError, match="reached its cap, 5 requests"):
        asking(most_requests=5)(IMAGES[5:])
    assert len(model.headers) == 5
    with pytest.raises(AnswerError, match="6 requests: 3 replies"):
        asking(most_requests=6, concurrency=1)(IMAGES)


def test_answers_are_read_strictly(asking, model):
    dog = WORDS.index("dog")
    messages = [
        ({"content": "DOG"}, dog), ({"content": '"dog".'}, dog), ({"content": [{"type": "text", "text": "dog"}]}, dog),
        *(({"content": text}, 16) for text in ("It is a dog", "dog, cat", "puppy", None)),
        ({"content": "dog", "refusal": "No."}, 16),
    ]  # fmt: skip
    replies = [({"message": message}, answer) for message, answer in messages]
    replies.append(({"message": {"content": "dog"}, "finish_reason": "content_filter"}, 16))
    model.replies = {name: (200, {"choices": [reply]}) for name, (reply, _) in zip(NAMES, replies, strict=False)}
    network = asking()
    assert answers(network, IMAGES[:9]) == [answer for _, answer in replies]
    assert network.remark.startswith("9 replies kept, 6 of them no answer (2 refused, 4 none of the options)")


def test_another_model_behind_the_name_is_found_without_a_request_of_its_own(asking, model):
    network = asking(concurrency=1)
    answers(network, IMAGES[:10])
    model.served = "toy-2"
    assert answers(network, IMAGES[:10]) == EXPECTED[:10]
    with pytest.raises(AnswerError, match="answered by 'toy-2' now and was by 'toy-1' before"):
        asking(concurrency=1)(IMAGES)
    assert len(model.asked) == 11


@pytest.mark.parametrize("status", [200, 401])
def test_a_key_that_comes_back_is_neither_kept_nor_shown(status, asking, model):
    said = f"I was given {KEY}, I think."
    model.served = said
    model.replies[NAMES[0]] = (status, {"error": {"message": said}, **model.reply("")[1]})
    model.truth[NAMES[1]] = said
    with pytest.raises(AnswerError) if status == 401 else nullcontext() as caught:
        asking(retries=0)(IMAGES[:1])
    network = asking()
    network(IMAGES[1:2])
    shown = network.file.read_text() + str(caught.value if caught else "")
    assert "I was given ***, " in shown
    assert KEY not in shown
    assert network.file.stat().st_mode & 0o777 == 0o600


def test_the_key_goes_to_its_host_and_nowhere_else(asking, model, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password other-secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    network = asking()
    network(IMAGES[:1])
    assert model.headers[0]["Authorization"] == f"Bearer {KEY}"
    asking(secret=None)(IMAGES[1:2])
    assert "Authorization" not in model.headers[1]
    model.replies[NAMES[2]] = (401, {"error": {"message": f"Incorrect key {KEY}."}})
    shown = r"401\): Incorrect key \*\*\*\..*BENCH_KEY_127_0_0_1___\d+ \(set\)"
    with pytest.raises(AnswerError, match=shown) as caught:
        network(IMAGES[2:3])
    with pytest.raises(AnswerError, match=r"BENCH_KEY_127_0_0_1___\d+ \(not set\)"):
        asking(secret="")(IMAGES[2:3])
    with pytest.raises(AnswerError, match="holds characters that no key has") as odd:
        asking(secret=f"{KEY}\nX: y")
    assert KEY not in str(caught.value) + str(odd.value)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY.encode() not in written
    hosts = ("api.openai.com", "api-openai.com", "api.openai-com", "api--openai.com", "api.openai.com:443", "a.b.c-d:1")
    variables = [chat.Endpoint(url=f"https://{host}/v1", model="x", most_requests=0).variable for host in hosts]
    assert variables[0] == "BENCH_KEY_API_OPENAI_COM" and len(set(variables)) == len(hosts)


@pytest.mark.parametrize("reply", [[], {"choices": []}, {"choices": [{"message": {"content": [7]}}]}])
def test_replies_of_another_kind_are_refused(reply, asking, model):
    model.replies = {NAMES[0]: (200, reply)}
    with pytest.raises(AnswerError, match="a reply is not a chat completion"):
        asking()(IMAGES[:1])
    assert asking()._kept == {}


def test_lines_that_were_cut_short_or_are_none_are_as_if_not_there(asking, model):
    network = asking()
    answers(network)
    lines = network.file.read_bytes().splitlines(keepends=True)
    strange = json.dumps({**json.loads(lines[3]), "answer": "zebra"}).encode() + b"\n"
    network.file.write_bytes(b"".join(lines[:3]) + strange + b"[]\n\xff\n{}\n" + b"".join(lines[4:20]) + lines[20][:30])
    for _ in range(2):
        assert answers(asking()) == EXPECTED and len(model.asked) == 24 + 5
    assert len(asking()._kept) == 24


@pytest.mark.parametrize(("said", "says"), [
    *(({"url": url}, r"url: http\(s\)://HOST") for url in (
        "http://me:pw@host/v1", "file:///etc/passwd", "https://a..b/v1", "https://a\\b.com/v1")),
    ({"model": ""}, "field 'model'"),
    ({"question": "What is it?"}, "question: a text with {options} once"),
    ({"key": KEY}, "field 'key': expected: no such field; fields are url, model"),
    ({"body": {"n": 2}}, "body: no model, messages, stream and n"),
    ({"most_requests": None}, "field 'most_requests'"),
    ({"concurrency": 99}, "field 'concurrency'"),
    ({"labels": "imagenet1k"}, "would choose among 1000 options"),
])  # fmt: skip
def test_what_no_endpoint_says_is_refused(said, says, asking):
    with pytest.raises(CardError, match=says) as caught:
        asking(**said)
    assert "pw" not in str(caught.value)


def test_registering_asks_four_pictures_and_caps_are_not_of_the_identity(asking, model, tmp_path):
    asking()
    place = WeightSources(weights_folder=tmp_path / "weights")
    shelf = {"labels": "world16", "cards_folder": tmp_path / "cards", "place": place}
    for arch, more, says in (
        ("api:", {}, "describes the endpoint"), (f"api:{tmp_path}/gone.yml", {}, "gone.yml is not there"),
        (f"api:{tmp_path}/endpoint.yml", {"scale": 255.0}, "sent images as they are"),
    ):  # fmt: skip
        with pytest.raises(CardError, match=says):
            register("vlm", arch, **shelf, **more)
    card, checks = register("vlm", f"api:{tmp_path}/endpoint.yml", **shelf)
    assert all(check.ok for check in checks)
    assert (card.arch, card.source, card.gradients) == ("api:toy", "api", False)
    said = card.options["api"]
    cards = [card.model_copy(update={"options": {"api": {**said, **more}}}) for more in (
        {"most_requests": 7, "concurrency": 2}, {"question": "{options}"}, {"body": {}}, {"model": "other"},
    )]  # fmt: skip
    same, *others = (load_network(each, place).identity for each in cards)
    assert same == load_network(card, place).identity not in others and len(set(others)) == 3
    assert len(model.asked) == 4
