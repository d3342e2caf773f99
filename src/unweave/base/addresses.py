"""Addresses of servers and stores, as settings hold them."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit


def is_address(url: str) -> bool:
    """Whether it is a server's address that holds no secret; in ASCII, for letters that look like others mislead."""
    if not re.fullmatch(r"https?://[!-~]+", url):
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and not ("@" in parts.netloc or parts.query or parts.fragment)
    except ValueError:  # its port is no number, or what stands in brackets no address
        return False


def is_remote(place: str) -> bool:
    """Whether a place is an address, such as s3://BUCKET/PREFIX, and no path on a disk."""
    return "://" in place


def is_on_this_machine(url: str) -> bool:
    """Whether the server is on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
