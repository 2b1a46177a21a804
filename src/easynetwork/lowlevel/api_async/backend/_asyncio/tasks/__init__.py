"""Tasks: scopes, groups, shields and threads."""
