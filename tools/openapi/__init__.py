"""The API's description in OpenAPI 3.1, made from what the API is made of.

Bodies of requests come from the dialects' own models, errors and their examples from the errors themselves and the
dialects' own words for them, paths from one table. `python -m tools.openapi` writes it to where it is served from.
"""
