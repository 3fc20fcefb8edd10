"""The oldest schema that is brought up to date. Fresh leaderboards of this version have it from the start."""

revision = "0004"
down_revision = None


def upgrade() -> None:
    """Do nothing: a leaderboard of this schema exists already."""
