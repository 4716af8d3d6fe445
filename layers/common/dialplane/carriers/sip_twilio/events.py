"""Twilio carries these calls, so its words mean what Twilio's mean."""

from dialplane.carriers.twilio.events import to_call_event

__all__ = ["to_call_event"]
