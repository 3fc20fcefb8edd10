"""Ranked tables from stored scores: boards, one table model, and every form that a table can have (`forms`)."""

from benchmark.leaderboard.board import boards
from benchmark.leaderboard.board_model import Board, Cell, Column, Row

__all__ = ["Board", "Cell", "Column", "Row", "boards"]
