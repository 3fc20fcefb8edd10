"""An attack as `bench suites new` writes it: installed, run, ranked on a board of its own."""

import json

import pytest

from benchmark.templates import write_package

pytestmark = pytest.mark.slow


@pytest.fixture
def installed(tmp_path):
    """The folder of the template package, with what pip leaves beside it."""
    write_package("my-attack", "attack", tmp_path)
    folder = tmp_path / "my-attack"
    info = folder / "my_attack-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-attack\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[bench.attacks]\nmy-attack = my_attack:ATTACK\n")
    return folder


def test_from_the_template_to_a_board(installed, bench_with):
    run = "run -s adversarial:my-attack -m world-standard-0 --limit 24 -q"
    shown, checked, ran, ended = bench_with(
        installed,
        "suites show adversarial",
        "suites check adversarial:my-attack",
        run,
        "export -s adversarial:my-attack --format json",
    )
    assert "variant adversarial:my-attack: one random step, of another package, alone" in shown.stdout
    assert checked.returncode == 0 and "FAIL" not in checked.stdout
    assert ran.returncode == 0, ran.stderr
    (board,) = json.loads(ended.stdout)
    assert board["suite"] == "adversarial:my-attack"
    (gone,) = bench_with(installed.parent, run)
    assert gone.returncode == 2 and "adversarial:my-attack" in gone.stderr
