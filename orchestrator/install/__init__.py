"""What profiles need installed: checked, and provisioned into a place of the worker's own."""
