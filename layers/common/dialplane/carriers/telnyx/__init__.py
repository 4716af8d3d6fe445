"""Telnyx's words, and nobody else's: Call Control, the signatures of its webhooks, its refusals.

Each module imports alone; only ``api`` and ``rest`` need an HTTP client. Call Control fetches no instructions: what is
to happen on the answer rides in the dial, or is commanded when the call is answered. What TeXML applications need
beside this is in ``telnyx_texml``.
"""
