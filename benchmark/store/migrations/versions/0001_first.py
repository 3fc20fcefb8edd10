"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes all tables."""
    _origins()
    _trials()
    _results()


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _whole(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer, nullable=False) for name in names]


def _to(name: str, target: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, sa.ForeignKey(target), nullable=False)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True)


def _origins() -> None:
    op.create_table("meta", sa.Column("key", sa.Text, primary_key=True), *_text("value"))
    unique = sa.UniqueConstraint("digest")
    op.create_table("environments", _id(), *_text("digest", "content", "created"), unique)
    environment = _to("environment", "environments.id")
    op.create_table("runs", _id(), *_text("command"), environment, *_text("started"))
    run = sa.Column(
        "run", sa.Integer, sa.ForeignKey("runs.id"), primary_key=True, autoincrement=False
    )
    op.create_table("run_ends", run, *_text("status", "note", "ended"))
    unique = sa.UniqueConstraint("name", "kind", "identity")
    op.create_table("observers", _id(), *_text("name", "kind", "identity", "created"), unique)
    op.create_index("ix_observers_identity", "observers", ["identity"])
    observer = _to("observer", "observers.id")
    op.create_table("registrations", _id(), observer, *_text("training", "card", "created"))
    op.create_index("ix_registrations_observer", "registrations", ["observer"])


def _trials() -> None:
    op.create_table(
        "stimuli",
        sa.Column("digest", sa.Text, primary_key=True),
        *_text("name", "space"),
        *_whole("n"),
        sa.Column("whole", sa.Integer),
        *_text("origin", "labels", "created"),
        sa.Column("columns", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "observations",
        _id(),
        *_text("key"),
        _to("observer", "observers.id"),
        *_text("suite"),
        *_whole("version"),
        *_text("space"),
        sa.Column("stimuli", sa.Text, sa.ForeignKey("stimuli.digest"), nullable=False),
        *_text("role", "condition", "presentation", "transform"),
        *_whole("n"),
        _to("run", "runs.id"),
        *_text("created", "details"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("ix_observations_observer_suite", "observations", ["observer", "suite"])
    op.create_table(
        "chunks",
        _to("observation", "observations.id"),
        *_whole("position", "start", "n"),
        _to("run", "runs.id"),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("observation", "position"),
    )


def _results() -> None:
    op.create_table(
        "score_sets",
        _id(),
        _to("observer", "observers.id"),
        *_text("suite"),
        *_whole("version"),
        *_text("space", "code"),
        _to("run", "runs.id"),
        *_text("created", "stimuli", "observations"),
    )
    op.create_index("ix_score_sets_suite_observer", "score_sets", ["suite", "observer"])
    op.create_index("ix_score_sets_observer", "score_sets", ["observer"])
    op.create_table(
        "scores",
        _to("score_set", "score_sets.id"),
        *_whole("position"),
        *_text("metric", "condition", "role"),
        sa.Column("value", sa.Double),
        *_text("reason"),
        sa.Column("low", sa.Double),
        sa.Column("high", sa.Double),
        sa.Column("level", sa.Double, nullable=False),
        *_text("method"),
        *_whole("n", "excluded"),
        *_text("flags"),
        sa.PrimaryKeyConstraint("score_set", "position"),
    )
    op.create_table(
        "outcomes",
        _id(),
        _to("run", "runs.id"),
        sa.Column("observer", sa.Integer, sa.ForeignKey("observers.id")),
        *_text("observer_name", "suite", "space", "status", "reason", "created", "detail"),
    )
    work = ["observer_name", "suite", "space"]
    op.create_index("ix_outcomes_observer_name_suite_space", "outcomes", work)
