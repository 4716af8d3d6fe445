"""Twilio's words, and nobody else's: its REST API, its signatures, its callbacks, its instructions (TwiML).

Each module imports alone; only ``api`` needs an HTTP client. No AWS, no rule about calls or money belongs here.
"""
