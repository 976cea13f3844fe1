"""strangers: a daemon that holds its limits against everybody, raw connections to it, and an honest client that is timed."""

import contextlib
import multiprocessing
import socket
import ssl
import statistics
import threading
import time

from harness import Behaviour, Daemon, Receiver, expect, send, wait_until

CONFIG = """
[[listener]]
name = "mx"
addresses = ["127.0.0.1:0"]
role = "mx"
check_senders = false

[[domain]]
domain = "ours.example"
catch_all = true
route = ["127.0.0.1:{port}"]
"""

HONEST = "127.200.0.9"  # shares no network with the attackers, who come from 127.0.0.0/24 and such


def daemon_for_strangers(test, config="", build=None, start=True):
    inside = test.keep(Receiver(Behaviour(starttls="absent")))
    daemon = test.keep(Daemon(test.folder / "daemon", CONFIG.format(port=inside.port) + config, build=build, start=start))
    daemon.inside = inside
    return daemon


def dial(port, source="127.0.0.1", timeout=20):
    return socket.create_connection(("127.0.0.1", port), timeout=timeout, source_address=(source, 0))


def read_reply(connection):
    """One reply with all its lines; empty at the end of the stream."""
    text = b""
    while True:
        octet = connection.recv(1)
        if not octet:
            return text.decode()
        text += octet
        if text.endswith(b"\r\n"):
            last = text[:-2].rsplit(b"\r\n", 1)[-1]
            if last[3:4] == b" ":
                return text.decode()


def ask(connection, line):
    connection.sendall(line.encode() + b"\r\n")
    return read_reply(connection)


def greeted(port, source="127.0.0.1", tls=False, timeout=20):
    connection = dial(port, source, timeout)
    expect(read_reply(connection).startswith("220"), "greeted")
    ask(connection, "EHLO client.example")
    if tls:
        expect(ask(connection, "STARTTLS").startswith("220"), "STARTTLS")
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = context.wrap_socket(connection)
        ask(connection, "EHLO client.example")
    return connection


def read_all(connection):
    """Everything until the end; what came before an error counts, the error is told too."""
    text = b""
    try:
        while True:
            part = connection.recv(65536)
            if not part:
                return text.decode(), ""
            text += part
    except OSError as error:
        return text.decode(), str(error)


class Attack:
    """Runs `attack(number)` in so many threads of a process of its own, over and over, while it is entered; its connections
    may fail as they like. In another process, so that the honest client is not kept waiting by this one's Python."""

    def __init__(self, attack, threads):
        self.attack = attack
        self.threads = threads
        self.process = multiprocessing.get_context("fork").Process(target=self._run, daemon=True)

    def _repeat(self, number):
        while True:
            with contextlib.suppress(OSError):
                self.attack(number)
            time.sleep(0.05)

    def _run(self):
        threads = [threading.Thread(target=self._repeat, args=(number,), daemon=True) for number in range(self.threads)]
        for thread in threads:
            thread.start()
        threads[0].join()

    def __enter__(self):
        self.process.start()
        time.sleep(0.5)  # the attack is under way
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.join()


def time_honest_client(daemon, messages=10):
    """Seconds that each message of an honest client takes, from its connection to 250."""
    times = []
    for number in range(messages):
        begun = time.monotonic()
        code, text = send(daemon.port("mx"), recipients=(f"honest{number}@ours.example",), source=HONEST)
        times.append(time.monotonic() - begun)
        expect(code == 250, f"the honest client hears {code} {text}")
    return times


def expect_served(daemon, what, median=1.0, worst=8.0):
    """An honest client and `status` are answered in time, and the client's messages reach the server behind us."""
    times = time_honest_client(daemon)
    expect(statistics.median(times) < median and max(times) < worst, f"{what}: an honest client waits {[round(t, 2) for t in times]} s")
    begun = time.monotonic()
    daemon.command("status")
    expect(time.monotonic() - begun < worst, f"{what}: status takes {time.monotonic() - begun:.1f} s")
    honest = {f"honest{number}@ours.example" for number in range(len(times))}
    wait_until(lambda: honest <= {r for m in daemon.inside.messages for r in m.recipients}, worst, f"{what}: honest mail is delivered")


def expect_mail_goes_on(daemon, receiver, recipient, what, listener="relay", sender="user@ours.example", seconds=2.0):
    """For so many seconds messages go one after another through `listener` to `receiver`, with a call of `status` before each;
    both are timed."""
    status, mail = [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end or not mail:
        began = time.monotonic()
        daemon.command("status")
        status.append(time.monotonic() - began)
        subject = f"honest {len(mail)} {began}"
        began = time.monotonic()
        code, text = send(daemon.port(listener), sender, [recipient], f"From: {sender}\r\nTo: {recipient}\r\nSubject: {subject}\r\n\r\nA line.\r\n")
        expect(code == 250, f"{what}: the honest client hears {code} {text}")
        wait_until(lambda s=subject.encode(): any(s in m.body for m in receiver.messages), 30, f"{what}: honest mail is delivered\n{daemon.tail()}")
        mail.append(time.monotonic() - began)
    print(f"  {what}: status {len(status)} times, median {statistics.median(status):.3f} s, longest {max(status):.3f} s; honest mail: median "
          f"{statistics.median(mail):.3f} s, longest {max(mail):.3f} s")
    expect(max(status) < 3 and statistics.median(status) < 1, f"{what}: the operator is answered: {max(status):.2f} s")
    expect(max(mail) < 6 and statistics.median(mail) < 2, f"{what}: honest mail is delivered: {max(mail):.2f} s")
