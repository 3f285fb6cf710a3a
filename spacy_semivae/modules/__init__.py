"""Pure PyTorch modules: tensors in, tensors out; nothing here knows spaCy or Thinc."""
