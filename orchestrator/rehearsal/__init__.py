"""Rehearsal: a scripted model on loopback, so that a real agent runs without network or money."""
