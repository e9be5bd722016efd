"""Pure: values in, a decision with its reason out. No effects, no clock."""
