"""ElevenLabs' words, and nobody else's: its REST API for agents that call, its signatures, its webhooks.

An agent of ElevenLabs speaks, over a Twilio number that was imported there; what it is to say rides in the dial, so
there are no instructions to fetch. Each module imports alone; only ``api`` needs an HTTP client.
"""
