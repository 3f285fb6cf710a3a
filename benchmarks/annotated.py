"""Part a corpus into the Docs with entities and the text of the others.

    python benchmarks/annotated.py corpus/btc-psl/labeled.spacy corpus/btc-psl

Writes annotated.spacy and others.jsonl. Where few Docs have annotation, a batch of the whole corpus
has little to learn from; so the first is trained on as labelled, the second as raw text.
"""

import argparse
from pathlib import Path

import spacy
import srsly
from spacy.tokens import Doc, DocBin


def main() -> None:
    """Write both parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    docs = list(DocBin().from_disk(args.corpus).get_docs(spacy.blank("en").vocab))
    annotated = [doc for doc in docs if doc.ents]
    DocBin(docs=annotated).to_disk(args.output / "annotated.spacy")
    srsly.write_jsonl(args.output / "others.jsonl", [tokens(d) for d in docs if not d.ents])


def tokens(doc: Doc) -> dict[str, list[str] | list[bool]]:
    """Give the words and spaces of a Doc, as `semivae.UnlabeledCorpus.v1` reads them."""
    return {"tokens": [t.text for t in doc], "spaces": [bool(t.whitespace_) for t in doc]}


if __name__ == "__main__":
    main()
