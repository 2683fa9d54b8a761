"""The API's description as a reviewed file: a change of the contract shows in the diff.

``python -m serving.openapi`` rewrites ``serving/openapi.json``; a test compares it with the service.
"""

import json
import sys
from pathlib import Path

from serving.app import create_app
from serving.settings import ServiceSettings

FILE = Path(__file__).with_name("openapi.json")


def document() -> str:
    """OpenAPI 3.1 as JSON text, the same on every machine and in every environment."""
    app = create_app(
        ServiceSettings.model_construct(), database_url="postgresql:///", tracking_uri=None, bundles=Path("bundles")
    )
    return json.dumps(app.openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
    sys.stdout.write(f"{FILE.name} written\n")
