"""What AWS invokes: one folder for each concern, each module an entry point. Thin: event in, use case, response out."""
