"""The space of mappings and the search in it."""
