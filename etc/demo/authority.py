"""authority: a throw-away certification authority, made with the openssl command."""

import pathlib
import subprocess

from loopback import Failure


class Authority:
    """A private CA that issues certificates with the openssl command."""

    def __init__(self, folder, name="Test CA", above=None):
        """`above`: the authority that signs this one; without it, it is a root."""
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.certificate = self.folder / "ca.pem"
        self.key = self.folder / "ca.key"
        self.serial = 1
        if above:
            request, extensions = self.folder / "ca.csr", self.folder / "ca.ext"
            extensions.write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign\n")
            self._openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256", "-subj", f"/CN={name}",
                          "-keyout", self.key, "-out", request)
            above.serial += 1
            self._openssl("x509", "-req", "-in", request, "-CA", above.certificate, "-CAkey", above.key, "-set_serial", above.serial,
                          "-days", "30", "-sha256", "-extfile", extensions, "-out", self.certificate)
            return
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256", "-days", "30",
                      "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate)

    def _openssl(self, *arguments):
        done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"openssl {arguments[0]}: {done.stderr}")
        return done.stdout

    def issue(self, *names, days=30, rsa=False, usage="serverAuth,clientAuth", expired=False, alternative=True):
        """Returns (certificate, key) paths of a leaf for the names; with `alternative` off, the first as common name alone."""
        self.serial += 1
        stem = self.folder / f"{names[0].replace('*', 'any')}-{self.serial}"
        key, request, certificate = pathlib.Path(f"{stem}.key"), pathlib.Path(f"{stem}.csr"), pathlib.Path(f"{stem}.pem")
        new_key = ["-newkey", "rsa:2048"] if rsa else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        self._openssl("req", "-new", *new_key, "-nodes", "-sha256", "-subj", f"/CN={names[0]}", "-keyout", key, "-out", request)
        extensions = pathlib.Path(f"{stem}.ext")
        extensions.write_text(("subjectAltName=" + ",".join(f"DNS:{name}" for name in names) if alternative else "") +
                              f"\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage={usage}\n")
        if expired:
            # `openssl x509` cannot date back; `openssl ca` can.
            index = pathlib.Path(f"{stem}.index")
            index.write_text("")
            serial = pathlib.Path(f"{stem}.serial")
            serial.write_text("%04x\n" % self.serial)
            config = pathlib.Path(f"{stem}.cnf")
            config.write_text(f"[ca]\ndefault_ca=d\n[d]\ndatabase={index}\nserial={serial}\nnew_certs_dir={self.folder}\n"
                              "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
            self._openssl("ca", "-batch", "-config", config, "-cert", self.certificate, "-keyfile", self.key, "-in", request,
                          "-out", certificate, "-notext", "-extfile", extensions, "-startdate", "20240101000000Z", "-enddate",
                          "20250101000000Z")
        else:
            self._openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-set_serial",
                          self.serial, "-days", days, "-sha256", "-extfile", extensions, "-out", certificate)
        return str(certificate), str(key)

    def revocation_list(self, *revoked, days=7):
        """The path of a CRL with these certificates on it."""
        self.serial += 1
        stem = self.folder / f"list-{self.serial}"
        index, config, number = (pathlib.Path(f"{stem}.{end}") for end in ("index", "cnf", "number"))
        index.write_text("")
        number.write_text("%04x\n" % self.serial)
        config.write_text(f"[ca]\ndefault_ca=d\n[d]\ndatabase={index}\ncrlnumber={number}\ndefault_md=sha256\ndefault_crl_days={days}\n")
        options = ["-config", config, "-cert", self.certificate, "-keyfile", self.key]
        for certificate in revoked:
            self._openssl("ca", *options, "-revoke", certificate)
        self._openssl("ca", *options, "-gencrl", "-out", f"{stem}.pem")
        return f"{stem}.pem"

    def self_signed(self, name):
        self.serial += 1
        stem = self.folder / f"self-{name}-{self.serial}"
        certificate, key = pathlib.Path(f"{stem}.pem"), pathlib.Path(f"{stem}.key")
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256", "-days", "30",
                      "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", certificate)
        return str(certificate), str(key)
