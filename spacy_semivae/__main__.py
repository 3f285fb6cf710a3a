"""`python -m spacy_semivae`: the same commands as `python -m spacy semivae`."""

from .cli import app

if __name__ == "__main__":
    app(prog_name="python -m spacy_semivae")
