"""The cards of a training run's checkpoints: registered once, and anew where a file or what is said of it changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.cards import register
from benchmark.api.training_run import Say, Sweep, Swept, plain_name
from benchmark.errors import FAILURES, BenchError
from benchmark.settings import Settings
from registry.architectures import whole_arch
from registry.cards import Checkpoint, ModelCard, read_card_files, read_cards, write_card
from registry.files import expanded, is_file

if TYPE_CHECKING:
    from registry.training_runs import Placed


def require_own_run(wanted: Sweep, settings: Settings) -> None:
    """BenchError where all checkpoints of a run of that name are elsewhere: two runs would be drawn as one. Who names
    a run says which it is: one that went on in another folder, say."""
    from registry.training_runs import checkpoint_files

    if wanted.name:
        return
    cards = _of_run(wanted.run, read_cards(settings.cards))
    files = [Path(card.weights or "") for card in cards]
    there = [file for file in files if is_file(file)]
    folder = wanted.folder.resolve()
    linked = {path.resolve() for path in checkpoint_files(wanted.folder, wanted.pattern)}
    if there and not any(file in linked or file.is_relative_to(folder) for file in there):
        raise BenchError(
            f"'{wanted.run}' is another training run already, with {there[0]}: give this one a name of its own "
            f"with --name, or say --name {wanted.run} if it is the same run."
        )


def registered(
    wanted: Sweep, found: Placed, settings: Settings, done: Swept, say: Say
) -> Iterator[ModelCard]:
    """A card for each checkpoint, in their order. Those that do not load are left out, and said."""
    cards = read_cards(settings.cards)
    known = {card.weights: card for card in _of_run(wanted.run, cards)}
    require_arch(wanted.arch, all_known=all(str(path.resolve()) in known for path in found.steps))
    _require_cards(settings.cards)
    given = _given(wanted, settings)
    files: dict[str, str] = {}
    names: set[str] = set()
    for path, why in found.left_out.items():
        _leave_out(done, wanted.inside(path), why, say)
    for path, step in found.steps.items():
        file, inside = str(path.resolve()), wanted.inside(path)
        if file in files:
            _leave_out(done, inside, f"the same file as {files[file]}", say)
            continue
        files[file] = inside
        try:
            card = _card(wanted, given, path, known.get(file), names, cards, settings)
        except FAILURES as error:  # the boundary of one checkpoint
            _leave_out(done, inside, " ".join(str(error).split()), say)
            continue
        if file not in known and card.options.get("key") and not given.get("key"):
            say(f"{inside}: its weights are '{card.options['key']}', one of several (--key NAME)")
        names.add(card.name)
        done.models[card.name] = step
        done.left_out.pop(inside, None)
        yield _placed(card, Checkpoint(run=wanted.run, step=step, unit=found.unit), settings)


def require_arch(arch: str, *, all_known: bool = False) -> None:
    """One error instead of one for each checkpoint. Raises UnknownName with close matches, and CardError for a function
    that is not there."""
    from registry.architectures import factory, require_known

    if not arch and not all_known:
        raise BenchError(
            "--arch is needed: timm:NAME, torchvision:NAME or python:./file.py:function, as of `bench register`."
        )
    kind, _, name = arch.partition(":")
    if kind in ("timm", "torchvision") and ":" not in name:
        require_known(arch)
    elif kind == "python":
        factory(whole_arch(arch).removeprefix("python:"))


def _require_cards(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"no card can be written to {folder}: {error.strerror}.") from error


def _of_run(run: str, cards: Mapping[str, ModelCard]) -> list[ModelCard]:
    placed = ((card, card.checkpoint) for card in cards.values())
    return [card for card, place in placed if place is not None and place.run == run]


def _given(wanted: Sweep, settings: Settings) -> dict[str, Any]:
    """What is said of all checkpoints. A list of classes is one label space of the whole run: each registration by
    itself would name it after its model."""
    from registry.labels import is_class_list, read_class_list, write_mapping

    given = {name: value for name, value in wanted.given.items() if value is not None}
    labels = str(given.get("labels") or "")
    if labels and is_class_list(labels):
        mapping = write_mapping(read_class_list(labels, wanted.run), settings.cards / "labels")
        given["labels"] = str(mapping)
    elif Path(labels).suffix in (".yaml", ".yml"):
        given["labels"] = str(expanded(labels).resolve())
    return given


def _leave_out(done: Swept, inside: str, why: str, say: Say) -> None:
    if done.left_out.get(inside) != why:
        done.left_out[inside] = why
        say(f"left out: {inside}: {why}")


def _card(
    wanted: Sweep,
    given: Mapping[str, Any],
    path: Path,
    known: ModelCard | None,
    names: set[str],
    cards: Mapping[str, ModelCard],
    settings: Settings,
) -> ModelCard:
    """The card of a checkpoint: the one that it has, unless the file was written since or another network is meant."""
    file = str(path.resolve())
    if known is None:
        name, known = _name(wanted, path, names, cards, settings)
        if known is None or known.weights != file:
            there = cards if known is None else {**cards, name: known}
            how = {**given, "replaces": known is not None, "there": there}
            try:
                return register(name, wanted.arch, str(path), **how)[0]
            except FAILURES:  # another watcher of the folder may have been faster
                known = _written(name, settings)
                if known is None or known.weights != file:
                    raise
    same = whole_arch(wanted.arch) in ("", known.arch)
    said = _said(known) if same else {"labels": known.labels}
    if same and _fresh(known, path, settings) and _agrees(said, given):
        return known
    arch = wanted.arch or known.arch
    how = {**said, **given, "replaces": True, "there": {**cards, known.name: known}}
    return register(known.name, arch, str(path), **how)[0]


def _fresh(known: ModelCard, path: Path, settings: Settings) -> bool:
    """Whether the card is newer than the file, and than the file's being there: a copy may keep an older time."""
    file = settings.cards / f"{known.name}.yaml"
    state = path.stat()
    written = max(state.st_mtime_ns, state.st_ctime_ns)
    return file.is_file() and file.stat().st_mtime_ns >= written


def _said(card: ModelCard) -> dict[str, Any]:
    """What a card says, as a registration is told it: what is not said again stays. Members of families say it
    themselves."""
    from registry.families.family import family_of

    said: dict[str, Any] = {"labels": card.labels, "training": card.training}
    if card.source != "file" or family_of(card.arch) is not None:
        return said
    how = card.preprocess
    fields = {} if how is None else {name: getattr(how, name) for name in type(how).model_fields}
    return said | {"key": card.options.get("key")} | fields


def _agrees(said: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    plain = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
    return all(said.get(name) == value for name, value in plain.items())


def _name(
    wanted: Sweep,
    path: Path,
    names: set[str],
    cards: Mapping[str, ModelCard],
    settings: Settings,
) -> tuple[str, ModelCard | None]:
    """The run's name and the file's, then also its ending, then a number. And the card that is there: of this very
    file, or of the run and of a file that is gone. cards: as they were at first; one that somebody else has written
    since is read by itself."""
    name = f"{wanted.run}-{plain_name(wanted.inside(path).removesuffix(path.suffix))}"[:180]
    numbered = (f"{name}-{number}" for number in count(2))
    tried = chain((name, f"{name}{plain_name(path.suffix)[:12]}"), numbered)
    for one in tried:
        card = cards.get(one) or _written(one, settings)
        if one not in names and _free(card, wanted.run, path):
            break
    return one, card


def _written(name: str, settings: Settings) -> ModelCard | None:
    """The card of that name as it is now in a file of its own."""
    file = settings.cards / f"{name}.yaml"
    return read_card_files([file] if file.exists() else []).get(name)


def _free(card: ModelCard | None, run: str, path: Path) -> bool:
    if card is None or (card.checkpoint is None and card.weights == str(path.resolve())):
        return True
    own = card.checkpoint is not None and card.checkpoint.run == run
    return own and not is_file(Path(card.weights or ""))


def _placed(card: ModelCard, place: Checkpoint, settings: Settings) -> ModelCard:
    if card.checkpoint == place:
        return card
    card = card.model_copy(update={"checkpoint": place})
    write_card(card, settings.cards, replace=True)
    return card
