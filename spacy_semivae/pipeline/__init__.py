"""The spaCy components: the only modules that know Examples, losses and optimizers."""
