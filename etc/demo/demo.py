#!/usr/bin/python3
"""demo: Portcullis between a mail client and five receiving servers on loopback, two of which cannot be trusted.

Starts a DNS server, the daemon and the receivers; sends one message to each with swaks over STARTTLS; prints who was to be
protected how, what protection there was, and what became of the mail."""

import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

from authority import Authority
from loopback import Failure, daemon_user, shared_port, stop_process, wait_until
from name_server import Knot
from receiver import Behaviour, Receiver

HERE = pathlib.Path(__file__).resolve().parent


class Row:
    """One receiver and what must become of the mail for it."""

    def __init__(self, domain, who, address, wanted, got, delivered):
        self.domain, self.who, self.address = domain, who, address
        self.wanted, self.got, self.delivered = wanted, got, delivered
        self.receiver = None


ROWS = [
    Row("partner.example", "partner, good certificate", "127.0.0.2", "authenticated", "authenticated", True),
    Row("stripped.example", "partner, STARTTLS stripped", "127.0.0.3", "authenticated", "none", False),
    Row("wrong.example", "partner, wrong certificate", "127.0.0.4", "authenticated", "encrypted", False),
    Row("stranger.example", "stranger, self-signed", "127.0.0.5", "opportunistic", "encrypted", True),
    Row("plain.example", "stranger, no TLS", "127.0.0.6", "opportunistic", "none", True),
]


def start_receivers(folder, authority, port):
    certificates = {
        "partner.example": authority.issue("mx.partner.example", "partner.example"),
        "stripped.example": None,
        "wrong.example": authority.issue("mx.somebody-else.example"),
        "stranger.example": authority.self_signed("mx.stranger.example"),
        "plain.example": None,
    }
    for row in ROWS:
        behaviour = Behaviour(name=f"mx.{row.domain}")
        if certificates[row.domain]:
            behaviour.certificate, behaviour.key = certificates[row.domain]
        else:
            behaviour.starttls = "absent"
        row.receiver = Receiver(behaviour, (row.address, port))


def zone():
    lines = ["gateway A 127.0.0.1"]
    for row in ROWS:
        name = row.domain.removesuffix(".example")
        lines += [f"{name} MX 10 mx.{name}", f"mx.{name} A {row.address}"]
    return "\n".join(lines)


class Daemon:
    """portcullisd with the demo's configuration."""

    def __init__(self, binaries, folder, authority, dns_port, mx_port):
        self.binaries, self.folder = binaries, folder
        certificate, key = authority.issue("gateway.example")
        user = daemon_user(folder) if os.getuid() == 0 else ""
        values = {"user": user, "folder": folder, "certificate": certificate, "key": key, "dns_port": dns_port,
                  "mx_port": mx_port, "ca": authority.certificate}
        self.config = folder / "portcullis.toml"
        self._fill(HERE / "portcullis.toml", self.config, values)
        (folder / "partners.d").mkdir()
        for partner in sorted((HERE / "partners.d").glob("*.toml")):
            self._fill(partner, folder / "partners.d" / partner.name, values)
        self.process = subprocess.Popen([binaries / "portcullisd", "--config", self.config])
        self.listeners = wait_until(self._bound, 30, f"the daemon answers; see {folder}/portcullis.log")

    @staticmethod
    def _fill(source, target, values):
        text = source.read_text()
        for name, value in values.items():
            text = text.replace("{" + name + "}", str(value))
        target.write_text(text)

    def _bound(self):
        if self.process.poll() is not None:
            raise Failure(f"the daemon ended with status {self.process.returncode}")
        try:
            status = self.command("status")
        except Failure:
            return None
        return {row["listener"]: int(row["address"].rsplit(":", 1)[1]) for row in status["inbound"]["listeners"]}

    def command(self, *arguments):
        done = subprocess.run([self.binaries / "portcullis", "--config", self.config, "--json", *arguments],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"portcullis {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def deliveries(self):
        """The last delivery event of each domain, from the log."""
        rows = {}
        for line in (self.folder / "portcullis.log").read_text(errors="replace").splitlines():
            if " event=delivery " in line:
                row = dict(part.split("=", 1) for part in split_fields(line))
                rows[row["to"].rsplit("@", 1)[-1].strip("<>")] = row
        return rows


def split_fields(line):
    """key=value and key="quoted value" parts of a logfmt line."""
    part, quoted, escaped = "", False, False
    for character in line + " ":
        if escaped:
            part, escaped = part + character, False
        elif character == "\\" and quoted:
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == " " and not quoted:
            if "=" in part:
                yield part
            part = ""
        else:
            part += character


def send(port, recipient):
    done = subprocess.run(["swaks", "--server", f"127.0.0.1:{port}", "--tls", "--ehlo", "desk.gateway.example", "--from",
                           "sender@gateway.example", "--to", recipient, "--header", "Subject: a demo message", "--body",
                           "This is the body of a demo message.", "--hide-all"],
                          capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise Failure(f"swaks could not hand over mail for {recipient}: {done.stdout}{done.stderr}")


def show(daemon):
    """Prints the table; true when every row is as it must be."""
    deliveries = daemon.deliveries()
    queued = {recipient["address"].rsplit("@", 1)[1] for message in daemon.command("queue", "list")["messages"]
              for recipient in message["recipients"] if recipient["status"] == "pending"}
    lines, good = [("who", "wanted", "got", "result", "why")], True
    for row in ROWS:
        event = deliveries.get(row.domain, {})
        count = len(row.receiver.messages)
        result = "delivered" if count else "queued" if row.domain in queued else "LOST"
        right = (event.get("tls_wanted") == row.wanted and event.get("tls_got") == row.got and
                 (count == 1 and row.domain not in queued if row.delivered
                  else count == 0 and row.receiver.envelope_octets == 0 and row.domain in queued))
        good = good and right
        why = event.get("verdict_reason") or event.get("verdict", "?")
        if event.get("rule"):
            why += f" ({event['rule']})"
        lines.append((row.who, event.get("tls_wanted", "?"), event.get("tls_got", "?"), result + ("" if right else "  WRONG"), why))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    print()
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths + [0])))
    print()
    for row in ROWS:
        if not row.delivered:
            print(f"{row.domain}: its server received {len(row.receiver.messages)} messages and "
                  f"{row.receiver.envelope_octets} octets of envelope or content; the mail "
                  f"{'waits in the queue' if row.domain in queued else 'is NOT in the queue'}.")
    sys.stdout.flush()
    return good


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--binaries", type=pathlib.Path, required=True, help="folder of portcullisd and portcullis")
    options.add_argument("--once", action="store_true", help="end by itself; status 0 only if every row is right")
    arguments = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="portcullis-demo-"))
    folder.chmod(0o755)
    servers, good = [], False
    try:
        print(f"certificates, zones, spool and log: {folder}")
        authority = Authority(folder / "ca", "Portcullis demo CA")
        mx_port = shared_port([row.address for row in ROWS])
        start_receivers(folder, authority, mx_port)
        dns = Knot(folder / "dns", {"example": zone()})
        servers.append(dns.stop)
        print(f"DNS server (knot) with the zone example: 127.0.0.1 port {dns.port}")
        daemon = Daemon(arguments.binaries.resolve(), folder, authority, dns.port, mx_port)
        servers.insert(0, lambda: stop_process(daemon.process, 40))
        relay = daemon.listeners["relay"]
        print(f"portcullisd: relay on port {relay}, mx on port {daemon.listeners['mx']} of 127.0.0.1")
        for row in ROWS:
            send(relay, f"person@{row.domain}")
        wait_until(lambda: {row.domain for row in ROWS} <= daemon.deliveries().keys() and
                   all(row.receiver.wait_for(1, 0.1) for row in ROWS if row.delivered), 60, "every message was tried once")
        wait_until(lambda: daemon.command("queue", "count")["messages"] <= 2, 10, "delivered mail has left the queue")
        good = show(daemon)
        if not arguments.once:
            print(f"""
Send more:     swaks --server 127.0.0.1:{relay} --tls --from sender@gateway.example --to person@partner.example
What would be: {daemon.binaries}/portcullis --config {daemon.config} explain wrong.example
The queue:     {daemon.binaries}/portcullis --config {daemon.config} queue list
The log:       {folder}/portcullis.log
Ctrl-C ends the demo and removes its folder.""")
            sys.stdout.flush()
            signal.pause()
    except KeyboardInterrupt:
        print()
    except Failure as failure:
        print(f"demo: {failure}", file=sys.stderr)
        good = False
    finally:
        for stop in servers:
            try:
                stop()
            except Failure as failure:
                print(f"demo: {failure}", file=sys.stderr)
                good = False
        for row in ROWS:
            if row.receiver:
                row.receiver.stop()
        if good:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
