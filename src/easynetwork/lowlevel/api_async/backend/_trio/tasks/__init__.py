"""Trio tasks: cancel scopes, groups and threads."""
