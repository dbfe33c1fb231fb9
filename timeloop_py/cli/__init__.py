"""The command line: one command per file, no logic of its own."""
