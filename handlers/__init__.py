"""The edges of the house: HTTP, WebSockets and XMPP streams; the only room with Tornado."""
