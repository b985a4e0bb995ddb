"""Secrets in addresses are never shown: not in sentences, JSON or logs."""

from __future__ import annotations

import re

#: ``//user:secret@host``; the last ``@`` before the path ends the secret, so that one inside it hides nothing less.
_USER_INFO = re.compile(r"(?P<before>//[^/?#\s:@]*:)[^/?#\s]*@")
#: A secret with a slash, a question mark or a hash in it, which should have been escaped: no address, but a secret all the same.
_BROKEN_USER_INFO = re.compile(r"(?P<before>//[^/?#\s:@]*:)[^\s@]*@")
#: ``?password=secret``, ``&sslpassword=``, ``password=secret`` of libpq's other form, in any case, escaped or not.
_PARAMETER = re.compile(
    r"(?P<before>\b(?:[a-z_]*(?:password|passwd|passphrase|secret|token|api_?key)|pwd)(?:=|%3d)\s*)(?:'[^']*'|[^&\s,;'\")]+)",
    re.IGNORECASE,
)
_HIDDEN = r"\g<before>***"


def masked(text: str) -> str:
    """The text with ``***`` in place of whatever looks like a password in an address.

    >>> masked("postgresql://ann:geheim@db/rtqc?sslmode=require&password=x%26y cannot be used")
    'postgresql://ann:***@db/rtqc?sslmode=require&password=*** cannot be used'
    """
    text = _USER_INFO.sub(_HIDDEN + "@", text)
    text = _BROKEN_USER_INFO.sub(_HIDDEN + "@", text)
    return _PARAMETER.sub(_HIDDEN, text)


def without(text: str, secret: str | None) -> str:
    """The text, masked, and without this very secret wherever a library has put it."""
    if secret and len(secret) >= 4:
        text = text.replace(secret, "***")
    return masked(text)
