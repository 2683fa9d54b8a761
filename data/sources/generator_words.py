"""Names and titles that nobody has written: words put together from syllables."""

import numpy as np

VOCABULARY = 1024
_ONSETS = ("b", "br", "c", "d", "dr", "f", "g", "gl", "h", "k", "l", "m", "n", "p", "qu", "r", "s", "st", "t", "v", "z")
_VOWELS = ("a", "e", "i", "o", "u", "ae", "ia", "ou")
_ENDINGS = ("", "l", "n", "nd", "r", "rth", "s", "sk", "th", "x")
_TITLES = ("The {0} of {1}", "{0} and {1}", "The {0} {1}", "A {0} in {1}", "Beyond {0}, {1}", "{0} without {1}")
# Prime, so without a common factor with the number of titles or names: each number lands on another one.
_STRIDE = 2_654_435_761


class Words:
    """A vocabulary of ``VOCABULARY`` different words, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 0])
        words: dict[str, None] = {}
        while len(words) < VOCABULARY:
            onset, ending = _ONSETS[rng.integers(len(_ONSETS))], _ENDINGS[rng.integers(len(_ENDINGS))]
            middle = _ONSETS[rng.integers(len(_ONSETS))]
            first, second = rng.choice(len(_VOWELS), 2)
            words[f"{onset}{_VOWELS[first]}{middle}{_VOWELS[second]}{ending}".capitalize()] = None
        self._words = tuple(words)
        self._seed = seed

    def title(self, number: int) -> str:
        """A title; different numbers have different titles."""
        again, place = divmod(number, VOCABULARY * VOCABULARY * len(_TITLES))
        spread, pattern = divmod(self._spread(place, len(_TITLES)), len(_TITLES))
        title = _TITLES[pattern].format(*self._pair(spread))
        return title if again == 0 else f"{title} {again + 1}"

    def author(self, number: int) -> str:
        """A first and a last name; different numbers have different names until a million are used up."""
        return " ".join(self._pair(self._spread(number % VOCABULARY**2, 1)))

    def series(self, number: int) -> str:
        first, second = self._pair(self._spread(number % VOCABULARY**2, 1))
        return f"The {second} {first} Cycle"

    def genre(self, number: int) -> str:
        return f"{self._words[number]} Tales"

    def _spread(self, number: int, patterns: int) -> int:
        return (number * _STRIDE + self._seed) % (VOCABULARY * VOCABULARY * patterns)

    def _pair(self, number: int) -> tuple[str, str]:
        first, second = divmod(number, VOCABULARY)
        return self._words[first], self._words[second]
