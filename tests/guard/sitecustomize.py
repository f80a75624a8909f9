"""No network but loopback, in a process and in all that it starts: Python runs this module before anything else.

`tests/conftest.py` puts this folder on PYTHONPATH. An audit hook sees every use of sockets, and none can take it off.
"""

from __future__ import annotations

import os
import sys

# Events with a host, and the place of the address among their arguments.
_ADDRESS = {
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
    "socket.gethostbyaddr": 0,
}


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event not in _ADDRESS:
        return
    address = arguments[_ADDRESS[event]]
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        if not isinstance(address, tuple):  # a path of this machine
            return
        address = address[0]
    elif address == os.uname().nodename:  # looking up one's own name reaches nobody
        return
    if not _is_here(address):
        raise AssertionError(f"a test tried to reach {address!r}; only loopback is allowed")


def _is_here(host: object) -> bool:
    from ipaddress import ip_address

    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if name in (None, "", "localhost"):
        return True
    try:
        return ip_address(str(name)).is_loopback
    except ValueError:
        return False


sys.addaudithook(_refuse)
