"""What commands that read raw text in a pipeline's own vocabulary share."""

from spacy.language import Language
from spacy.tokens import Doc

from ..annotate import annotator
from ..training.raw_text import RawRecord, RawTextError, normalize_text


def make_doc(nlp: Language, record: RawRecord) -> Doc:
    """Make the Doc of a text.

    nlp (Language): The pipeline.
    record (RawRecord): The text, perhaps with tokens.
    RETURNS (Doc): The Doc, not annotated.
    RAISES (RawTextError): When the tokenizer refuses the text.
    """
    try:
        return annotator.make_doc(nlp, record)
    except ValueError as error:
        rule = f"the text must suit the tokenizer ({error})"
        raise RawTextError(record.path, record.line, rule, record.join()) from error


def text_key(text: str) -> str:
    """Give what texts are compared by.

    text (str): The text.
    RETURNS (str): Letters and digits in lower case; without any all that is no space.
    """
    return normalize_text(text) or "".join(text.split())
