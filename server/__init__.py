"""Tandem: one chat server for JSON WebSocket and XMPP clients, on the same accounts and history."""

__version__ = "0.1.0"
