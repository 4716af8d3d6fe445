"""What the platform does, one file per use case, each reading as its story.

A use case says what it needs as a Protocol beside itself and knows neither AWS nor a carrier's words nor HTTP.
"""
