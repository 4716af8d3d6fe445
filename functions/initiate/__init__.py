"""Placing calls."""
