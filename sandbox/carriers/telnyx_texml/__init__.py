"""The simulated Telnyx TeXML: Twilio's way of controlling calls, with Telnyx's keys, names, ranges and signatures.

Sources: the SDK's texml types, https://developers.telnyx.com/api-reference/texml-rest-commands and
https://developers.telnyx.com/api-reference/callbacks/texml-call-completed.
"""
