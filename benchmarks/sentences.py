"""Cut reviews into sentences: raw text from another domain than tweets.

python benchmarks/sentences.py reviews.jsonl.gz corpus/imdb/sentences.txt --limit 10500
"""

import argparse
import gzip
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import spacy
import srsly


def sentences(path: Path) -> Iterator[str]:
    """Read the sentences of a .jsonl.gz file with a `text` a line.

    path (Path): The file.
    YIELDS (str): Sentences, without line breaks.
    """
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    with gzip.open(path, "rt", encoding="utf8") as lines:
        for doc in nlp.pipe(srsly.json_loads(line)["text"] for line in lines):
            yield from filter(None, (" ".join(sent.text.split()) for sent in doc.sents))


def main() -> None:
    """Write the sentences, one a line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--limit", type=int, default=10500)
    args = parser.parse_args()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    found = islice(sentences(args.input), args.limit)
    args.output.write_text("".join(f"{text}\n" for text in found), encoding="utf8")


if __name__ == "__main__":
    main()
