"""Use cases: one typed function per verb."""
