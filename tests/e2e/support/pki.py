"""Wrong certificates, as made by mistake or on purpose: another CA, another purpose, expired."""

import datetime
import ipaddress
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
DAY = datetime.timedelta(days=1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _now():
    return datetime.datetime.now(datetime.timezone.utc)


class Ca:
    """A new CA, or with `folder` the development CA that `cpns init` created there."""

    def __init__(self, folder: pathlib.Path | None = None, name="another CA"):
        if folder is not None:
            self.key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
            self.certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
            return
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = (x509.CertificateBuilder().subject_name(_name(name)).issuer_name(_name(name))
                            .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
                            .not_valid_before(_now() - DAY).not_valid_after(_now() + DAY)
                            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                            .sign(self.key, hashes.SHA256()))

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, folder: pathlib.Path, file: str, uri: str, usage, begin=-DAY, end=DAY, ip=""):
        """Writes FILE.pem and FILE.key; `begin` and `end` are offsets from now. Returns the options of openssl for them."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.UniformResourceIdentifier(uri), *([x509.IPAddress(ipaddress.ip_address(ip))] if ip else [])]
        certificate = (x509.CertificateBuilder().subject_name(_name(file)).issuer_name(self.certificate.subject)
                       .public_key(key.public_key()).serial_number(x509.random_serial_number())
                       .not_valid_before(_now() + begin).not_valid_after(_now() + end)
                       .add_extension(x509.SubjectAlternativeName(names), critical=False)
                       .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
                       .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                       .sign(self.key, hashes.SHA256()))
        (folder / f"{file}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        secret = folder / f"{file}.key"
        secret.touch(mode=0o600)
        secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                             serialization.NoEncryption()))
        return options(folder, file)


def options(folder: pathlib.Path, file: str) -> list:
    return ["-cert", str(folder / f"{file}.pem"), "-key", str(folder / f"{file}.key")]
