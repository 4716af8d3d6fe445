"""Calls over a customer's own trunk or SIP host, which Twilio connects: Twilio's words, and the route it is to take.

Only the route is here; what Twilio says and is told belongs to ``carriers.twilio``.
"""
