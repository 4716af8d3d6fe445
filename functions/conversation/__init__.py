"""The WebSocket of conversations, what is due in them later, and what is found out of them afterwards."""
