"""The request formats of the seed systems: one file each, from its request to a command and from a call to its words.

A dialect knows field names, texts and shapes; it knows neither HTTP events nor stores.
"""
