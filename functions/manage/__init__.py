"""Reading and managing: calls, wallet, do-not-call list."""
