"""Productions and campaigns as the tracker holds them: entered, renewed, handed to the operator's verbs."""
