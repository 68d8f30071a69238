"""The Charge Point: the charge box. Public for plugins: the context types."""
