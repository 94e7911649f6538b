"""The chat page: static files only, served at ``/``."""
