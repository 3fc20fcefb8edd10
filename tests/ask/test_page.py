"""The page as text: its policy, its languages, consent forms that would do something if they were not shown as text."""

import base64
import hashlib
import io
import json
import re

import numpy as np
import pytest
import yaml
from PIL import Image

from benchmark.ask.serving import LANGUAGES, ask, page, read_language, render_markdown
from benchmark.failures import BenchError
from benchmark.stimuli.datasets import sample
from benchmark.stimuli.world.sets import generated_set

HOSTILE = (
    "# <script>alert(1)</script>\n\n![x](http://e.example/x.png) [y](javascript:alert(1)) <img src=x onerror=alert(1)>"
)


def test_the_page_has_its_pinned_programs_and_its_images_and_names_no_other_host(session):
    built = page(session(trials=4))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', built)
    scripts = re.findall(r"<script>(.*?)</script>", built, re.S)
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    assert len(scripts) == 2 and all(f"'sha256-{digest}'" in policy for digest in digests)
    assert "default-src 'none'" in policy and "connect-src 'none'" in policy and "unsafe" not in policy
    assert "http" not in policy
    digest = hashlib.sha256(scripts[0].encode()).hexdigest()
    assert digest == "89073fe5c6cdef511a9f7e1e2138e4118753f5a435d2583e39ec255926985bae"
    assert "Permission is hereby granted, free of charge" in built and "sourceMappingURL" not in built
    (data,) = re.findall(r'id="plan">(.*?)</script>', built, re.S)
    stimuli = sample(generated_set("world-edges"), 4)
    for at, address in enumerate(json.loads(data)["pictures"]):
        image = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
        assert (np.asarray(image) == stimuli.decode(at)).all()


@pytest.mark.slow
def test_a_later_session_shows_the_next_images_at_the_angle_that_was_asked_for():
    one, two = (ask("world-edges", trials=4, session=number, degrees=2 * number).session for number in (1, 2))
    assert one.stimuli.ids + two.stimuli.ids == sample(generated_set("world-edges"), 8).ids
    assert (one.plan["degrees"], two.plan["degrees"]) == (2, 4)


def test_a_consent_form_is_text_and_no_text_leaves_its_element(session, tmp_path):
    form = tmp_path / "consent.md"
    form.write_text(f"{HOSTILE}\n\n- **yes**\n")
    html = render_markdown("", form)
    assert "<script" not in html and "<img" not in html and 'href="javascript' not in html
    assert "<strong>yes</strong>" in html and "&lt;script&gt;" in html
    form.write_bytes(b"\xff\xfe")
    with pytest.raises(BenchError, match="UTF-8"):
        render_markdown("", form)
    hostile = "</script><script>alert(1)</script>"
    (tmp_path / "consent.md").write_text(hostile)
    own = {**read_language("en"), "agree": hostile, "noScript": f"</noscript>{hostile}"}
    own["titles"] = {**own["titles"], "main": f"</title>{hostile}"}
    (tmp_path / "nl.yaml").write_text(yaml.safe_dump(own))
    forms = {"consent": tmp_path / "consent.md", "debrief": tmp_path / "consent.md"}
    html = page(session(trials=2), language=str(tmp_path / "nl.yaml"), **forms)
    assert html.count("<script") == html.count("</script>") == 3 and html.count("</title>") == 1


@pytest.mark.parametrize("name", LANGUAGES)
def test_languages_say_everything(name):
    text, form = read_language(name), read_language("en")
    assert text.keys() == form.keys()
    for key, line in form.items():
        holes = re.findall(r"\{\w+\}", str(line))
        assert sorted(re.findall(r"\{\w+\}", str(text[key]))) == sorted(holes), key
    assert len(set(text["keys"])) == len(set(text["categories"])) == 16


def test_a_language_of_ones_own_is_checked_and_taken(tmp_path):
    path = tmp_path / "nl.yaml"
    own = {**read_language("en"), "title": "Wat ziet u?"}
    own.pop("code")
    for change, message in (
        ({"agree": None}, "'agree' is missing"),
        ({"buttons": {"start": "Begin"}}, "'buttons' is missing, or not as in en.yaml"),
        ({"keys": "1234"}, "'keys'"),
        ({"categories": ["a"]}, "'categories' is missing, or not as in en.yaml"),
        ({"instructions": "look"}, "'instructions'"),
        ({"direction": "up"}, "expected ltr or rtl"),
    ):
        path.write_text(yaml.safe_dump({key: value for key, value in {**own, **change}.items() if value is not None}))
        with pytest.raises(BenchError, match=message):
            read_language(str(path))
    path.write_text(yaml.safe_dump(own))
    assert read_language(str(path))["title"] == "Wat ziet u?" and read_language(str(path))["code"] == "nl"
    with pytest.raises(BenchError, match="no language 'xx'"):
        read_language("xx")
