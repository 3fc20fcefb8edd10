"""Images and everybody's answers: which are hard for people, which for networks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.display import printable
from benchmark.report.answers import (
    NETWORKS,
    PEOPLE,
    SIMULATED,
    Answers,
    common_answers,
    telling,
)
from benchmark.report.contents import Contents
from benchmark.report.writing import Site, short, slug

FIRST = 0x30  # the character "0"
NAMES = (
    *(
        "image",
        "category",
        "shape",
        "texture",
        "people_right",
        "people",
        "networks_right",
        "networks",
    ),
    *("people_minus_networks", "people_answers", "network_answers"),
    *("simulated_right", "simulated", "simulated_answers"),
)


@dataclass(frozen=True)
class Picture:
    """An image: shares of right answers as texts, "" where nobody of the group saw it; people: simulated ones where the
    sheet has no others. index: in the page's data."""

    index: int
    name: str
    truth: str
    people: str
    networks: str
    gap: str
    said_people: str
    said_networks: str
    thumbnail: str


@dataclass(frozen=True)
class Sheet:
    """A role as a page shows it. crowd: what the people of its columns are called, "" where there are none; answers:
    JSON for the script: observers, words, and codes by image."""

    key: str
    title: str
    total: int
    people: int
    simulated: int
    networks: int
    crowd: str
    pictures: Sequence[Picture]
    answers: str
    data: str
    credit: str


def explorer(
    site: Site,
    contents: Contents,
    thumbnails: Mapping[tuple[str, str], str],
    credits: Mapping[str, str],
) -> None:
    """stimuli/ROLE-SPACE.html and an index. thumbnails: (key of the role, image) -> path in the report;
    credits: key -> whose pictures they are."""
    sheets = []
    for answers in contents.answers:
        data = f"data/stimuli-{slug(answers.key)}.csv"
        site.table(data, records(answers), NAMES)
        sheets.append(_sheet(answers, data, thumbnails, credits.get(answers.key, "")))
    links = [(sheet.title, f"stimuli/{slug(sheet.key)}.html", sheet) for sheet in sheets]
    for sheet in sheets:
        page = f"stimuli/{slug(sheet.key)}.html"
        site.page(
            page,
            "stimuli.html",
            title=f"Stimuli: {sheet.title}",
            sheet=sheet,
            links=links,
            here=page,
        )
    if sheets:
        site.page("stimuli.html", "stimuli_index.html", title="Stimuli", links=links)


def records(answers: Answers) -> Iterator[dict[str, Any]]:
    """One record per image."""
    people, networks = answers.group(PEOPLE), answers.group(NETWORKS)
    human, k = answers.share(people)
    machine, m = answers.share(networks)
    simulated = answers.group(SIMULATED)
    drawn, s = answers.share(simulated)
    for at, image in enumerate(answers.images.tolist()):
        yield {
            "image": image,
            **{name: column[at] for name, column in answers.labels.items()},
            "people_right": _or_none(human[at]),
            "people": int(k[at]),
            "networks_right": _or_none(machine[at]),
            "networks": int(m[at]),
            "people_minus_networks": _or_none(human[at] - machine[at]),
            "people_answers": _said(answers, at, people),
            "network_answers": _said(answers, at, networks),
            "simulated_right": _or_none(drawn[at]),
            "simulated": int(s[at]),
            "simulated_answers": _said(answers, at, simulated),
        }


def _sheet(
    answers: Answers, data: str, thumbnails: Mapping[tuple[str, str], str], credit: str
) -> Sheet:
    (people, called), networks = answers.crowd, answers.group(NETWORKS)
    human, _ = answers.share(people)
    machine, _ = answers.share(networks)
    chosen = telling(answers)
    pictures = []
    for index, at in enumerate(chosen):
        image = str(answers.images[at])
        pictures.append(
            Picture(
                index=index,
                name=image,
                truth=_truth(answers, at),
                people=_share(human[at]),
                networks=_share(machine[at]),
                gap=_share(human[at] - machine[at]),
                said_people=_said(answers, at, people),
                said_networks=_said(answers, at, networks),
                thumbnail=thumbnails.get((answers.key, image), ""),
            )
        )
    return Sheet(
        key=answers.key,
        title=f"{answers.role}, {answers.space}",
        total=len(answers.images),
        people=int(answers.group(PEOPLE).sum()),
        simulated=int(answers.group(SIMULATED).sum()),
        networks=int(networks.sum()),
        crowd=called if people.any() else "",
        pictures=pictures,
        answers=_data(answers, chosen),
        data=data,
        credit=credit,
    )


def _data(answers: Answers, chosen: Sequence[int]) -> str:
    """JSON that cannot leave its element: "<" is written as an escape. Answers are one character each, from `FIRST`:
    not shown, then the words in order."""
    codes = [
        "".join(chr(FIRST + 1 + code) for code in answers.code[:, at].tolist()) for at in chosen
    ]
    held = {
        "observers": [printable(name) for name in answers.observers],
        "pages": [page if (page := slug(name)) != name else 0 for name in answers.observers],
        "kinds": "".join(map(_letter, answers.kinds)),
        "words": [printable(word) for word in answers.words],
        "category": [printable(str(answers.labels["category"][at])) for at in chosen],
        "codes": codes,
    }
    return json.dumps(held, separators=(",", ":")).replace("<", "\\u003c")


def _letter(kind: str) -> str:
    """What stands for a kind of observers in the page's data."""
    groups = {"p": PEOPLE, "s": SIMULATED, "n": NETWORKS}
    return next((letter for letter, kinds in groups.items() if kind in kinds), "i")


def _truth(answers: Answers, at: int) -> str:
    shape, texture = (str(answers.labels[name][at]) for name in ("shape", "texture"))
    category = str(answers.labels["category"][at])
    return (
        f"{category} (texture: {texture})"
        if texture and texture != category and shape == category
        else category
    )


def _said(answers: Answers, at: int, members: NDArray[np.bool_]) -> str:
    return ", ".join(f"{word} {count}" for word, count in common_answers(answers, at, members))


def _share(value: float) -> str:
    return "" if np.isnan(value) else short(float(value))


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
