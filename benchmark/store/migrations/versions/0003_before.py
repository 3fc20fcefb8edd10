"""The oldest schema that is brought up to date. Fresh leaderboards never have it."""

revision = "0003"
down_revision = None


def upgrade() -> None:
    """Nothing: a leaderboard of this schema is there already."""
