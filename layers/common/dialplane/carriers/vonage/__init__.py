"""Vonage's words, and nobody else's: its REST API, its signed webhooks, its instructions (NCCO).

Each module imports alone; only ``api`` needs an HTTP client. No AWS, no rule about calls or money belongs here.
"""
