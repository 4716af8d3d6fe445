"""Every key format, condition and transaction; nowhere else. Rules belong to ``domain``, transport to ``aws``."""
