"""Vocabulary: frozen records and pure decisions; standard library only."""
