"""What stands between AWS Lambda and the use cases: settings, HTTP plumbing, problems, secrets, observability."""
