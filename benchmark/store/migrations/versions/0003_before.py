"""The oldest schema that is brought up to date. Fresh leaderboards never have it."""

revision = "0003"
down_revision = None


def upgrade() -> None:
    """Do nothing: a leaderboard of this schema exists already."""
