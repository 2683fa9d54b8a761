"""Whose request it is, for the limits: a reader by a token that we signed, anybody else by network address."""

import functools
import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

from serving.kit.auth import Tokens, UserId

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_ONE_HOME: Final = 64  # bits; a provider gives each customer at least that much of IPv6 (RFC 6177)


def parsed(text: str) -> Address | None:
    """The address in one entry of ``X-Forwarded-For``, with or without a port; ``None`` when it is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


class Callers:
    """Tells callers apart.

    Args:
        tokens: Reads access tokens.
        trusted_proxies: Addresses and networks whose ``X-Forwarded-For`` is believed.
    """

    def __init__(self, tokens: Tokens, trusted_proxies: Sequence[str]) -> None:
        self._tokens = tokens
        self._proxies: tuple[Network, ...] = tuple(
            ipaddress.ip_network(proxy, strict=False) for proxy in trusted_proxies
        )
        self._is_proxy = functools.lru_cache(maxsize=1024)(self._is_in_a_trusted_network)

    def user(self, scope: Scope) -> UserId | None:
        """The reader whom a token that we signed names. It may have expired: it is still theirs, and nobody else's."""
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        return self._tokens.owner(token.strip()) if scheme.lower() == "bearer" else None

    def address(self, scope: Scope) -> str:
        """The client's address; of an IPv6 address its /64, because one home has all of that.

        Entries of ``X-Forwarded-For`` are believed from the right, as long as trusted proxies wrote them: whatever
        stands left of the first untrusted hop may be invented.
        """
        peer = scope["client"][0] if scope.get("client") else "unix socket"
        client = parsed(peer)
        if client is None:
            return str(peer)
        for hop in _hops(scope):
            if not self._is_proxy(client):
                break
            further = parsed(hop)
            if further is None:
                break
            client = further
        if isinstance(client, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((client, _ONE_HOME), strict=False))
        return str(client)

    def _is_in_a_trusted_network(self, address: Address) -> bool:
        return any(address in network for network in self._proxies)


def _hops(scope: Scope) -> Iterator[str]:
    """Entries of ``X-Forwarded-For``, the nearest first."""
    lines = Headers(scope=scope).getlist("x-forwarded-for")
    return reversed([hop for line in lines for hop in line.split(",")])
