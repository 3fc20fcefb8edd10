"""The experimenter's page of `bench ask --serve`: each person's progress, and who is at chance, late or incomplete."""

from collections import defaultdict
from html import escape
from importlib.resources import files
from string import Template

from benchmark.ask.answers import Answers, Row
from benchmark.stimuli.trial_tables import CHECK, LATE, PRACTISED

#: A person is at chance if guessing names as many images right with at least this probability.
GUESSING = 0.05
#: Shares of late trials and of failed checks above which a person is named.
MANY_LATE, MANY_FAILED = 0.1, 0.25


def people_page(answers: Answers) -> str:
    """Return the page, to be loaded again for what is new. Texts are escaped; it runs no program and loads nothing."""
    from scipy.stats import binom

    by_person: dict[str, list[Row]] = defaultdict(list)
    for (person, _), row in list(answers.known.items()):
        by_person[person].append(row)
    total, chance = answers.session.trials, 1 / len(answers.session.categories)
    table, seen, ids = "", set[str](), [one["participant"] for one in answers.begun]
    for number, participant in enumerate(ids, start=1):
        rows = by_person[f"subject-{number:02d}"]
        trials = [row for row in rows if row["trial"].isdecimal()]
        checks, practice = ([row for row in rows if row["status"] == status] for status in (CHECK, PRACTISED))
        right, passed, practised = (
            sum(row["object_response"] == row["category"] for row in some) for some in (trials, checks, practice)
        )
        failed, late = len(checks) - passed, sum(row["status"] == LATE for row in rows)
        remarks = {
            "id seen before": participant != "" and participant in seen,
            f"incomplete: {total - len(trials)} left": len(trials) < total,
            "at chance": bool(trials) and binom.sf(right - 1, len(trials), chance) >= GUESSING,
            "late frames": late > MANY_LATE * max(len(trials), 1),
            "checks failed": failed > MANY_FAILED * max(len(checks), 1),
        }
        last = defaultdict(str, rows[-1] if rows else {})
        cells = (
            str(number), participant, ", ".join(text for text, holds in remarks.items() if holds),
            f"{len(trials)} of {total}", f"{right / len(trials):.0%}" if trials else "", f"{failed} of {len(checks)}",
            str(late), f"{practised} of {len(practice)}", last["misunderstood"],
            f"{last['distance_cm']} {last['distance_by']}".strip(), last["degrees"], last["screen"],
        )  # fmt: skip
        table += f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>\n"
        seen.add(participant)
    page = (files("benchmark.ask") / "static" / "people.html").read_text(encoding="utf-8")
    done = sum(map(answers.is_complete, range(1, len(ids) + 1)))
    title = escape(f"{answers.session.stimuli.name}, session {answers.session.number}")
    return Template(page).substitute(title=title, begun=len(ids), done=done, total=total, rows=table)
