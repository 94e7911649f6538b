"""What clients of a kind want to hear of (XEP-0115), once one of them has said it on this node."""

CACHED = 2000
"""Kinds of clients; one is a few hundred bytes."""


class Capabilities:
    """Hash method and hash → nodes of which such a client hears; the longest unused goes first."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], frozenset[str]] = {}

    def get(self, hash_name: str, ver: str) -> frozenset[str] | None:
        """None: nobody has said it yet."""
        found = self._known.pop((hash_name, ver), None)
        if found is not None:
            self._known[hash_name, ver] = found
        return found

    def learn(self, hash_name: str, ver: str, nodes: frozenset[str]) -> None:
        """What :func:`stanzas.caps.verification` has shown to be true."""
        self._known[hash_name, ver] = nodes
        if len(self._known) > CACHED:
            del self._known[next(iter(self._known))]
