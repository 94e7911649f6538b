"""Where a stanza to a user goes: RFC 6121 section 8.5 as one function."""

from typing import Literal

PROTOCOL = ("RFC 6121 section 8.5", "2011-03", "complete")

To = Literal["bare", "match", "no match"]
"""The bare JID, the full JID of a resource that is there, or of one that is not."""
Account = Literal["absent", "away", "hidden", "there"]
"""No such account; none of its resources is available; those that are have negative priorities;
at least one has not."""
Outcome = Literal["one", "all", "account", "refuse", "ignore"]
"""To that resource; to all that take it; the server acts for the account (keeps a message for
later, answers an iq, changes a subscription); an error; nothing."""

_SUBSCRIPTIONS = ("subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe")


def outcome(name: str, kind: str, to: To, account: Account) -> Outcome:
    """``name`` and ``kind``: of the stanza; ``kind`` of a plain presence is empty.

    Where the RFC lets us choose between silence and an error, it is the error, and of several
    resources all are served.
    """
    if name == "presence":
        return _presence(kind, to, account)
    if name == "iq":
        return _iq(kind, to, account)
    return _message(kind, to, account)


def _message(kind: str, to: To, account: Account) -> Outcome:
    if to == "match":
        return "one"
    if kind == "error":
        return "ignore"
    if account == "absent" or kind == "groupchat":
        return "refuse"
    if kind == "headline":
        return "all" if to == "bare" and account == "there" else "ignore"
    if kind == "normal" and to == "no match":
        return "refuse"
    return "all" if account == "there" else "account"


def _presence(kind: str, to: To, account: Account) -> Outcome:
    if account == "absent":
        return "ignore"
    if kind in _SUBSCRIPTIONS:
        return "account"  # whatever resource is named
    if to == "match":
        return "one"
    is_for_all = to == "bare" and kind != "error" and account != "away"
    return "all" if is_for_all else "ignore"


def _iq(kind: str, to: To, account: Account) -> Outcome:
    if to == "match":
        return "one"
    if kind in ("result", "error"):
        return "ignore"
    return "account" if to == "bare" and account != "absent" else "refuse"
