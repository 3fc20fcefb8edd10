"""The protocols of the suite's variants: literals."""

from suites.corruption import SUITE

HUMAN = (
    *("colour", "contrast", "uniform-noise", "salt-and-pepper", "low-pass", "high-pass"),
    *("phase-scrambling", "power-equalisation", "rotation", "false-colour"),
)
SWEEPS = {
    "": {},
    "quick": {"severities": ("1", "3", "5"), "images": 500},
    "jpeg85": {"jpeg85": True},
    "rounded": {"quantise": "round"},
    "bicubic": {"resize": "bicubic"},
    "extra": {"corruptions": ("extra",)},
    "human": {"source": "human", "corruptions": HUMAN},
    "eidolon": {"source": "human", "corruptions": ("eidolon",)},
    "stylized-imagenet": {},
    "suppression": {},
    "critical-bands": {},
    "laion-c-generated": {"source": "laion-c", "corruptions": ("all",)},
}
FOLDERS = {"imagenet-c": ("common",), "imagenet-c-bar": ("all",), "imagenet-3dcc": ("all",), "laion-c": ("all",)}


def test_folders_are_shown_under_their_own_role():
    for name, corruptions in FOLDERS.items():
        suite = SUITE.variants[name]
        assert vars(suite.config) == {"role": name, "corruptions": corruptions, "references": ("alexnet",)}
        assert suite.spaces == ("imagenet1k",) and {metric.role for metric in suite.metrics} == {""}
    natural = {"imagenet-a", "imagenet-r", "imagenet-sketch", "imagenet-v2", "objectnet"}
    assert set(SUITE.variants) == {*SWEEPS, *FOLDERS, *natural} - {""}


def test_corruptions_of_other_packages_are_a_variant_with_their_names(monkeypatch):
    import suites.corruption as room

    assert "plugins" not in room._variants()
    monkeypatch.setattr(room, "plugin_names", lambda: ("rain", "dust"))
    made = room._variants()["plugins"]
    assert made.name == "corruption:plugins"
    assert made.summary == "Corruptions of other packages: rain, dust"
    assert (made.config.source, made.config.corruptions) == ("plugins", ("all",))
