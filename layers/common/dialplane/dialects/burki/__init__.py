"""The Burki dialect: ``POST /calls/initiate`` with either of its two bodies (https://docs.burki.dev)."""
