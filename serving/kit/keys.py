"""The keys of access tokens: one signs, others verify as well, so that a key can be exchanged while tokens are out."""

from collections.abc import Mapping
from typing import Any, Final

import jwt

from serving.settings import ServiceSettings, key_id

_ALGORITHM: Final = "HS256"


class Keys:
    """Signs with ``BRS_SECRET_KEY``; believes that key and those of ``BRS_OTHER_SECRET_KEYS``."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._signing = settings.secret_key.get_secret_value()
        others = (key.get_secret_value() for key in settings.other_secret_keys)
        self._known = {key_id(key): key for key in (self._signing, *others)}
        self.signs = key_id(self._signing)
        self.verifies = tuple(self._known)

    def sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._signing, algorithm=_ALGORITHM, headers={"kid": self.signs})

    def verified(self, token: str, issuer: str, options: jwt.types.Options) -> Mapping[str, Any]:
        """The claims of a token that one of the keys signed; what else must hold say ``issuer`` and ``options``.

        Raises:
            jwt.InvalidTokenError: any other token.
        """
        refused = jwt.InvalidTokenError("the key is not one of ours")
        for key in self._candidates(token):
            try:
                return jwt.decode(token, key, algorithms=[_ALGORITHM], issuer=issuer, options=options)
            except jwt.InvalidSignatureError as exc:
                refused = exc
        raise refused

    def _candidates(self, token: str) -> tuple[str, ...]:
        """The key that the token names, all of them where it names none: releases before this one named none."""
        header = jwt.get_unverified_header(token)
        if "kid" not in header:
            return tuple(self._known.values())
        known = self._known.get(header["kid"])
        return () if known is None else (known,)
