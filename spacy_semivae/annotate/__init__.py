"""Annotate corpora of any size with a trained pipeline, in shards that survive interruptions."""
