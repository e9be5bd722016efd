"""Where jobs run: the port, the registry, and one module for each system."""
