"""AWS on the wire: one small client for the functions, its boto3 twin for tools and tests. No meaning of ours here."""
