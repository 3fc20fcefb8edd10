"""Cards as they are read, written and chosen; cards, addresses and factories that mean harm."""

import os

import pytest
import torch
from torchvision import models

from registry.card_files import stated_cards
from registry.cards import Preprocess, builtin_cards, read_cards, select_cards, write_card
from registry.documents import MOST_BYTES
from registry.download import local_path, missing_weights, package_file
from registry.files import WeightSources
from registry.labels import label_space, read_mapping
from registry.loading import load_network
from registry.preprocessing import stated_input
from registry.user_errors import CardError, LabelError, UnknownName, WeightsError

GOOD = "name: mine\nsource: file\narch: timm:resnet18\nweights: net.pt\npreprocess: {size: 224, resize: 256}\n"
BAD = {
    "a word for a number": (GOOD.replace("224", "tall"), r"bad\.yaml .*field 'preprocess\.size'.*integer"),
    "a resize below the size": (GOOD.replace("256", "200"), "field 'preprocess'.*at least size"),
    "a deviation of 0": (GOOD.replace("256}", "256, std: [1, 0, 1]}"), r"'preprocess\.std.*greater than 0"),
    "a mean of two": (GOOD.replace("256}", "256, mean: [1, 2]}"), r"'preprocess\.mean.*is missing"),
    "no such source": (GOOD.replace("file", "cloud"), "'source'.*'timm'"),
    "no architecture": (GOOD.replace("arch: timm:resnet18\n", ""), "field 'arch' is missing"),
    "a name with a slash": (GOOD.replace("mine", "a/b"), "'name'.*letters, digits"),
    "an unknown field": (GOOD + "colour: red\n", "'colour'.*no such field"),
    "a short digest": (GOOD + "sha256: abc\n", "'sha256'.*pattern"),
    "no input": (GOOD.replace("preprocess: {size: 224, resize: 256}\n", ""), "cannot be used. preprocess: needed"),
    "defaults without a value": ("defaults:\ncards:\n- name: x\n", "'defaults': a mapping of fields"),
    "a date that is none": (GOOD + "paper: 2024-13-45\nyear: 2024-13-45\n", "field 'year'"),
    "nested without end": ("a: " + "[" * 200_000, "20 levels|not valid YAML"),
    "5,000 digits": (GOOD + "year: " + "9" * 5000, "cannot be read"),
    "an alias inside itself": ("a: &a [*a]", r"alias \(\*name\) is not read"),
    "an object": ("a: !!python/object/apply:os.mkdir [executed]", "not valid YAML"),
    "bytes": ("a: !!binary aGVsbG8=", "bytes"),
    "too large": ("a: " + "x" * (MOST_BYTES + 1), "larger than"),
    "no text": (b"\xff\xfe\x00\x01", "not valid YAML"),
    "an escape sequence": (GOOD + 'license: "\\e]0;owned\\a"', r"control character '\\x1b'"),
    "text that turns around": (GOOD + 'license: "\\u202eabc"', "control character"),
    "markup": (GOOD + 'training: ["[/]"]', "field 'training'"),
    "an infinite mean": (GOOD.replace("256}", "256, mean: [.nan, 0, 0]}"), "preprocess.mean"),
    "a huge input": (GOOD.replace("224", "999999").replace("256", "999999"), "preprocess.size"),
    "a pickle through timm": (GOOD + "options: {kwargs: {checkpoint_path: evil.pt}}", "may not set 'checkpoint_path'"),
    "a loader's settings": (GOOD + "options: {kwargs: {pretrained_cfg_overlay: {file: evil.pt}}}", "may not set"),
    "a path as a layer": (GOOD + "options: {kwargs: {act_layer: ../evil}}", "a word"),
    "a key that is no text": (GOOD + "options: {key: [1]}", r"options\.key"),
    "an address that climbs": (GOOD.replace("net.pt", "http://a/..%2F..%2Fevil.pt"), "plain file name"),
    "an address that is none": (GOOD.replace("net.pt", '"http://[::1"'), "field 'weights'"),
    "a package's parent": (GOOD.replace("net.pt", "package:timm/../../evil.pt"), "stays inside"),
    "a built-in file's parent": (GOOD.replace("net.pt", "builtin:../../evil.pt"), "stays inside"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_bad_card_is_named_and_left_out(what, tmp_path):
    text, message = BAD[what]
    content = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "bad.yaml").write_bytes(content)
    (tmp_path / "good.yaml").write_text(GOOD.replace("mine", "good"))
    shelf = read_cards(tmp_path)
    assert {"good", "resnet50"} <= set(shelf)  # a broken card hides no other
    ((name, error),) = shelf.broken.items()
    with pytest.raises(CardError, match=message):
        select_cards(name, shelf)
    assert len(str(error)) < 3000 and str(error).isprintable() and error.exit_code == 2


def test_a_pipe_as_a_card_or_mapping_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    assert "not a regular file" in str(read_cards(tmp_path).broken["pipe"])
    with pytest.raises(LabelError, match="not a regular file"):
        read_mapping(tmp_path / "pipe.yaml")


@pytest.mark.parametrize("weights", ["~nobody-at-all/net.pt", "x" * 300 + ".pt", "package:no_such/net.pt", "a\0b.pt"])
def test_weights_in_strange_places_are_just_not_there(weights, card, tmp_path):
    mine, place = card(None).model_copy(update={"weights": weights}), WeightSources(weights_folder=tmp_path)
    assert missing_weights(mine, place)
    with pytest.raises(WeightsError):
        load_network(mine, place)


def test_another_network_is_not_kept_and_the_right_one_is_recorded(served, tiny, card, tmp_path):
    (folder, url), place = served, WeightSources(weights_folder=tmp_path / "w")
    mine, path = card(f"{url}/net.pt"), local_path(f"{url}/net.pt", tmp_path / "w")
    torch.save({"other.weight": torch.zeros(3)}, folder / "net.pt")
    with pytest.raises(WeightsError, match="does not fit"):
        load_network(mine, place)
    assert list((tmp_path / "w").iterdir()) == []
    torch.save(tiny.state_dict(), folder / "net.pt")
    load_network(mine, place)
    assert sorted((tmp_path / "w").iterdir()) == [path, path.with_name(path.name + ".sha256")]
    torch.save({name: tensor + 1 for name, tensor in tiny.state_dict().items()}, path)
    with pytest.raises(WeightsError, match="SHA-256"):
        load_network(mine, place)
    assert path.is_file()


@pytest.mark.parametrize(("code", "message"), [
    ("def net(:\n", "SyntaxError"),
    ("import sys\nsys.exit('bye')\n", r"sys\.exit\('bye'\)"),
    ("1 / 0\n", "ZeroDivisionError"),
    ("import no_such_module\n", "No module named"),
    ("def net():\n    raise KeyError('x')\n", r"fails \(KeyError"),
    ("def net():\n    import sys; sys.exit(3)\n", r"fails \(its code called sys\.exit\(3\)"),
    ("def net(a, b):\n    pass\n", r"fails \(TypeError"),
    ("", "has no function 'net'"),
])  # fmt: skip
def test_a_factory_that_fails_in_any_way_is_one_error(code, message, card, tmp_path):
    file = tmp_path / f"zz_{tmp_path.name}.py"
    file.write_text(code)
    with pytest.raises(CardError, match=message):
        load_network(card(None, source="python", arch=f"python:{file}:net"), WeightSources(weights_folder=tmp_path))


def test_timm_is_asked_for_its_own_architectures_only(card, tmp_path):
    for source, arch, said in (
        *(("timm", f"timm:{name}", "no timm architecture") for name in ("local-dir:/tmp/evil", "hf-hub:a/b")),
        ("hub", "local-dir:/tmp/evil", "expected hf_hub:ORG/NAME"),
    ):
        with pytest.raises((CardError, UnknownName), match=said):
            load_network(card(None, source=source, arch=arch), WeightSources(weights_folder=tmp_path))


@pytest.mark.parametrize("inside", ["a**b/x", "/etc/passwd", "../timm/*.py", "x" * 5000, "[", "**/../../*/__init__.py"])
def test_a_package_gives_files_of_its_own_alone(inside):
    try:
        found = package_file(f"package:safetensors/{inside}", "pip install safetensors")
    except WeightsError:
        return
    assert "safetensors" in found.parts


def test_a_card_survives_writing_and_reading_and_its_paths_are_relative_to_it(tmp_path):
    card = builtin_cards()["efficientnet-lite1"].model_copy(update={"name": "other"})
    write_card(card, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["other.yaml"] and read_cards(tmp_path)["other"] == card
    with pytest.raises(CardError, match="exists already"):
        write_card(card, tmp_path)
    (tmp_path / "mine.yaml").write_text(GOOD + "labels: my.yaml\n")
    card = read_cards(tmp_path)["mine"]
    assert (card.weights, card.labels) == (str(tmp_path / "net.pt"), str(tmp_path / "my.yaml"))


def test_two_cards_of_one_name_are_left_out_with_both_places(tmp_path):
    for name, text in (("a", GOOD), ("b", GOOD), ("c", GOOD.replace("name: mine", "name: resnet50"))):
        (tmp_path / f"{name}.yaml").write_text(text)
    shelf = read_cards(tmp_path)
    assert shelf.keys() == stated_cards(tmp_path).keys() == builtin_cards().keys() - {"resnet50"}
    with pytest.raises(CardError, match=r"'mine' is taken twice: by .*b\.yaml and by .*a\.yaml"):
        select_cards("mine", shelf)
    with pytest.raises(CardError, match="the built-in cards"):
        select_cards("resnet50", shelf)


def test_choosing_by_name_glob_and_list():
    cards = builtin_cards()
    assert [c.name for c in select_cards("alexnet, ideal-s*", cards)] == ["alexnet", "ideal-shape"]
    assert [c.name for c in select_cards(["vgg16", "vgg*"], cards)] == ["vgg16"]
    assert len(select_cards("world-*", cards)) == 19
    with pytest.raises(UnknownName, match="Did you mean: resnet50"):
        select_cards("resnet-50", cards)


def test_built_in_cards_are_complete_and_say_what_their_libraries_say():
    for card in builtin_cards().values():
        assert card.license and card.description
        if card.source == "ideal":
            continue
        assert label_space(card.labels) and card.training
        assert card.name.startswith("world-") or (card.paper and card.year)
        if card.source == "torchvision":
            entry = models.get_model_weights(card.arch.partition(":")[2])[card.weights]
            assert entry.url.endswith("/" + card.options["file"])
            top1 = entry.meta["_metrics"]["ImageNet-1K"]["acc@1"]
            assert card.reported[0].value == pytest.approx(top1, abs=0.01)
            how = entry.transforms()
            assert [card.preprocess.size, card.preprocess.resize] == [*how.crop_size, *how.resize_size]
        elif card.source == "timm":
            assert card.preprocess == Preprocess(**stated_input(card.arch).fields), card.name
