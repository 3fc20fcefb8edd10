"""Numbered changes of the schema, for alembic. A fresh leaderboard is made without them."""
