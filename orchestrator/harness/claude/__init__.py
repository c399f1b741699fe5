"""Claude Code: its command line, its messages and its control protocol."""
