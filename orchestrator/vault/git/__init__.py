"""The vault as a clone: local edits out, other people's edits in, nothing lost on either side."""
