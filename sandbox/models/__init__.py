"""A simulated language model: a server of OpenAI's Chat Completions that answers the same words always in the same way.

Nothing in this package imports `dialplane`: it must be able to prove the project wrong.
"""

from sandbox.models.server import API_KEY_PREFIX, BASE_PATH, routes

__all__ = ["API_KEY_PREFIX", "BASE_PATH", "routes"]
