"""The tables. Rows are inserted, never changed; "newest" means the latest `created`. Keys are digests, so that a merge
inserts new rows and ignores equal ones. A row's checksum (`id`, or `checksum` if its key is another) is the digest of
its other columns. A change of the tables needs a higher `HEAD`: leaderboards of another one are refused."""

import sqlalchemy as sa
from sqlalchemy import Column, Double, ForeignKey, Index, Integer, LargeBinary, Table, Text

HEAD = "0004"  # the number of these tables
APPLICATION = "gestaltbench"

#: Names for every constraint, the same in both data bases.
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
METADATA = sa.MetaData(naming_convention=NAMES)

#: The one source of the schema's number, under the name that it has had since the first leaderboard.
REVISION = Table(
    "alembic_version",
    sa.MetaData(),
    Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

_SEAL = {"sealed": False, "seal": True}


def _texts(*names: str) -> list[Column[str]]:
    return [Column(name, Text, nullable=False) for name in names]


def _whole(*names: str) -> list[Column[int]]:
    return [Column(name, Integer, nullable=False) for name in names]


def _to(name: str, target: str, *, key: bool = False, sealed: bool = True) -> Column[str]:
    return Column(name, Text, ForeignKey(target), nullable=False, primary_key=key, info={"sealed": sealed})


def _id() -> Column[str]:
    return Column("id", Text, primary_key=True, info=_SEAL)


def _checksum() -> Column[str]:
    return Column("checksum", Text, nullable=False, info=_SEAL)


def _stored() -> Column[str]:
    """Return when a row was first stored; not sealed where equal things of two leaderboards are one row."""
    return Column("created", Text, nullable=False, info={"sealed": False})


META = Table("meta", METADATA, Column("key", Text, primary_key=True), *_texts("value"))

ENVIRONMENTS = Table("environments", METADATA, _id(), *_texts("content"), _stored())

RUNS = Table("runs", METADATA, _id(), *_texts("command"), _to("environment", "environments.id"), *_texts("started"))

#: A run without a row here was killed, or is still going on.
RUN_ENDS = Table("run_ends", METADATA, _to("run", "runs.id", key=True), *_texts("status", "note", "ended"))

OBSERVERS = Table("observers", METADATA, _id(), *_texts("name", "kind", "identity"), _stored(), Index(None, "name"))

#: A row each time a name's identity or card changes: the newest row of a name says what it stands
#: for now, also when it goes back to weights that it had before.
REGISTRATIONS = Table(
    "registrations",
    METADATA,
    _id(),
    _to("observer", "observers.id"),
    *_texts("training", "card", "created"),
    Index(None, "observer"),
)

STIMULI = Table(
    "stimuli",
    METADATA,
    Column("digest", Text, primary_key=True),
    *_texts("name", "space"),
    *_whole("n"),
    Column("whole", Integer),
    *_texts("origin", "labels"),
    _stored(),
    _checksum(),
    Column("columns", LargeBinary, nullable=False),
)

OBSERVATIONS = Table(
    "observations",
    METADATA,
    Column("key", Text, primary_key=True),
    _to("observer", "observers.id"),
    *_texts("suite"),
    *_whole("version"),
    *_texts("space"),
    _to("stimuli", "stimuli.digest"),
    *_texts("role", "condition", "presentation", "transform"),
    *_whole("n"),
    _to("run", "runs.id"),
    *_texts("created", "details"),
    _checksum(),
    Index(None, "observer", "suite"),
)

#: The checksum binds the payload to its place: a chunk that lies elsewhere is damage. Who computed it (`run`) is left
#: out, for two machines that agree have one chunk.
CHUNKS = Table(
    "chunks",
    METADATA,
    _to("observation", "observations.key", key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    *_whole("start", "n"),
    _to("run", "runs.id", sealed=False),
    _checksum(),
    Column("payload", LargeBinary, nullable=False),
)

#: An observation with a row here asks no further trials: those that it has were enough for its suite.
SETTLED = Table(
    "settled",
    METADATA,
    _to("observation", "observations.key", key=True),
    _to("run", "runs.id"),
    *_whole("n"),
    *_texts("created"),
    _checksum(),
)

#: A row each time the trials of a source are imported: the newest one's observations (a JSON list of keys) are what
#: counts of that source.
IMPORTS = Table(
    "imports", METADATA, _id(), *_texts("source"), _to("run", "runs.id"), *_texts("created", "observations")
)

#: trials: digest of the chunks that were scored ("" where they are not here); scores: digest of the rows of `scores`.
#: The long columns come last: SQLite then reads the others without walking through them.
SCORE_SETS = Table(
    "score_sets",
    METADATA,
    _id(),
    _to("observer", "observers.id"),
    *_texts("suite"),
    *_whole("version"),
    *_texts("space", "code"),
    _to("run", "runs.id"),
    *_texts("created", "trials", "scores", "stimuli", "observations"),
    Index(None, "suite", "observer"),
    Index(None, "observer"),
)

SCORES = Table(
    "scores",
    METADATA,
    _to("score_set", "score_sets.id", key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    *_texts("metric", "condition", "role"),
    Column("value", Double),
    *_texts("reason"),
    Column("low", Double),
    Column("high", Double),
    Column("level", Double, nullable=False),
    *_texts("method"),
    *_whole("n", "excluded"),
    *_texts("flags"),
    sqlite_with_rowid=False,  # its long key is stored once
)

#: Scores of imported trials that no longer count: no board shows them.
WITHDRAWN = Table(
    "withdrawn", METADATA, _to("score_set", "score_sets.id", key=True), _to("run", "runs.id"), *_texts("created")
)

OUTCOMES = Table(
    "outcomes",
    METADATA,
    _id(),
    _to("run", "runs.id"),
    Column("observer", Text, ForeignKey("observers.id")),
    *_texts("observer_name", "suite", "space", "status", "reason", "created", "detail"),
    Index(None, "observer_name", "suite", "space"),
)
