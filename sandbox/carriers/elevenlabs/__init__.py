"""The simulated ElevenLabs: agents that call over Twilio numbers, and what they report after a call.

`api` answers requests, `parameters` validates them, `conversations` holds and shows conversations, `runner` lives them
out over a leg of the simulated Twilio, `webhooks` signs and sends, `workspaces` says what an account is.
"""
