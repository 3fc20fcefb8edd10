"""BibTeX of what a table rests on, from the data of the package."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchmark.contracts.declarations import package_data
from benchmark.leaderboard import boards
from benchmark.leaderboard.citations import bibliography, short_citations, works_of
from registry.cards import builtin_cards

GEIRHOS = (
    "@inproceedings{geirhos2019imagenet,\n  author = {Geirhos and others},\n  title = {{ImageNet-trained CNNs are "
    "biased towards texture; increasing shape bias improves accuracy and robustness}},\n  booktitle = {ICLR},\n"
    "  year = {2019},\n  eprint = {1811.12231},\n  archiveprefix = {arXiv},\n}\n"
)


def test_a_board_cites_its_suite_stimuli_answers_and_networks(score, suite, sets):
    rows = [score("net", 60, 180), score("theirs", 70, 180, kind="published"), score("person", 170, 180, kind="human")]
    sources = {"net": "file", "theirs": "vlm_shapebias", "person": "model-vs-human"}
    papers = {"net": "He et al. (2016). Deep {residual} learning & more. IJCV 115. doi:10.1/x_y"}
    cards = {name: {"source": source, "paper": papers.get(name)} for name, source in sources.items()}
    observers = {name: SimpleNamespace(card=card) for name, card in cards.items()}
    suite.citations = ("Somebody and Other (2020). Are two halves one? arXiv:2001.00001",)
    works = works_of(boards(rows, suite, sets), observers, [suite])
    text = bibliography(works)
    assert "% stimuli cue-conflict\n" + GEIRHOS in text and text.count("@") == 6
    assert "% suite cue-conflict\n@misc{somebody2020halves,\n  author = {Somebody and Other},\n" in text
    assert "  journal = {IJCV},\n  volume = {115},\n  year = {2016},\n  doi = {10.1/x_y},\n" in text
    assert "title = {{Deep residual learning \\& more}}" in text and "% answers of model-vs-human\n" in text
    assert short_citations(works) == (
        "Somebody and Other (2020), Geirhos et al. (2019), Gavrikov et al. (2024), Geirhos et al. (2021)"
    )
    world = [replace(board, space="world16") for board in boards(rows, suite, sets)]  # its images are the package's own
    assert "stimuli" not in bibliography(works_of(world, {}, []))


@pytest.mark.parametrize("kind", ["catalogue", "cards"])
def test_every_citation_of_the_package_has_authors_year_and_title(kind):
    sets = package_data("benchmark.stimuli", "catalogue")
    texts = [row["citation"] for name, row in sets.items() if name not in ("groups", "shared") and "citation" in row]
    if kind == "cards":
        texts = [card.paper for card in builtin_cards().values() if card.paper]
    made = bibliography({text: [] for text in texts})
    assert "note" not in made and "{work" not in made and len({*texts}) > 8
    keys = [line for line in made.splitlines() if line.startswith("@")]
    assert len({*keys}) == len(keys)
