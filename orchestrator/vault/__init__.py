"""Markdown: the vault that operators own, read, planned and kept in step."""
