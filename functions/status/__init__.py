"""What carriers report, and what follows from it."""
