"""Formats of annotation tools: texts with predictions out, people's answers back in."""
