"""Thinc wrappers: Docs and arrays on one side, the tensors of `modules` on the other."""
