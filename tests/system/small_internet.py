"""small_internet: a network namespace of one's own with a root name server, domains that answer, and ever new ones whose name servers
are silent. The addresses are those of the real root and of documentation; nothing leaves the namespace.

  hN.example   answers: SPF for 127.0.1.1, MX to itself; everything else below "example" does not exist
  dN.attack    delegated to a name server of its own, in 198.18.0.0/15, which hears and never answers
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

import harness

ROOT = "198.41.0.4"  # a.root-servers.net, which resolvers know by heart


def enter():
    """Runs the calling program once more in a network namespace of its own; skips where that is not permitted."""
    if os.environ.get("SMALL_INTERNET") == "yes":
        for command in (["link", "set", "lo", "up"], ["addr", "add", f"{ROOT}/32", "dev", "lo"],
                        ["route", "add", "local", "198.18.0.0/15", "dev", "lo"]):
            subprocess.run(["ip", *command], check=True)
        return
    if os.getuid() != 0 or not shutil.which("ip") or subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode != 0:
        harness.skip("needs root, ip and a network namespace of its own")
    os.environ["SMALL_INTERNET"] = "yes"
    os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv])


class RootServer:
    """The root zone, with everything in it; in a process of its own."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, str(pathlib.Path(__file__).resolve())])
        def answers():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(0.2)
                try:
                    client.sendto(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x00\x00\x06\x00\x01", (ROOT, 53))
                    return len(client.recv(4096)) > 12
                except OSError:
                    return False
        harness.wait_until(answers, 15, "the root server answers")

    def stop(self):
        harness.stop_process(self.process)


class Silent:
    """A resolver, or every name server of 198.18.0.0/15: bound, so that nobody is told that nothing is there."""

    def __init__(self, address, port=53):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        self.address, self.port = address, port

    def stop(self):
        self.socket.close()


class Unbound:
    """Debian's unbound as a caching resolver for others, which asks from the root."""

    def __init__(self, folder, address="127.0.0.53"):
        program = harness.need("unbound")
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.address, self.port = address, harness.free_port(address)
        file = self.folder / "unbound.conf"
        file.write_text(f'server:\n    interface: {address}@{self.port}\n    username: ""\n    chroot: ""\n    directory: "{self.folder}"\n'
                        f'    pidfile: ""\n    use-syslog: no\n    logfile: ""\n    module-config: "iterator"\n    do-ip6: no\n'
                        f'    do-not-query-localhost: no\n    num-threads: 1\n    access-control: 127.0.0.0/8 allow\n'
                        f'remote-control:\n    control-enable: no\n')
        self.log = open(self.folder / "log", "w", encoding="utf-8")
        self.process = subprocess.Popen([program, "-d", "-c", str(file)], stdout=self.log, stderr=self.log)
        def answers():
            if self.process.poll() is not None:
                raise harness.Failure("unbound ended: " + (self.folder / "log").read_text())
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(0.5)
                try:
                    client.sendto(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02h0\x07example\x00\x00\x10\x00\x01", (address, self.port))
                    return client.recv(4096)[3] & 15 == 0
                except OSError:
                    return False
        harness.wait_until(answers, 20, f"unbound answers; see {self.folder}/log")

    def stop(self):
        harness.stop_process(self.process)
        self.log.close()


def reply_to(packet):
    """What the root server says."""
    import dns.flags  # noqa: PLC0415  (only the server's process needs it)
    import dns.message
    import dns.name
    import dns.rcode
    import dns.rdatatype
    import dns.rrset
    query = dns.message.from_wire(packet)
    reply = dns.message.make_response(query)
    question = query.question[0]
    labels = [label.decode().lower() for label in question.name.labels[:-1]]
    def record(section, name, kind, *texts):
        section.append(dns.rrset.from_text(name, 60, "IN", kind, *texts))
    def nothing(code=dns.rcode.NOERROR):
        reply.flags |= dns.flags.AA
        reply.set_rcode(code)
        record(reply.authority, ".", "SOA", "a.root-servers.net. x. 1 60 60 60 60")
    kind = dns.rdatatype.to_text(question.rdtype)
    if len(labels) >= 2 and labels[-1] == "attack":
        number = int(labels[-2][1:]) if labels[-2][1:].isdigit() else 0
        zone = f"{labels[-2]}.attack."
        record(reply.authority, zone, "NS", f"ns.{zone}")
        record(reply.additional, f"ns.{zone}", "A", f"198.18.{number // 250 % 250}.{number % 250 + 1}")
    elif not labels and kind == "NS":
        reply.flags |= dns.flags.AA
        record(reply.answer, ".", "NS", "a.root-servers.net.")
        record(reply.additional, "a.root-servers.net.", "A", ROOT)
    elif len(labels) == 2 and labels[1] == "example" and labels[0][:1] == "h":
        reply.flags |= dns.flags.AA
        name = f"{labels[0]}.example."
        known = {"TXT": '"v=spf1 ip4:127.0.1.1 -all"', "MX": f"10 {name}", "A": "127.0.1.1"}
        if kind in known:
            record(reply.answer, name, kind, known[kind])
        else:
            nothing()
    elif labels[-3:] == ["root-servers", "net"] or labels[-2:] == ["root-servers", "net"]:
        reply.flags |= dns.flags.AA
        if kind == "A" and labels[0] == "a":
            record(reply.answer, "a.root-servers.net.", "A", ROOT)
        else:
            nothing()
    elif labels and (len(labels) > 2 and labels[-1] == "example" or labels[-1] not in ("example", "attack", "arpa", "net")):
        nothing(dns.rcode.NXDOMAIN)
    else:
        nothing()
    return reply.to_wire()


def serve():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    server.bind((ROOT, 53))
    server.settimeout(1)
    parent = os.getppid()
    while os.getppid() == parent:  # a test that is killed leaves nobody behind
        try:
            packet, peer = server.recvfrom(4096)
        except TimeoutError:
            continue
        try:
            reply = reply_to(packet)
        except Exception as error:  # noqa: BLE001  (a question that is none must not end the server)
            print("small_internet:", error, file=sys.stderr)
            continue
        server.sendto(reply, peer)


if __name__ == "__main__":
    serve()
