"""The Klen dialect: ``POST /calls`` and the same body on ``POST /calls/initiate`` (https://docs.klen.ai)."""
