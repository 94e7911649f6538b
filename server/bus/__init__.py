"""Buses between nodes: what :class:`server.ports.Bus` promises."""
