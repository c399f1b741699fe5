"""Agent command lines: how each harness is launched, read and stopped."""
