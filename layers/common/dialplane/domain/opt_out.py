"""Whether what a callee says is the wish not to be called again. What follows from it belongs to ``usecases.converse``.

A wish that is not honoured breaks a promise and the law; a call that is ended for nothing costs a call. So in doubt it
is a wish: "do not call me at work" is one, for nobody asks on the phone which other number would be welcome. Another
time is none ("do not call me now"), nor is a name ("do not call me a liar"), nor what somebody else was told. Wishes
are heard in every language that is known here, whatever the call's language is; only single words such as "baja" need
it. What is not heard here is left to the model, which has a tool for it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import chain, groupby

from dialplane.domain.opt_out_words import LANGUAGES, Words, words_of

_LENGTH_MAX = 4_096
"""Of what is searched; nobody says more without a breath."""
_SENTENCE_ENDS = re.compile(r"[.!?;:…。！？\n]+")
_EMPHATIC = 2
"""Words of each sentence that is one with its neighbours: "Do not. Call me. Again.\""""
_NEGATION = re.compile(r"(?<=\w)n't\b")
_CONTRACTIONS = {"'ll": " will", "'re": " are", "'ve": " have", "'m": " am", "'d": " would", "'s": "s"}
_CONTRACTION = re.compile(r"(?<=\w)'(?:ll|re|ve|m|d|s)\b")
_WORDS = re.compile(r"[^\W_]+|,")
_AS_SPOKEN = {"im": "i am", "wanna": "want to", "gonna": "going to", "optout": "opt out"}
# What somebody is called, where the name is written like one: "do not call me Bob". It may be said to a sir.
_NAMED = re.compile(
    r"\b(?:[Cc]all(?:ing|ed)? (?:me|us|him|her)|be(?:ing)? called|llam(?:e|es|en)|appel(?:ez|le|les)(?: pas)?) "
    r"(?!I\b|Por\b|S'il\b|Sir\b|Ma|Mon|Mam|Señor|Again\b|Please\b|Ever\b)[A-ZÀ-Þ][a-zß-ÿ]+"
)


def is_opt_out(text: str, language: str | None) -> bool:
    """True when a callee who says this does not want to be called again.

    ``language`` is the call's, such as ``en-US``; None when nobody knows.
    """
    sentences = list(_sentences(_NAMED.sub(" ", text[:_LENGTH_MAX])))
    own = (language or "").partition("-")[0].lower()
    spoken = {"en", own} if own in LANGUAGES else LANGUAGES
    if any(_is_alone(sentences, words_of(each)) for each in spoken):
        return True
    return any(_is_wish(sentence, words_of(each)) for sentence in sentences for each in LANGUAGES)


def prepare() -> None:
    """Make ready what is searched with, in a moment when nobody waits: it takes as long as hundreds of searches."""
    for language in LANGUAGES:
        words_of(language)


def _sentences(text: str) -> Iterator[str]:
    """The sentences, each as small words without accents between single spaces, with a space before and after."""
    said = (_WORDS.findall(_plain(sentence)) for sentence in _SENTENCE_ENDS.split(text))
    for is_emphatic, together in groupby(filter(None, said), key=lambda words: len(words) <= _EMPHATIC):
        for words in [chain.from_iterable(together)] if is_emphatic else together:
            yield f" {' '.join(_AS_SPOKEN.get(word, word) for word in words)} "


def _plain(text: str) -> str:
    """Small letters without accents; what an apostrophe has shortened is written out or left out."""
    folded = unicodedata.normalize("NFKD", text.casefold().replace("’", "'").replace("`", "'"))
    bare = "".join(character for character in folded if not unicodedata.combining(character))
    bare = _CONTRACTION.sub(lambda match: _CONTRACTIONS[match[0]], _NEGATION.sub("nt", bare))
    return bare.replace("'", " ")


def _is_alone(sentences: Sequence[str], words: Words) -> bool:
    """Whether nothing is said but a word that is a wish by itself, once or several times."""
    said = [word for sentence in sentences for word in sentence.split() if word not in words.fillers and word != ","]
    return bool(said) and (all(word in words.alone for word in said) or " ".join(said) in words.alone)


def _is_wish(sentence: str, words: Words) -> bool:
    if not any(hint in sentence for hint in words.hints):
        return False
    if words.urgent is not None and words.urgent.search(sentence):
        return True
    return words.wishes.search(words.others.sub(" _ ", sentence)) is not None
