"""The loop: whose turn it is, what it may do, how it ended."""
