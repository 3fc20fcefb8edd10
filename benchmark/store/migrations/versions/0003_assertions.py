"""What imported trials count now, and under which source: an observer of a published table is (source, name)."""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

MARK = " (published)"
#: Networks that this program renamed; it knew one source whose tables hold them. People came from one source, too.
RENAMED = {"alexnet-caffe": "texture-vs-shape", "resnet50-sin": "texture-vs-shape"}
PEOPLE = "model-vs-human"


def upgrade() -> None:
    """Makes two tables, says that all imported trials count, in their order, and gives their observers a source."""
    _tables()
    connection = op.get_bind()
    connection.execute(
        sa.text(
            "INSERT INTO assertions (observation, run, created) "
            "SELECT id, run, created FROM observations WHERE suite = 'trials' ORDER BY id"
        )
    )
    query = "SELECT id, name, kind FROM observers WHERE kind IN ('human', 'published')"
    for number, name, kind in connection.execute(sa.text(query)).all():
        _name(connection, number, kind, name.removesuffix(MARK))


def _tables() -> None:
    op.create_table(
        "assertions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("observation", sa.Integer, sa.ForeignKey("observations.id"), nullable=False),
        sa.Column("run", sa.Integer, sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("created", sa.Text, nullable=False),
    )
    op.create_index("ix_assertions_observation", "assertions", ["observation"])
    score_set = sa.ForeignKey("score_sets.id")
    op.create_table(
        "withdrawn",
        sa.Column("score_set", sa.Integer, score_set, primary_key=True, autoincrement=False),
        sa.Column("run", sa.Integer, sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("created", sa.Text, nullable=False),
    )


def _name(connection: sa.Connection, number: int, kind: str, name: str) -> None:
    """The observer's new name and identity; which table a network of another name came from is not known any more."""
    source = PEOPLE if kind == "human" else RENAMED.get(name, "unknown source")
    text = json.dumps([kind, source, name], separators=(",", ":"))
    values = {
        "number": number,
        "name": f"{name} ({source})",
        "identity": hashlib.sha256(text.encode()).hexdigest(),
    }
    connection.execute(
        sa.text("UPDATE observers SET name = :name, identity = :identity WHERE id = :number"),
        values,
    )
    query = sa.text("SELECT id, card FROM registrations WHERE observer = :number")
    for row, card in connection.execute(query, {"number": number}).all():
        known = json.dumps(
            {**json.loads(card), "source": source, "named": name},
            sort_keys=True,
            separators=(",", ":"),
        )
        connection.execute(
            sa.text("UPDATE registrations SET card = :card WHERE id = :row"),
            {"card": known, "row": row},
        )
