"""The simulated Twilio: Programmable Voice's Calls API and the life of an outbound call, as seen from outside.

`api` answers requests, `parameters` validates them, `calls` holds and shows the calls, `call_runner` lives them out,
`twiml` and `conversations` follow documents, `webhooks`, `signature` and `status_callbacks` call the application.
"""
