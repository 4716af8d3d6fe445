"""What carriers fetch when the callee answers."""
