"""The simulated Vonage: the Voice API and the life of an outbound call, as seen from outside.

`api` answers requests, `tokens` verifies and signs JWTs, `parameters` validates bodies, `calls` holds and shows the
legs, `call_runner` lives them out, `ncco` reads instructions and `actions` follows them, `events` reports to the
application, `secrets` makes accounts for tests and the sandbox.
"""
