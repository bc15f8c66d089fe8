"""Scores: how much of a sample Postroom gets right, by its own commands."""
