"""The customers' own tools, which language models use during calls."""
