"""What people write: YAML documents, list files and tables, read with every fault told by its line."""
