"""harness: what the system tests share: temporary folders, certificates, DNS zones, the daemon, and waiting for events.

Every server gets its own folder and a free port on loopback, and is stopped by its process id. Nothing waits by sleeping a
fixed time: waits poll for the event that they need, up to a limit, and say what was missing."""

import contextlib
import ctypes
import fcntl
import json
import os
import pathlib
import shutil
import signal
import smtplib
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import traceback

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("PORTCULLIS_BUILD", SOURCE / "build" / "dev"))
sys.path.insert(0, str(SOURCE / "etc" / "demo"))

# Shared with the demo; the tests import them from here.
from authority import Authority  # noqa: E402,F401
from loopback import Failure, daemon_user, free_port, shared_port, stop_process, wait_until  # noqa: E402,F401
from name_server import Knot  # noqa: E402,F401
from receiver import Behaviour, Receiver  # noqa: E402,F401

SKIP = 77


def expect(condition, text):
    if not condition:
        raise Failure(text)


def expect_equal(got, wanted, what):
    if got != wanted:
        raise Failure(f"{what}: got {got!r}, wanted {wanted!r}")


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIP)


def is_sanitized(build=BUILD):
    return b"__asan_init" in (build / "portcullisd").read_bytes()


def plain_build():
    """A build without sanitizers, which keep freed memory and read descriptors of their own; None where there is none."""
    for build in (BUILD, SOURCE / "build" / "release"):
        if (build / "portcullisd").exists() and not is_sanitized(build):
            return build
    print("skipped in part: needs build/release, which ./test builds")
    return None


def build_with_descriptors(build, folder, count):
    """A folder with the programs, of which the daemon runs with so few descriptors."""
    folder.mkdir()
    (folder / "portcullis").symlink_to(build / "portcullis")
    script = folder / "portcullisd"
    script.write_text(f'#!/bin/sh\nulimit -n {count}\nexec "{build}/portcullisd" "$@"\n')
    script.chmod(0o755)
    return folder


def limit_descriptors(daemon, count):
    """From now on the running daemon gets no descriptor above this number; None: as many as it may have."""
    status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text().split()
    user, group = (int(status[status.index(f"{name}:") + 1]) for name in ("Uid", "Gid"))
    # Only the same user may do so without further rights.
    act = ("import resource, sys; pid, count = map(int, sys.argv[1:]); hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]; "
           "resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard if count < 0 else count, hard))")
    whom = {"user": user, "group": group, "extra_groups": []} if os.getuid() == 0 else {}
    subprocess.run([sys.executable, "-c", act, str(daemon.process.pid), str(-1 if count is None else count)], check=True, cwd="/", **whom)


def need(*programs):
    """Skips the test when a program is not there; returns the paths."""
    paths = []
    for program in programs:
        path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if not path:
            skip(f"{program} is not installed")
        paths.append(path)
    return paths if len(paths) > 1 else paths[0]


BASE_CONFIG = """
[server]
hostname = "mx.ours.example"
user = ""
threads = 2
shutdown_grace = "5s"

[log]
level = "debug"

[spool]
path = "spool"
segment_size = "4MiB"
min_free = "1MiB"

[control]
socket = "control.sock"

[[certificate]]
name = "main"
certificate = "{certificate}"
key = "{key}"

[queue]
postmaster = "postmaster@ours.example"
"""


class Daemon:
    """portcullisd in a folder of its own. `config` is TOML behind BASE_CONFIG (or all of it with base=False)."""

    def __init__(self, folder, config, partners=None, certificate=None, base=True, build=None, start=True, as_user=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.build = pathlib.Path(build or BUILD)
        self.as_user = as_user
        self.wrapper = []  # the program, with arguments, that starts the daemon's
        self.config_file = self.folder / "portcullis.toml"
        if certificate is None:
            certificate = Authority(self.folder / "ca").issue("mx.ours.example")
        self.certificate = certificate
        self.write_config(config, partners or {}, base)
        self.process = None
        self.log_file = self.folder / "log"
        self.runs = 0
        if start:
            self.start()

    def write_config(self, config, partners=None, base=True):
        text = config
        if base:
            text = BASE_CONFIG.format(certificate=self.certificate[0], key=self.certificate[1]) + config
            if os.getuid() == 0:  # the tests run as whoever they are; the privilege test starts as root on purpose
                user = self.as_user or daemon_user(self.folder)
                text = text.replace('user = ""', f'user = "{user}"')
                shutil.chown(self.certificate[1], user)  # a reload reads it as that user
        self.config_file.write_text(text)
        folder = self.folder / "partners.d"
        folder.mkdir(exist_ok=True)
        for name, body in (partners or {}).items():
            (folder / f"{name}.toml").write_text(body)

    def start(self, expect_running=True):
        self.runs += 1
        self.log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
        output = open(self.log_file, "ab")
        environment = dict(os.environ)
        environment.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
        environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        self.process = subprocess.Popen([*self.wrapper, str(self.build / "portcullisd"), "--config", str(self.config_file)], stdout=output,
                                        stderr=output, cwd=self.folder, env=environment)
        output.close()
        if expect_running:
            wait_until(self._listening, 60, f"the daemon listens; its log:\n{self.tail()}")

    def _listening(self):
        if self.process.poll() is not None:
            raise Failure(f"the daemon ended with status {self.process.returncode}:\n{self.tail()}")
        return self.events("listening") and os.path.exists(self.socket_path())

    def socket_path(self):
        return self.folder / "control.sock"

    def tail(self, count=40):
        return "\n".join(self.log_text().splitlines()[-count:])

    def log_text(self):
        if not self.log_file.exists():
            return ""
        with open(self.log_file, "rb") as file:
            file.seek(self.log_start)
            return file.read().decode("utf-8", "replace")

    def events(self, name=None, **fields):
        """Log lines of this run as dicts, filtered by event name and field values."""
        found = []
        for line in self.log_text().splitlines():
            row = parse_logfmt(line)
            if row and (name is None or row.get("event") == name) and all(row.get(k) == v for k, v in fields.items()):
                found.append(row)
        return found

    def wait_event(self, name, seconds=20, **fields):
        return wait_until(lambda: (self.events(name, **fields) or [None])[0], seconds,
                          f"event={name} {fields}; the log ends:\n{self.tail()}")

    def port(self, listener="mx"):
        """Of the first address of the listener; waits for its line, since each has one of its own."""
        def bound():
            return next((row["address"] for row in self.events("listening", listener=listener)), None)
        return int(wait_until(bound, 20, f"listener {listener} is bound").rsplit(":", 1)[1])

    def command(self, *arguments, check=True, parse=True, as_text=False):
        """Runs `portcullis --json …` and returns its answer; `as_text`: without --json, and what it prints."""
        done = subprocess.run([str(self.build / "portcullis"), "--config", str(self.config_file), "--socket",
                               str(self.socket_path()), *([] if as_text else ["--json"]), *map(str, arguments)],
                              capture_output=True, text=True, check=False, cwd=self.folder)
        if check and done.returncode != 0:
            raise Failure(f"portcullis {' '.join(map(str, arguments))}: status {done.returncode}\n{done.stdout}{done.stderr}")
        if as_text:
            return done.stdout
        return json.loads(done.stdout) if parse and done.stdout.strip() else done

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=30):
        """SIGTERM; fails when the end is not clean (sanitizer findings are a status other than 0)."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"the daemon did not end within {seconds} s of SIGTERM:\n{self.tail()}") from None
        expect(status == 0, f"the daemon ended with status {status}:\n{self.tail(80)}")


def parse_logfmt(line):
    """A log line as a dict; nothing for lines that are none (sanitizer output)."""
    row, rest = {}, line.strip()
    while rest:
        key, equals, rest = rest.partition("=")
        if not equals or " " in key:
            return None
        if rest.startswith('"'):
            value, at = [], 1
            while at < len(rest) and rest[at] != '"':
                if rest[at] == "\\" and at + 1 < len(rest):
                    at += 1
                value.append(rest[at])
                at += 1
            row[key], rest = "".join(value), rest[at + 1 :].lstrip(" ")
        else:
            row[key], _, rest = rest.partition(" ")
    return row


def send(port, sender="someone@there.example", recipients=("user@ours.example",), body=None, starttls=True, address="127.0.0.1",
         helo="client.there.example", options=(), rcpt_options=(), certificate=None, source=None):
    """Sends one message with smtplib, from the address `source`, and returns the final reply as (code, text)."""
    if body is None:
        body = "From: someone@there.example\r\nTo: user@ours.example\r\nSubject: test\r\n\r\nA line.\r\n"
    with contextlib.closing(smtplib.SMTP(address, port, local_hostname=helo, timeout=60,
                                         source_address=(source, 0) if source else None)) as client:
        client.ehlo()
        if starttls:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            if certificate:
                context.load_cert_chain(*certificate)
            client.starttls(context=context)
            client.ehlo()
        code, text = client.mail(sender, list(options))
        if code != 250:
            return code, text.decode()
        refused = None
        for recipient in recipients:
            code, text = client.rcpt(recipient, list(rcpt_options))
            if code not in (250, 251):
                refused = (code, text.decode())
        if refused and len(recipients) == 1:
            return refused
        code, text = client.data(body)
        with contextlib.suppress(smtplib.SMTPException, OSError):
            client.quit()
        return code, text.decode()


class Test:
    """Runs a function with a temporary folder and stops what it registered; prints what failed."""

    def __init__(self):
        self.stack = contextlib.ExitStack()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="portcullis-test-"))

    def keep(self, server):
        """Stops the server at the end of the test."""
        self.stack.callback(server.stop)
        return server


def enter_own_network():
    """As root: a network of this process's own with loopback alone, so that tests side by side share no port, and none leaves this
    machine. Where that is not permitted the test runs in the network that is there."""
    if os.getuid() != 0 or os.environ.get("SMALL_INTERNET") == "yes":
        return
    new_network = 0x40000000  # CLONE_NEWNET, unshare(2)
    if ctypes.CDLL(None, use_errno=True).unshare(new_network) != 0:
        return
    get_flags, set_flags, up = 0x8913, 0x8914, 1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP: netdevice(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = bytearray(struct.pack("16sh14x", b"lo", 0))
        fcntl.ioctl(control, get_flags, request)
        flags = struct.unpack_from("16xh", request)[0]
        fcntl.ioctl(control, set_flags, struct.pack("16sh14x", b"lo", flags | up))


def main(*functions):
    """Runs each test function with a fresh Test; exit status 1 when one failed."""
    enter_own_network()
    failed = 0
    for function in functions:
        test = Test()
        started = time.monotonic()
        try:
            with test.stack:
                function(test)
            print(f"ok    {function.__name__} ({time.monotonic() - started:.1f} s)")
            shutil.rmtree(test.folder, ignore_errors=True)
        except SystemExit:
            raise
        except BaseException:  # noqa: BLE001  (a failing test must not keep the others from running)
            failed += 1
            print(f"FAILED {function.__name__}: files are kept in {test.folder}")
            traceback.print_exc()
        sys.stdout.flush()
    print(f"{len(functions) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
