"""Ranked tables from stored scores: boards, one model of tables, and every form of a table (`forms`)."""

from benchmark.leaderboard.board import boards
from benchmark.leaderboard.board_model import Board, Cell, Column, Row

__all__ = ["Board", "Cell", "Column", "Row", "boards"]
