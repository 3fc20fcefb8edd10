"""Imported observers that answered a part of the images, or images of their own: which tables lack them, in words."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from benchmark.engine.imported_trials import commonest, imported_groups, main_answers
from benchmark.store import Store, StoredObservation

_SHOWN = 6  # names in a line


def left_out(store: Store, experiments: Iterable[str]) -> list[str]:
    """Lines on each experiment in which observers lack images that most of their source answered: no table has them,
    or in case of people none has them in their group.
    """
    groups, current = imported_groups(store), main_answers(store)
    lines: list[str] = []
    for role in experiments:
        answers = {name: roles[role] for name, roles in current.items() if role in roles}
        ids = {one.stimuli: set(store.stimuli(one.stimuli).ids) for one in answers.values()}
        lines += _lines(role, answers, groups, ids)
    return lines


def _lines(
    role: str,
    answers: Mapping[str, StoredObservation],
    groups: Mapping[str, tuple[str, str]],
    ids: Mapping[str, set[str]],
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
            f"{role}: {_some(own)} answered other images than most of their source: left out of its tables; the "
            "trials are kept"
        )


def _some(names: Collection[str]) -> str:
    first = list(names)[:_SHOWN]
    more = f" and {len(names) - len(first)} more" if len(names) > len(first) else ""
    return ", ".join(first) + more
