"""Twilio carries these calls, so it is told what to say in TwiML."""

from dialplane.carriers.twilio.instructions import hang_up, render

__all__ = ["hang_up", "render"]
