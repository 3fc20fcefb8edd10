"""Ranked tables from stored scores: built (`boards`), drawn (`render`) and written (`export`)."""

from benchmark.leaderboard.board import boards
from benchmark.leaderboard.model import Board, Cell, Column, Row

__all__ = ["Board", "Cell", "Column", "Row", "boards"]
