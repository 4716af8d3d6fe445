"""Benchmarks: what a cold start and a call cost beside frozen peers. No test reads a clock; only this package does."""
