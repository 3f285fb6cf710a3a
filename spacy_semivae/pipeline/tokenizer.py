"""Tokenizer for tweets: rules that leave a hand-tokenised Twitter corpus whole.

They follow the conventions of Gimpel et al. (2011), "Part-of-Speech Tagging for Twitter". Unlike
with spaCy's English rules, contractions and hyphenated words are one token, as are runs of stops
and quotes, emoticons, runs of emoji, `#tags`, `@users`, URLs and `&amp;`-like entities. It is a
stock `Tokenizer` with other regular expressions, so a pipeline saves and reloads it.
"""

import re
from collections.abc import Callable

from spacy.language import Language
from spacy.tokenizer import Tokenizer
from spacy.util import compile_infix_regex, compile_prefix_regex, compile_suffix_regex, registry

URL = r"(?:https?://|www\.)\S*[\w/]"
DOMAIN = r"(?:[\w-]+\.)+(?:(?:com|net|org|edu|gov|info)|[a-z]{2,4}(?=/))(?:/\S*[\w/]|/)?"
EMAIL = r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
ENTITY = r"&(?:\w+|#\d+);"
# Eyes, nose and mouth. Bracket mouths may run (":)))"); a letter or digit is a part of a face only
# where no digit stands before it ("10:3") and no letter follows (":Paris").
EMOTICON = (
    r"(?:[:;=]['`]?[-o^~]?(?:\)+|\(+|\]+|\[+|[}{|/\\*@$])|(?<!\d)[:;=][-o^~]?[DPpOo3](?!\w)"
    r"|(?<!\w)[xX][-]?(?:D+|\)+)(?!\w)|(?<!\w)D[-]?[:=](?!\w)"
    r"|(?<!\w)(?:\(+|\)+|\[+|\]+)[-o^]?['`]?[:;=](?![-\w])"
    r"|\^[._-]*\^|-_+-|>[._]+<|\\[mo]/|(?<!\w)[oO][._]+[oO](?!\w)|(?<!\w)[Tt]_+[Tt](?!\w)"
    r"|(?:<|&lt;)[/\\]?3+)"
)
# Bullets, arrows, symbols, dingbats, private use (old phone emoji), emoji proper and their joiners.
EMOJI = (
    r"[\u00b7\u2022\u30fb\u2190-\u27bf\u2900-\u297f\u2b00-\u2bff\ue000-\uf8ff\ufe0f\u200d"
    r"\U0001f000-\U0001faff\U000e0020-\U000e007f]+"
)
# Stops and quotes that touch are one token, as in the hand-tokenised corpora (`."`, `!!`, `...`).
STOPS = r"['\"“”\u2018\u2019`\u00b4.?!…,:;]+"
BRACKETS = r"\(+|\)+|\[+|\]+|\{+|\}+|«+|»+|\*+|\|+"
ARROW = r"(?:<+|&lt;)[-=]+|[-=]+(?:>+|&gt;)|--+|==+|[~\u2013\u2014]+"
ABBREVIATION = r"(?:[^\W\d_]\.){2,}|(?:[Mm]rs?|[Mm]s|[Dd]r|[Ss]t|[Ss]en|[Gg]ov|[Vv]s)\."
WHOLE = (URL, DOMAIN, EMAIL, ENTITY, EMOTICON, EMOJI, ABBREVIATION)

AFFIXES = [EMOTICON, ENTITY, EMOJI, ARROW, STOPS, BRACKETS]
PREFIXES = [*AFFIXES, r"-+(?=[@#\"“(])", r"[<>](?=\w)"]
SUFFIXES = [*AFFIXES, r"(?<=\w)[<>]"]
# Text after an infix is not searched for affixes again. An empty match splits and takes nothing.
INFIXES = [
    EMOJI,
    r"(?<=\w)(?:\.{2,}|…|[?!]+|--+)(?=\w)",
    r"(?<=[^\W\d_])(?:[,;\u2014\"“”()]+)(?=[^\W\d_])",
    r"(?<=[a-z])\.(?=[A-Z])",
    r"(?<=\w)[.,:;!?…\"“”]+(?=[@#])",
    r"(?<=\w)(?=#\w)|(?<=\w\w)(?=@\w{3})|(?<=\w)(?=https?://)",
]


def _whole_token_pattern() -> str:
    """Return the pattern of texts between two spaces that are never split.

    Apart from the `WHOLE` forms that is any text made of symbols only, unless an emoticon, an emoji
    or an entity begins or ends it and other symbols follow or precede.
    """
    pictured = rf"(?:{EMOTICON}|{EMOJI}|{ENTITY})"
    symbols = rf"(?!{pictured})(?![^\w\s]*?{pictured}$)[^\w\s]+"
    return f"(?:{'|'.join((*WHOLE, symbols))})$"


def _grouped(patterns: list[str]) -> list[str]:
    """Return the patterns in groups: spaCy anchors each as a whole, without looking for `|`."""
    return [f"(?:{pattern})" for pattern in patterns]


@registry.tokenizers("semivae.TweetTokenizer.v1")
def create_tweet_tokenizer() -> Callable[[Language], Tokenizer]:
    """Create a function that makes the tweet tokenizer of a pipeline.

    RETURNS (Callable[[Language], Tokenizer]): Takes the pipeline and returns a `Tokenizer` without
        exceptions, so that `I'm` and `don't` stay whole.
    """

    def make_tokenizer(nlp: Language) -> Tokenizer:
        return Tokenizer(
            nlp.vocab,
            rules={},
            prefix_search=compile_prefix_regex(_grouped(PREFIXES)).search,
            suffix_search=compile_suffix_regex(_grouped(SUFFIXES)).search,
            infix_finditer=compile_infix_regex(INFIXES).finditer,
            token_match=re.compile(_whole_token_pattern()).match,
        )

    return make_tokenizer
