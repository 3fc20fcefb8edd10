"""Imported observers that answered a part of the images, or images of their own: which tables lack them, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from benchmark.contracts import Suite
from benchmark.engine.imported_trials import (
    Images,
    Remembered,
    commonest,
    imported_groups,
    imported_roles,
    main_answers,
)
from registry.errors import some_of

if TYPE_CHECKING:
    from benchmark.store import Standings, Store, StoredObservation

_SHOWN = 6  # names in a line


def left_out(store: Store, experiments: Iterable[str]) -> list[str]:
    """Lines on each experiment in which observers lack images that most of their source answered: no table has them,
    or in case of people none has them in their group.
    """
    groups, current, known = imported_groups(store), main_answers(store), Remembered(store)
    lines: list[str] = []
    for role in experiments:
        answers = {name: roles[role] for name, roles in current.items() if role in roles}
        ids = {one.stimuli: known.images(one.stimuli) for one in answers.values()}
        lines += _lines(role, answers, groups, ids)
    return lines


def partial_people(
    store: Standings, suite: Suite, boards: Iterable[Mapping[str, str]]
) -> list[Mapping[str, Mapping[str, str]]]:
    """Of each board (role -> set of its images): role -> people who answered a part of that set -> how much of it.
    No table has them there: an observer is compared on all images of a set or on none.
    """
    people = {note.name for note in store.observer_notes() if note.kind == "human"}
    answers = {
        name: roles for name, roles in imported_roles(store, suite).items() if name in people
    }
    ids = Images(store)
    return [
        {
            role: found
            for role, digest in board.items()
            if (found := dict(_parts(answers, role, digest, ids)))
        }
        for board in boards
    ]


def _parts(
    answers: Mapping[str, Mapping[str, StoredObservation]], role: str, digest: str, ids: Images
) -> Iterator[tuple[str, str]]:
    for name, roles in sorted(answers.items()):
        if role in roles and roles[role].stimuli != digest:
            wanted = ids.images(digest)
            own = ids.images(roles[role].stimuli)
            shared = len(wanted & own)
            # Who mostly saw other images took part in another experiment, with a few images in common.
            if shared < len(wanted) and 2 * shared > len(own):
                yield name, f"{shared} of {len(wanted)}"


def partial_line(found: Mapping[str, Mapping[str, str]]) -> str:
    """The people of a board who are not compared there, counted and named; "" where there are none."""
    names = dict.fromkeys(name for people in found.values() for name in people)
    if not names:
        return ""
    told = [
        f"{name} ({', '.join(f'{role} {people[name]}' for role, people in found.items() if name in people)})"
        for name in names
    ]
    who = (
        "person with a part of the images is"
        if len(names) == 1
        else "people with parts of the images are"
    )
    return f"{len(names)} {who} not compared: {some_of(told, _SHOWN)}"


def _lines(
    role: str,
    answers: Mapping[str, StoredObservation],
    groups: Mapping[str, tuple[str, str]],
    ids: Mapping[str, frozenset[str]],
) -> Iterator[str]:
    members = {group: [n for n in answers if groups[n] == group] for group in groups.values()}
    usual = {
        group: commonest([{role: answers[name]} for name in names])[role]
        for group, names in members.items()
        if names
    }
    shown = [ids[digest] for digest in usual.values()]
    partial, own = [], []
    for name, one in answers.items():
        wanted, answered = ids[usual[groups[name]]], ids[one.stimuli]
        if groups[name][0] != "human" and any(images <= answered for images in shown):
            continue
        if len(wanted & answered) * 2 < len(wanted):
            own.append(name)
        elif lacking := len(wanted - answered):
            partial.append(f"{name} lacks {lacking} of {len(wanted)}")
    if partial:
        yield (
            f"{role}: {', '.join(partial)} images that most others answered: left out of its tables; "
            "the trials are kept"
        )
    if own:
        yield (
            f"{role}: {some_of(own, _SHOWN)} answered other images than most of their source: left out of its "
            "tables; the trials are kept"
        )
