"""Language codes as ISO 639-1 has them: two letters."""

# Beside its two letters each language has one or two codes of three (ISO 639-2, bibliographic and terminological).
# fmt: off
_THREE_LETTERS = {
    "af": "afr", "ar": "ara", "bg": "bul", "bn": "ben", "bs": "bos", "ca": "cat", "cs": "cze ces", "cy": "wel cym",
    "da": "dan", "de": "ger deu", "el": "gre ell", "en": "eng", "es": "spa", "et": "est", "eu": "baq eus",
    "fa": "per fas", "fi": "fin", "fr": "fre fra", "ga": "gle", "gl": "glg", "he": "heb", "hi": "hin", "hr": "hrv",
    "hu": "hun", "hy": "arm hye", "id": "ind", "is": "ice isl", "it": "ita", "ja": "jpn", "ka": "geo kat",
    "ko": "kor", "la": "lat", "lt": "lit", "lv": "lav", "mk": "mac mkd", "ml": "mal", "mr": "mar", "ms": "may msa",
    "nb": "nob", "nl": "dut nld", "nn": "nno", "no": "nor", "pl": "pol", "pt": "por", "ro": "rum ron", "ru": "rus",
    "sk": "slo slk", "sl": "slv", "sq": "alb sqi", "sr": "srp", "sv": "swe", "ta": "tam", "te": "tel", "th": "tha",
    "tl": "tgl", "tr": "tur", "uk": "ukr", "ur": "urd", "vi": "vie", "zh": "chi zho",
}
# fmt: on
_TWO_LETTERS = {three: two for two, threes in _THREE_LETTERS.items() for three in threes.split()}
_KNOWN = frozenset(_THREE_LETTERS)


def iso_639_1(code: str | None) -> str | None:
    """The two letters for eng, en-US or EN; ``None`` for unknown codes and those that have none (mul, fil)."""
    language = (code or "").strip().lower().replace("_", "-").partition("-")[0]
    language = _TWO_LETTERS.get(language, language)
    return language if language in _KNOWN else None
