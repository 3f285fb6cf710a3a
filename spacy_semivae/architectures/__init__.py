"""Builders that spaCy's registry knows: they check settings and compose layers, nothing else."""
