"""Carriers: one package each, the only places that know a carrier's words.

Adding a carrier is a package and a line in the table of ``carriers.registry``. No carrier knows AWS or HTTP of ours.
"""
