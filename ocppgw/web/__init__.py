"""The control API and, later, the operator's page and metrics."""
