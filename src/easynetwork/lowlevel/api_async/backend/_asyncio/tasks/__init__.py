"""Asyncio tasks: cancel scopes, groups, shields and threads."""
