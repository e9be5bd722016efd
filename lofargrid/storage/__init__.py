"""Where files lie: the port and its implementations."""
