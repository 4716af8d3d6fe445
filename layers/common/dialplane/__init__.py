"""Dialplane: a serverless control plane for outbound AI phone calls.

The shared package of every function, test and tool. Imports run one way:
``runtime -> {dynamodb, carriers, dialects} -> usecases -> domain``.
"""
