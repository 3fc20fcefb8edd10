"""The tables, declared in tables.yaml. Rows are inserted, never changed; keys are digests, so that a merge ignores
equal ones. A change of the tables needs a higher `HEAD`: leaderboards of another one are refused."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table

from benchmark.contracts.declarations import package_data

HEAD = "0004"  # the number of these tables
APPLICATION = "gestaltbench"
TYPES = {"number": sa.Integer, "real": sa.Double, "bytes": sa.LargeBinary}
JSON = {"list": list, "object": dict}

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


def _table(name: str) -> Table:
    declared, columns = dict(package_data("benchmark.store", "tables")[name]), list[Column[Any]]()
    indexes = [Index(None, *names.split()) for names in declared.pop("index", ())]
    for column, words in declared.items():
        *marks, kind = words.split()
        columns.append(
            Column(
                column,
                TYPES.get(kind, sa.Text),
                *([ForeignKey(kind)] if "." in kind else []),
                nullable="optional" in marks,
                primary_key="key" in marks,
                autoincrement=False,
                info={"seal": "seal" in marks, "sealed": not {"seal", "unsealed"} & {*marks}, "json": JSON.get(kind)},
            )
        )
    # The long key of scores is stored once.
    return Table(name, METADATA, *columns, *indexes, sqlite_with_rowid=name != "scores")


META, ENVIRONMENTS, RUNS, RUN_ENDS = map(_table, ("meta", "environments", "runs", "run_ends"))
OBSERVERS, REGISTRATIONS, STIMULI = map(_table, ("observers", "registrations", "stimuli"))
OBSERVATIONS, CHUNKS, SETTLED, IMPORTS = map(_table, ("observations", "chunks", "settled", "imports"))
SCORE_SETS, SCORES, WITHDRAWN, OUTCOMES = map(_table, ("score_sets", "scores", "withdrawn", "outcomes"))
