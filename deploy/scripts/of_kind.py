"""Those of the manifests on standard input whose kind is among the arguments. The standard library alone."""

import re
import sys


def main() -> None:
    kinds = set(sys.argv[1:])
    for document in re.split(r"(?m)^---\n", sys.stdin.read()):
        kind = re.search(r"(?m)^kind: (\w+)$", document)
        if kind and kind[1] in kinds:
            sys.stdout.write(f"---\n{document}")


if __name__ == "__main__":
    main()
