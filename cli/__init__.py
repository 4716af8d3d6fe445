"""The ``dialplane`` command: administration of any stack, and the developer's own sandbox."""
