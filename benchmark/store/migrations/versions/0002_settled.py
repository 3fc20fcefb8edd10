"""Observations that were settled before all of their stimuli were shown."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes the table of settled observations."""
    observation = sa.ForeignKey("observations.id")
    op.create_table(
        "settled",
        sa.Column("observation", sa.Integer, observation, primary_key=True, autoincrement=False),
        sa.Column("run", sa.Integer, sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
    )
