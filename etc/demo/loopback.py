"""loopback: free ports, waiting, stopping and users for servers that run in folders of their own on loopback."""

import os
import pathlib
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
import time

HANDED_OUT = set()  # the ports that free_port has given


class Failure(Exception):
    """A test's expectation that did not hold."""


def wait_until(condition, seconds, what):
    """Polls until `condition()` is true and returns its value; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def own_ports():
    """Ports that the system never gives by itself to a connection or to a bind without a port, so that a port found free stays free."""
    first, last = map(int, pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    below, above = range(10000, first), range(last + 1, 65536)
    return max(below, above, key=len) or range(10000, 65536)


def free_port(address="127.0.0.1"):
    """A port that is free for TCP and for UDP, and that this process has not been told before."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    ports = own_ports()
    for port in random.sample(ports, min(len(ports), 1000)):
        if port in HANDED_OUT:
            continue
        with socket.socket(family, socket.SOCK_STREAM) as stream, socket.socket(family, socket.SOCK_DGRAM) as datagram:
            try:
                stream.bind((address, port))
                datagram.bind((address, port))
            except OSError:
                continue
        HANDED_OUT.add(port)
        return port
    raise Failure(f"no port is free on {address}")


def shared_port(addresses):
    """A port that is free on every one of the addresses, for hosts that DNS names without a port."""
    for _ in range(200):
        port = free_port(addresses[0])
        try:
            for address in addresses:
                with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind((address, port))
            return port
        except OSError:
            continue
    raise Failure("no port is free on all addresses")


def current_user():
    return pwd.getpwuid(os.getuid()).pw_name


def stop_process(process, seconds=20):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Failure(f"{process.args[0]} did not end within {seconds} s of SIGTERM") from None


def daemon_user(folder):
    """A user for the daemon when the tests run as root; the folder is opened to it."""
    path = pathlib.Path(folder)
    while path != path.parent and str(path).startswith(tempfile.gettempdir() + "/"):
        os.chmod(path, 0o755)
        path = path.parent
    shutil.chown(folder, "nobody", "nogroup")
    return "nobody"
