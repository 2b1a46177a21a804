"""Tasks: scopes, groups and threads."""
