"""The laptop cloud: an emulated AWS with the real template on it, simulated carriers, demo data and one front door.

Tools for people and tests. Nothing here ships to AWS, and nothing that ships may import it.
"""
