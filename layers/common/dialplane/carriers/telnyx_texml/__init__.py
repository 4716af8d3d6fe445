"""The words of Telnyx's TeXML applications: Twilio's as far as Telnyx copied them, under Telnyx's signatures.

Each module imports alone; only ``api`` needs an HTTP client. What TeXML shares with Call Control (signatures, REST
conventions, causes of a hang-up) is in ``telnyx``, its documents are Twilio's renderer's.
"""
