"""Calls to a customer's own SIP host, which Telnyx Call Control connects: Telnyx's words, and the route it is to take.

Only the route is here; what Telnyx says and is told belongs to ``carriers.telnyx``.
"""
