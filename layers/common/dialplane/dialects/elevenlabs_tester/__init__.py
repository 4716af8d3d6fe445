"""The dialect of an application that tests businesses by telephone: ``POST /api/context``, then ``POST /api/call``."""
