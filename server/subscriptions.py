"""Who sees whose presence, and how that changes (RFC 6121 section 3 and appendix A).

Of two users A and B, A's state and B's are one: ``sees`` has who of them sees the other's presence,
``asks`` who asked to and waits. For A, RFC 6121's "To" is A in ``sees`` and "From" is B in it;
"Pending Out" is A in ``asks`` and "Pending In" is B.
"""

from typing import Literal, NamedTuple

Kind = Literal["subscribe", "subscribed", "unsubscribe", "unsubscribed"]
Subscription = Literal["none", "to", "from", "both"]


class Bond(NamedTuple):
    """What two users are to each other.

    ``offers``: who asked for both directions at once, as it is done over JSON: agreeing with them
    is mutual.
    """

    sees: frozenset[int] = frozenset()
    asks: frozenset[int] = frozenset()
    offers: frozenset[int] = frozenset()

    def of(self, userid: int) -> Subscription:
        """In the words of the user's roster."""
        others = self.sees - {userid}
        if userid in self.sees:
            return "both" if others else "to"
        return "from" if others else "none"


class Step(NamedTuple):
    """What comes of a stanza. ``passed``: whether the contact gets it; ``answer``: what the
    server says to the user on the contact's behalf."""

    bond: Bond
    passed: bool
    answer: Kind | None = None


def step(bond: Bond, kind: Kind, user: int, contact: int) -> Step:
    """The user sends the contact a presence of this kind."""
    sees, asks, offers = bond
    if kind == "subscribe":
        if user in sees:
            return Step(bond, False, "subscribed")
        if contact in offers:
            return Step(bond._replace(sees=sees | {user}), False, "subscribed")
        return Step(bond._replace(asks=asks | {user}), user not in asks)
    if kind == "subscribed":
        if contact not in asks:
            return Step(bond, False)
        seeing = {contact, user} if contact in offers else {contact}
        mutual = asks - seeing
        return Step(Bond(sees | seeing, mutual, offers & mutual), True)
    # The user stops seeing the contact, or lets the contact see the user no longer.
    ends = user if kind == "unsubscribe" else contact
    if ends not in sees and ends not in asks:
        return Step(bond, False)
    return Step(Bond(sees - {ends}, asks - {ends}, offers - {ends}), True)
