"""Telnyx carries these calls, so its words mean what Telnyx's mean."""

from dialplane.carriers.telnyx.events import to_call_event

__all__ = ["to_call_event"]
