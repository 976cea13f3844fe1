"""policy_host: an HTTPS server for MTA-STS policies, whose faults are chosen by its arguments."""

import contextlib
import dataclasses
import http.server
import ssl
import threading
import time


@dataclasses.dataclass
class Policy:
    """What one policy host (a name of TLS SNI) answers."""

    text: str = ""
    status: int = 200
    media_type: str = "text/plain"
    redirect: str = ""
    delay: float = 0.0
    endless: str = ""  # header | body: never ends; records: each octet is a TLS record of its own
    closing: str = ""  # notify | cut: no Content-Length; the body ends with the connection, with close_notify or without


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # noqa: N802  (the name that http.server asks for)
        host = self.headers.get("Host", "").split(":")[0].lower()
        self.server.owner.requests.append((host, self.path))
        policy = self.server.owner.policies.get(host)
        if policy is None or self.path != "/.well-known/mta-sts.txt":
            return self.answer(404, "text/plain", b"not here\r\n")
        if policy.delay:
            time.sleep(policy.delay)
        if policy.redirect:
            self.send_response(301)
            self.send_header("Location", policy.redirect)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if policy.endless == "header":
            self.send_response(200)
            while True:
                self.wfile.write(b"X-More: " + b"x" * 1000 + b"\r\n")
        if policy.endless == "body":
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            while True:
                self.wfile.write(b"mx: " + b"x" * 1000 + b"\r\n")
        if policy.closing:
            self.send_response(200)
            self.send_header("Content-Type", policy.media_type)
            self.end_headers()
            self.wfile.write(policy.text.encode())
            self.wfile.flush()
            self.close_connection = True
            if policy.closing == "notify":
                with contextlib.suppress(OSError):
                    self.connection.unwrap()
            return None
        if policy.endless == "records":
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", "60000")
            self.end_headers()
            for _ in range(60000):
                self.wfile.write(b"x")
            return None
        return self.answer(policy.status, policy.media_type, policy.text.encode())

    def answer(self, status, media_type, body):
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address, owner):
        super().__init__(address, Handler)
        self.owner = owner

    def get_request(self):
        connection, peer = self.socket.accept()
        connection.settimeout(30)
        # The handshake belongs to the handler's thread: a client that never shakes hands must not stop the others.
        return self.owner.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), peer

    def handle_error(self, request, client_address):
        pass  # clients that go away are part of the tests


class PolicyHost:
    """Serves `policies` ({"mta-sts.example.org": Policy}) with one certificate for all names, or one of `certificates`."""

    def __init__(self, policies, certificate, certificates=None, address="127.0.0.1"):
        self.policies, self.requests = policies, []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        others = {}
        for name, pair in (certificates or {}).items():
            others[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            others[name].load_cert_chain(*pair)

        def choose(connection, name, _):
            if name in others:
                connection.context = others[name]
        self.context.sni_callback = choose
        self.server = Server((address, 0), self)
        self.address, self.port = self.server.server_address[:2]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
