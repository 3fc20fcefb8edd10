"""Downloads against a server on this machine: mirrors, digests, and never half a file."""

import hashlib

import pytest
import torch
from file_server import CONTENT, Server
from pydantic import ValidationError

from registry.cards import read_cards, rename_card, write_card
from registry.download import fetch, local_path
from registry.errors import WeightsError
from registry.files import Place, digest_state
from registry.foreign import problems
from registry.loading import load_model

DIGEST = hashlib.sha256(CONTENT).hexdigest()


def test_a_download_is_checked_and_kept(served, tmp_path):
    _, url = served
    path = fetch(f"{url}/net.pt?token=1", tmp_path / "w", DIGEST)
    assert path == local_path(f"{url}/net.pt", tmp_path / "w")
    assert path.read_bytes() == CONTENT
    assert fetch(f"{url}/net.pt", tmp_path / "w", DIGEST) == path
    assert len(Server.asked) == 1


def test_another_digest_leaves_nothing_behind(served, tmp_path):
    _, url = served
    with pytest.raises(WeightsError) as caught:
        fetch(f"{url}/net.pt", tmp_path / "w", "0" * 64)
    for part in (f"expected SHA-256 {'0' * 64}", f"got {DIGEST}", f"{url}/net.pt", "was not used"):
        assert part in str(caught.value)
    assert list((tmp_path / "w").iterdir()) == []


def test_a_mirror_is_asked_first(served, tmp_path):
    folder, url = served
    far = "http://127.0.0.1:9/elsewhere/net.pt"
    assert fetch(far, tmp_path / "a", DIGEST, mirror=str(folder)).read_bytes() == CONTENT
    assert Server.asked == []
    assert fetch(far, tmp_path / "b", DIGEST, mirror=url + "/").read_bytes() == CONTENT
    empty = tmp_path / "empty"
    empty.mkdir()
    assert fetch(f"{url}/net.pt", tmp_path / "c", DIGEST, mirror=str(empty)).is_file()
    (folder / "net.pt").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="expected"):
        fetch(far, tmp_path / "d", DIGEST, mirror=str(folder))


@pytest.mark.slow
def test_a_login_and_a_query_are_used_and_told_nobody(served, tiny, card, tmp_path):
    folder, url = served
    torch.save({"state_dict": tiny.state_dict()}, folder / "tiny.pt")
    Server.logins.clear()
    secret = url.replace("://", "://me:hunter2@") + "/tiny.pt?token=s3cret"
    mine, weights = card(secret), Place(tmp_path / "weights")
    assert load_model(mine, weights).digest == digest_state(tiny.state_dict())
    assert Server.logins == ["Basic bWU6aHVudGVyMg=="] and Server.asked[-1].endswith("token=s3cret")
    (folder / "tiny.pt").unlink()
    shown = [repr(mine), str(mine.model_dump()), mine.model_dump_json()]
    shown += [path.read_text() for path in (tmp_path / "weights").glob("*.json")]
    for mirror in (None, url.replace("://", "://me:hunter2@") + "/m?token=s3cret"):
        with pytest.raises(WeightsError, match=f"{url}/tiny.pt: HTTP status 404") as raised:
            load_model(mine, Place(tmp_path / "other", mirror))
        shown.append(str(raised.value))
    with pytest.raises(ValidationError) as refused:
        card("http://me:hunter2@h/.pt?k=s3cret")
    shown.append(problems(refused.value, [])[0])
    assert not [text for text in shown if "hunter2" in text or "s3cret" in text]


def test_a_card_keeps_its_login_in_its_own_file(card, tmp_path):
    secret = "https://me:hunter2@host/net.pt?token=s3cret"
    write_card(card(secret), tmp_path)
    renamed = rename_card("mine", "yours", tmp_path)
    assert read_cards(tmp_path)["yours"].address == renamed.address == secret
    assert renamed.weights == "https://host/net.pt"
