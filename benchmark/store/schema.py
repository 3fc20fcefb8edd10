"""The tables. Rows are inserted, never updated or deleted; "newest" means the highest id.

A change here needs a numbered migration in `migrations/versions` and a higher `questions.HEAD`.
"""

import sqlalchemy as sa
from sqlalchemy import Column, Double, ForeignKey, Index, Integer, LargeBinary, Table, Text

#: Names for every constraint, so that later migrations can address them on both data bases.
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
METADATA = sa.MetaData(naming_convention=NAMES)

#: Alembic's own table: the one source of the schema's number. Outside METADATA, as alembic expects.
REVISION = Table(
    "alembic_version",
    sa.MetaData(),
    Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _whole(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False)


def _to(name: str, target: str) -> Column[int]:
    return Column(name, Integer, ForeignKey(target), nullable=False)


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True)


META = Table("meta", METADATA, Column("key", Text, primary_key=True), _text("value"))

ENVIRONMENTS = Table(
    "environments",
    METADATA,
    _id(),
    _text("digest"),
    _text("content"),
    _text("created"),
    sa.UniqueConstraint("digest"),
)

RUNS = Table(
    "runs",
    METADATA,
    _id(),
    _text("command"),
    _to("environment", "environments.id"),
    _text("started"),
)

#: A run without a row here was killed, or is still going on.
RUN_ENDS = Table(
    "run_ends",
    METADATA,
    Column("run", Integer, ForeignKey("runs.id"), primary_key=True, autoincrement=False),
    _text("status"),
    _text("note"),
    _text("ended"),
)

OBSERVERS = Table(
    "observers",
    METADATA,
    _id(),
    _text("name"),
    _text("kind"),
    _text("identity"),
    _text("created"),
    sa.UniqueConstraint("name", "kind", "identity"),
    Index(None, "identity"),
)

#: A row each time a name's identity or card changes: the newest row of a name says what it stands
#: for now, also when it goes back to weights that it had before.
REGISTRATIONS = Table(
    "registrations",
    METADATA,
    _id(),
    _to("observer", "observers.id"),
    _text("training"),
    _text("card"),
    _text("created"),
    Index(None, "observer"),
)

STIMULI = Table(
    "stimuli",
    METADATA,
    Column("digest", Text, primary_key=True),
    _text("name"),
    _text("space"),
    _whole("n"),
    Column("whole", Integer),
    _text("origin"),
    _text("labels"),
    _text("created"),
    Column("columns", LargeBinary, nullable=False),
)

OBSERVATIONS = Table(
    "observations",
    METADATA,
    _id(),
    _text("key"),
    _to("observer", "observers.id"),
    _text("suite"),
    _whole("version"),
    _text("space"),
    Column("stimuli", Text, ForeignKey("stimuli.digest"), nullable=False),
    _text("role"),
    _text("condition"),
    _text("presentation"),
    _text("transform"),
    _whole("n"),
    _to("run", "runs.id"),
    _text("created"),
    _text("details"),
    sa.UniqueConstraint("key"),
    Index(None, "observer", "suite"),
)

CHUNKS = Table(
    "chunks",
    METADATA,
    Column("observation", Integer, ForeignKey("observations.id"), nullable=False),
    _whole("position"),
    _whole("start"),
    _whole("n"),
    _to("run", "runs.id"),
    Column("payload", LargeBinary, nullable=False),
    sa.PrimaryKeyConstraint("observation", "position"),
)

#: An observation with a row here asks no further trials: those that it has were enough for its suite.
SETTLED = Table(
    "settled",
    METADATA,
    Column(
        "observation",
        Integer,
        ForeignKey("observations.id"),
        primary_key=True,
        autoincrement=False,
    ),
    _to("run", "runs.id"),
    _whole("n"),
    _text("created"),
)

#: A row each time imported trials are said to be an observer's: the newest says what counts now, also when a table is
#: imported again after a faulty one. Observations that were run have none.
ASSERTIONS = Table(
    "assertions",
    METADATA,
    _id(),
    _to("observation", "observations.id"),
    _to("run", "runs.id"),
    _text("created"),
    Index(None, "observation"),
)

#: The long column comes last: SQLite then reads the others without walking through it.
SCORE_SETS = Table(
    "score_sets",
    METADATA,
    _id(),
    _to("observer", "observers.id"),
    _text("suite"),
    _whole("version"),
    _text("space"),
    _text("code"),
    _to("run", "runs.id"),
    _text("created"),
    _text("stimuli"),
    _text("observations"),
    Index(None, "suite", "observer"),
    Index(None, "observer"),
)

SCORES = Table(
    "scores",
    METADATA,
    Column("score_set", Integer, ForeignKey("score_sets.id"), nullable=False),
    _whole("position"),
    _text("metric"),
    _text("condition"),
    _text("role"),
    Column("value", Double),
    _text("reason"),
    Column("low", Double),
    Column("high", Double),
    Column("level", Double, nullable=False),
    _text("method"),
    _whole("n"),
    _whole("excluded"),
    _text("flags"),
    sa.PrimaryKeyConstraint("score_set", "position"),
)

#: Scores of imported trials that no longer count: no board shows them.
WITHDRAWN = Table(
    "withdrawn",
    METADATA,
    Column(
        "score_set",
        Integer,
        ForeignKey("score_sets.id"),
        primary_key=True,
        autoincrement=False,
    ),
    _to("run", "runs.id"),
    _text("created"),
)

OUTCOMES = Table(
    "outcomes",
    METADATA,
    _id(),
    _to("run", "runs.id"),
    Column("observer", Integer, ForeignKey("observers.id")),
    _text("observer_name"),
    _text("suite"),
    _text("space"),
    _text("status"),
    _text("reason"),
    _text("created"),
    _text("detail"),
    Index(None, "observer_name", "suite", "space"),
)
