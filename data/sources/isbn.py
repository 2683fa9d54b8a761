"""ISBNs as they are stored: thirteen digits, or nothing."""

import re

_TEN = re.compile(r"[0-9]{9}[0-9X]")
_THIRTEEN = re.compile(r"97[89][0-9]{10}")


def isbn13(written: str | None) -> str | None:
    """An ISBN-10 or ISBN-13, with or without hyphens and spaces, as an ISBN-13; ``None`` when it is none.

    Check digits as in ISO 2108: for ten digits the weights 10..1 and modulus 11 (X is 10), for thirteen 1, 3, 1, … and
    modulus 10.
    """
    digits = re.sub(r"[\s\u2010-\u2015-]", "", written or "").upper()
    if _TEN.fullmatch(digits):
        values = [10 if d == "X" else int(d) for d in digits]
        if sum(weight * value for weight, value in zip(range(10, 0, -1), values, strict=True)) % 11:
            return None
        return _closed("978" + digits[:9])
    if _THIRTEEN.fullmatch(digits) and _closed(digits[:12]) == digits:
        return digits
    return None


def _closed(twelve: str) -> str:
    """Twelve digits and the check digit that closes them."""
    total = sum((3 if place % 2 else 1) * int(digit) for place, digit in enumerate(twelve))
    return f"{twelve}{-total % 10}"
