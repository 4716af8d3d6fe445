"""The simulated Telnyx: Call Control (JSON commands and signed JSON webhooks).

`leg`, `accounts`, `errors`, `keys`, `session` and `webhooks` are Telnyx's as a whole: its TeXML simulator uses them.
Sources: the SDK (https://github.com/team-telnyx/telnyx-python) and https://developers.telnyx.com/api-reference.
"""
