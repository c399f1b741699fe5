"""Database: tables, one module of queries per subject, and the one door to SQL."""
