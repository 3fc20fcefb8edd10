"""Ranked tables from stored scores: built (`boards`), drawn (`render`) and written (`export`)."""

from benchmark.leaderboard.board import boards
from benchmark.leaderboard.export import FORMATS, export_boards, export_scores
from benchmark.leaderboard.model import Board, Cell, Column, Row

__all__ = ["FORMATS", "Board", "Cell", "Column", "Row", "boards", "export_boards", "export_scores"]
