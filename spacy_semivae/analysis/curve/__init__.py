"""Learning curves: what labels and raw text add, each point trained with and without raw text."""
