"""loopback: free ports, waiting, stopping and users for servers that run in folders of their own on loopback."""

import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import time


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


def free_port(address="127.0.0.1"):
    """A port that is free for TCP and for UDP."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for _ in range(200):
        with socket.socket(family, socket.SOCK_STREAM) as stream, socket.socket(family, socket.SOCK_DGRAM) as datagram:
            stream.bind((address, 0))
            port = stream.getsockname()[1]
            try:
                datagram.bind((address, port))
                return port
            except OSError:
                continue
    raise Failure("no port is free")


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
