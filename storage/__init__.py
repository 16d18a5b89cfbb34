"""The database under registry, repository and security: one connection policy, one way to commit."""
