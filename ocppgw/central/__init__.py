"""The Central System. Public for plugins: the context types."""
