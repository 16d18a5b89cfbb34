"""What the program says of messages, in French: one table per area (`*.toml`), the English sentence its key."""
