r"""Half a surrogate pair is no character: JSON can carry ``\ud800``, UTF-8 and Postgres cannot. It is refused.

Which fields and parameters there are is read from the API's own description, so that a new one is asked, too.
"""

import itertools
import json
import urllib.parse
import uuid
from collections.abc import Iterator
from typing import Any, Final

import pytest

from serving.openapi import document
from tests.serving.conftest import PASSWORD, Library, Service, fields

DOCUMENT: Final = json.loads(document())
SCHEMAS: Final = DOCUMENT["components"]["schemas"]
LONELY: Final = ("\ud800", "A text that is long enough, with half a smile \ud83d", "\udc00\ud800")
AS_BYTES: Final = b"\xed\xa0\x80"  # what UTF-8 would make of U+D800 if it were allowed to
REFUSED: Final = {400, 422}
Json = dict[str, Any]


def resolved(schema: Json) -> Json:
    if "$ref" in schema:
        return resolved(SCHEMAS[schema["$ref"].rpartition("/")[2]])
    parts = schema.get("anyOf", [schema])
    return next((resolved(part) for part in parts if part.get("type") != "null"), {}) if "anyOf" in schema else schema


def example(schema: Json) -> Any:  # noqa: ANN401  any JSON
    """Something that the schema allows, as far as its examples tell."""
    schema = resolved(schema) | {key: schema[key] for key in ("examples", "example") if key in schema}
    if "properties" in schema:
        made = {name: example(part) for name, part in schema["properties"].items()}
        return made | schema.get("example", {})
    if schema.get("type") == "array":
        return [example(schema["items"])]
    return schema.get("examples", [schema.get("example")])[0]


def spoiled(value: Any, text: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401  any JSON
    """``value`` with ``text`` in one place, for each place, and the name of that place."""
    yield "", text
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in pairs:
        for below, other in spoiled(part, text):
            where = f"{name}.{below}".rstrip(".")
            yield where, {**value, name: other} if isinstance(value, dict) else [other]


def operations() -> Iterator[tuple[str, str, Json]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def bodies() -> Iterator[tuple[str, str, Json]]:
    for method, path, operation in operations():
        media = operation.get("requestBody", {}).get("content", {})
        if "application/json" in media:
            yield method, path, example(media["application/json"]["schema"])


@pytest.fixture
def names(library: Library) -> dict[str, str]:
    book = library.book("Emma")
    review = library.rate(library.reader(), book, 5)
    return {"book_id": str(book), "genre_id": str(library.genre("Classics")), "review_id": str(review)}


@pytest.fixture
def headers(service: Service, library: Library) -> dict[str, str]:
    """An administrator: who may do most gets furthest."""
    signed_in, reader = service.signed_in("admin@example.org")
    library.run("UPDATE users SET is_admin = true WHERE id = %s", reader)
    return signed_in


def there(path: str, names: dict[str, str]) -> str:
    return path.format_map({**dict.fromkeys(("event_id", "page_id"), str(uuid.uuid4())), **names})


def test_the_examples_are_bodies_with_many_fields() -> None:
    asked = {(method, path): body for method, path, body in bodies()}
    assert len(asked) > 10
    assert set(asked["POST", "/api/v1/auth/register"]) == {"email", "password", "first_name", "last_name"}
    assert sum(len(body) for body in asked.values()) > 30


def test_no_body_takes_half_a_character_in_any_place(
    service: Service, names: dict[str, str], headers: dict[str, str]
) -> None:
    json_type = {**headers, "Content-Type": "application/json"}
    answered, unnamed = {}, []
    for (method, path, body), text in itertools.product(bodies(), LONELY):
        for where, sent in (*spoiled(body, text), ("body", {**body, text: 1})):
            for written in (
                json.dumps(sent).encode(),
                json.dumps(sent, ensure_ascii=False).encode(errors="surrogatepass"),
            ):
                answer = service.client.request(method, there(path, names), content=written, headers=json_type)
                if answer.status_code not in REFUSED:
                    answered[method, path, where, ascii(text)] = answer.status_code
                elif where not in " ".join(fields(answer)):
                    unnamed.append((method, path, where, fields(answer)))
    assert answered == {}
    assert unnamed == []


def test_no_parameter_that_is_half_a_character_is_a_failure_of_ours(
    service: Service, names: dict[str, str], headers: dict[str, str]
) -> None:
    asked = 0
    for method, path, operation in operations():
        for parameter in operation.get("parameters", []):
            name, params, given = parameter["name"], {}, dict(names)
            sent: dict[str, str | bytes] = {**headers}
            if parameter["in"] == "path":
                given[name] = urllib.parse.quote(AS_BYTES)
            elif parameter["in"] == "header":
                sent[name] = AS_BYTES
            else:
                params[name] = AS_BYTES
            url = there(path, given) + ("?" + urllib.parse.urlencode(params) if params else "")
            answer = service.client.request(method, url, headers=sent)
            assert answer.status_code < 500, (method, url, name)
            asked += 1
    assert asked > 40


@pytest.mark.parametrize("charset", ["utf-8", "unicode_escape", "raw_unicode_escape", "utf-7", "idna", "rot13", "none"])
def test_a_form_in_an_odd_character_set_is_refused(service: Service, charset: str) -> None:
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n"
        for name, value in (("username", rb"\ud800" + AS_BYTES), ("password", PASSWORD.encode()))
    ]
    media = f"multipart/form-data; boundary=x; charset={charset}"
    answer = service.post("/auth/login", content=b"".join(parts) + b"--x--\r\n", headers={"Content-Type": media})
    assert answer.status_code in {400, 401, 422}, answer.text


def test_a_number_that_nobody_can_read_is_malformed_json(service: Service) -> None:
    body = b'{"email": ' + b"9" * 10_000 + b', "password": "x"}'
    answer = service.post("/auth/login/json", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in REFUSED
