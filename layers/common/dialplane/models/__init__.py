"""Language models that hold conversations: a module for each kind, behind ``domain.language_model``."""
