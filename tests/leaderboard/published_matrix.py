"""Rows of the transfer matrix of Geirhos et al. 2018, and trial tables with exactly their proportions."""

import csv

#: What its columns are called in trial tables: experiment, condition.
COLUMNS = (
    ("colour-png", "cr"), ("colour-png", "bw"), ("contrast-png", "c05"), ("lowpass", "7"),
    ("highpass", "0.7"), ("phase-scrambling", "90"), ("rotation", "90"),
    ("salt-and-pepper-png", "0.2"), ("noise-png", "0.35"),
)  # fmt: skip
PEOPLE = (0.885, 0.866, 0.476, 0.485, 0.498, 0.574, 0.785, None, 0.456)
ROWS = {
    "sixteen01v4": (0.967, 0.878, 0.131, 0.189, 0.211, 0.233, 0.365, 0.061, 0.062),
    "sixteen07--grayscale-contrast-multiple": (0.500, 0.941, 0.894, 0.164, 0.299, 0.312, 0.399, 0.058, 0.069),
    "sixteen21--salt-and-pepper-noise-multiple": (0.104, 0.103, 0.286, 0.069, 0.104, 0.074, 0.085, 0.794, 0.102),
    "sixteen03--uniform-noise-multiple": (0.081, 0.098, 0.290, 0.066, 0.206, 0.088, 0.080, 0.062, 0.803),
    "sixteen22--salt-and-pepper-noise-multiple--uniform-noise-multiple--200epochs": (
        0.102, 0.114, 0.346, 0.071, 0.189, 0.078, 0.083, 0.896, 0.854,
    ),
    "sixteen18--color--grayscale-contrast--high-pass--low-pass--rotation--phase-scrambling"
    "--uniform-noise--200epochs": (0.959, 0.951, 0.882, 0.749, 0.907, 0.826, 0.805, 0.136, 0.715),
}  # fmt: skip
HEADER = ("subj", "session", "trial", "rt", "object_response", "category", "condition", "imagename")
N = 1000


def write_trials(path, observer, cells, *, shift=0):
    """A table of N trials per condition: cells is condition -> accuracy. shift: where the right ones begin, so that
    two observers of one accuracy are not right on the same images."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(HEADER)
        for condition, accuracy in cells.items():
            for i in range(N):
                right = (i + shift) % N < round(accuracy * N)
                answer = "cat" if right else "dog"
                name = f"{i + 1:04d}_x_dnn_{condition}_cat_00_n02123045_{i}.png"
                table.writerow([observer, 1, i + 1, "NaN", answer, "cat", condition, name])


def write_matrix(folder, rows=ROWS, people=2):
    observers = rows | {f"subject-{person + 1:02d}": PEOPLE for person in range(people)}
    for at, (observer, values) in enumerate(observers.items()):
        experiments = {}
        for (experiment, condition), value in zip(COLUMNS, values, strict=True):
            if value is not None:
                experiments.setdefault(experiment, {})[condition] = value
        for experiment, cells in experiments.items():
            path = folder / experiment / f"{experiment}-experiment_{observer}_session-1.csv"
            write_trials(path, observer, cells, shift=37 * at if observer in rows else 0)
