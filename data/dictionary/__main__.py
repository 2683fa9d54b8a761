"""``python -m data.dictionary > docs/data-dictionary.md`` writes the page again."""

import sys

from data.dictionary.page import page

if __name__ == "__main__":
    sys.stdout.write(page())
