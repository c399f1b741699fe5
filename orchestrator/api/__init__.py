"""HTTP: REST, events, metrics, health, and MCP."""
