"""receiver: a small receiving mail server for the demo and the tests, whose faults are chosen by its arguments.

It speaks enough of RFC 5321 to take mail, records what it was given, and can misbehave in the ways that a TLS policy must
survive: no STARTTLS, STARTTLS refused, a handshake that fails, a reply injected behind STARTTLS, and any certificate."""

import dataclasses
import socket
import ssl
import threading
from typing import Callable, List, Optional


@dataclasses.dataclass
class Received:
    """One message as it arrived."""

    sender: str
    recipients: List[str]
    body: bytes
    tls: str  # "" when the message came in clear
    client_certificate: bool = False
    mail_parameters: str = ""


@dataclasses.dataclass
class Behaviour:
    """What the server does. `replies` maps a verb (MAIL, RCPT, DATA, END, EHLO, BANNER), or the beginning of a
    line ("RCPT TO:<gone"), to a reply that is sent instead."""

    name: str = "receiver.example"
    certificate: Optional[str] = None
    key: Optional[str] = None
    client_ca: Optional[str] = None  # asks for and demands a client certificate of this CA
    starttls: str = "offer"  # offer (when there is a certificate) | absent | refuse | inject | inject-later | hangup | garbage
    implicit_tls: bool = False
    extensions: tuple = ("PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")
    tls_extensions: tuple = ()  # offered inside TLS only, as REQUIRETLS is
    clear_extensions: tuple = ()  # offered in clear only
    replies: dict = dataclasses.field(default_factory=dict)
    most_sessions: int = 0  # one more hears 421 at its greeting; 0: any number
    on_message: Optional[Callable[[Received], None]] = None


class Receiver:
    """Listens on `address` (port 0: any) from construction until stop()."""

    def __init__(self, behaviour: Behaviour, address=("127.0.0.1", 0)):
        self.behaviour = behaviour
        self.messages: List[Received] = []
        self.envelope_octets = 0  # octets of MAIL, RCPT and message content that reached us: 0 when policy held
        self.connections = 0
        self.sessions = 0  # at this moment
        self.turned_away = 0
        self.lock = threading.Condition()
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(address)
        self.socket.listen(128)
        self.address, self.port = self.socket.getsockname()[:2]
        self.stopped = False
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self.stopped = True
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def wait_for(self, count: int, seconds: float) -> bool:
        """True when at least `count` messages have arrived within the time."""
        with self.lock:
            return self.lock.wait_for(lambda: len(self.messages) >= count, timeout=seconds)

    def _accept(self):
        while not self.stopped:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.behaviour.certificate, self.behaviour.key)
        if self.behaviour.client_ca:
            context.load_verify_locations(self.behaviour.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _serve(self, connection):
        with self.lock:
            self.sessions += 1
        try:
            connection.settimeout(60)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Session(self, connection).run()
        except (OSError, ssl.SSLError, ConnectionError, EOFError):
            pass
        finally:
            connection.close()
            with self.lock:
                self.sessions -= 1


class Session:
    """One connection."""

    def __init__(self, receiver: Receiver, connection):
        self.receiver = receiver
        self.behaviour = receiver.behaviour
        self.connection = connection
        self.tls = ""
        self.buffer = b""
        self.sender: Optional[str] = None
        self.mail_parameters = ""
        self.recipients: List[str] = []

    def say(self, text: str):
        self.connection.sendall(text.encode() + b"\r\n")

    def line(self) -> bytes:
        while b"\n" not in self.buffer:
            octets = self.connection.recv(65536)
            if not octets:
                raise EOFError
            self.buffer += octets
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def start_tls(self):
        self.connection = self.receiver._context().wrap_socket(self.connection, server_side=True)
        self.tls = self.connection.version()
        self.buffer = b""

    def run(self):
        if self.behaviour.implicit_tls:
            self.start_tls()
        if 0 < self.behaviour.most_sessions < self.receiver.sessions:
            self.receiver.turned_away += 1
            self.say("421 4.3.2 too many sessions from your address")
            return
        if "BANNER" in self.behaviour.replies:
            self.say(self.behaviour.replies["BANNER"])
            if not self.behaviour.replies["BANNER"].startswith("2"):
                return
        else:
            self.say(f"220 {self.behaviour.name} ESMTP")
        while True:
            line = self.line()
            verb = line[:4].upper().decode("latin-1").strip()
            if verb in ("MAIL", "RCPT", "DATA", "BDAT"):
                self.receiver.envelope_octets += len(line)
            reply = self.chosen_reply(verb, line)
            if reply is not None:
                self.say(reply)
                if reply.startswith("421"):
                    return
            elif verb == "EHLO":
                self.hello()
            elif verb == "HELO":
                self.say(f"250 {self.behaviour.name}")
            elif verb == "STAR":
                if not self.answer_starttls():
                    return
            elif verb == "MAIL":
                text = line[10:].decode("utf-8", "replace")
                self.sender = text[text.find("<") + 1 : text.find(">")]
                self.mail_parameters = text[text.find(">") + 1 :].strip()
                self.recipients = []
                self.say("250 2.1.0 ok")
            elif verb == "RCPT":
                text = line.decode("utf-8", "replace")
                self.recipients.append(text[text.find("<") + 1 : text.find(">")])
                self.say("250 2.1.5 ok")
            elif verb == "DATA":
                self.data()
            elif verb in ("RSET", "NOOP"):
                self.say("250 2.0.0 ok")
            elif verb == "QUIT":
                self.say("221 2.0.0 bye")
                return
            else:
                self.say("502 5.5.1 unknown command")

    def chosen_reply(self, verb: str, line: bytes) -> Optional[str]:
        """The one for lines that begin so ("RCPT TO:<gone"), else the one for the verb."""
        text = line.decode("utf-8", "replace")
        for begin, reply in self.behaviour.replies.items():
            if " " in begin and text.startswith(begin):
                return reply
        return self.behaviour.replies.get(verb)

    def hello(self):
        extensions = list(self.behaviour.extensions)
        extensions += self.behaviour.tls_extensions if self.tls else self.behaviour.clear_extensions
        offered = self.behaviour.starttls != "absent" and (self.behaviour.certificate or self.behaviour.starttls != "offer")
        if not self.tls and offered:
            extensions.append("STARTTLS")
        lines = [self.behaviour.name] + extensions
        for extension in lines[:-1]:
            self.say(f"250-{extension}")
        self.say(f"250 {lines[-1]}")

    def answer_starttls(self) -> bool:
        kind = self.behaviour.starttls
        if kind == "refuse":
            self.say("454 4.7.0 TLS is not available")
            return True
        if kind == "absent":
            self.say("502 5.5.1 unknown command")
            return True
        if kind == "inject":
            self.connection.sendall(b"220 2.0.0 go\r\n250 2.0.0 injected\r\n")
            return False
        self.say("220 2.0.0 go")
        if kind == "hangup":
            return False
        if kind == "inject-later":  # in a packet of its own, once the client has begun its handshake
            self.connection.recv(65536)
            self.connection.sendall(b"250 2.0.0 injected\r\n")
            return False
        if kind == "garbage":
            self.connection.recv(65536)
            self.connection.sendall(b"this is not TLS\r\n")
            return False
        self.start_tls()
        return True

    def data(self):
        if not self.recipients:
            self.say("554 5.5.1 no valid recipients")
            return
        self.say("354 go on")
        lines = []
        while True:
            line = self.line()
            self.receiver.envelope_octets += len(line)
            if line == b".":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
        recipients, self.recipients = self.recipients, []
        if "END" in self.behaviour.replies:
            self.say(self.behaviour.replies["END"])
            return
        has_certificate = bool(self.tls) and self.connection.getpeercert(True) is not None
        message = Received(self.sender or "", recipients, b"".join(line + b"\r\n" for line in lines), self.tls,
                           has_certificate, self.mail_parameters)
        with self.receiver.lock:
            self.receiver.messages.append(message)
            self.receiver.lock.notify_all()
        if self.behaviour.on_message:
            self.behaviour.on_message(message)
        self.say("250 2.0.0 taken")
