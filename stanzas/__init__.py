"""XML shapes and rules of XMPP, sans-I/O; the only room with lxml and slixmpp."""
