"""The key schedule of docs/protocol.md on python3-cryptography, one function per line of the document."""

import base64
import hashlib
import hmac
from typing import Optional

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from wire import COSE_PROTECTED, E

ZERO = bytes(32)


def H(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def M(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def extract(salt: bytes, ikm: bytes) -> bytes:
    return M(salt, ikm)


def X(key: bytes, info: list, length: int = 32) -> bytes:
    return HKDFExpand(hashes.SHA256(), length, E(info)).derive(key)


def gateway_id(kind: str, name: str) -> bytes:
    return H(E(["cpns/1 gw", kind, name]))[:16]


def issuer_nonce(k_iss: bytes, gw: bytes, slot: int) -> bytes:
    return M(k_iss, E(["cpns/1 issuer", gw, slot]))[:16]


def batch_info(batch_id: str, entity: str) -> bytes:
    return E(["cpns/1 batch", batch_id, entity])


def batch_temporary_key(bmk: bytes, batch_id: str, entity: str) -> bytes:
    return HKDFExpand(hashes.SHA256(), 16, batch_info(batch_id, entity)).derive(bmk)


def temporary_key(entity: str, tk: bytes, stretch: bool = False) -> bytes:
    salt = E(["cpns/1 temporary key", entity])
    if stretch:
        tk = hashlib.pbkdf2_hmac("sha256", tk, salt, 600_000, 32)
    return extract(salt, tk)


def presence_key(tk_prime: bytes) -> bytes:
    return X(tk_prime, ["cpns/1 presence"])


def gateway_temporary_key(tk_prime: bytes, gw: bytes, generation: int) -> bytes:
    return X(tk_prime, ["cpns/1 gateway", gw, generation])


def transcript1(dreq: bytes, drsp_first_eight: bytes) -> bytes:
    return H(E(["cpns/1 th1", dreq, drsp_first_eight]))


def possession(eukey: bytes, th1: bytes) -> bytes:
    return M(X(eukey, ["cpns/1 possession"]), th1)[:16]


def presence(k_pres: bytes, th1: bytes, possession_tag: Optional[bytes]) -> bytes:
    return M(k_pres, E([th1, possession_tag]))[:16]


def transcript2(th1: bytes, possession_tag: Optional[bytes], presence_tag: Optional[bytes], epoch: int, chained: bool,
                gw_share: bytes) -> bytes:
    return H(E(["cpns/1 th2", th1, possession_tag, presence_tag, epoch, chained, gw_share]))


def chain(eukey: bytes, gw: bytes, generation: int) -> bytes:
    return X(eukey, ["cpns/1 chain", gw, generation])


def x25519_public(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def x25519(private: bytes, peer: bytes) -> bytes:
    """Raises ValueError for an all-zero output."""
    out = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(peer))
    if out == ZERO:
        raise ValueError("all-zero output")
    return out


def delivery_key(th2: bytes, tkg: bytes, z: bytes, c: bytes):
    okm = X(extract(th2, tkg + z + c), ["cpns/1 delivery"], 44)
    return okm[:32], okm[32:]


def delivery_aad(th2: bytes) -> bytes:
    return E(["Encrypt0", COSE_PROTECTED, th2])


def seal(key: bytes, nonce: bytes, th2: bytes, eukey: bytes, owner_tag: bytes, rekey_seconds: int) -> bytes:
    return AESGCM(key).encrypt(nonce, E([eukey, owner_tag, rekey_seconds]), delivery_aad(th2))


def open_sealed(key: bytes, nonce: bytes, th2: bytes, sealed: bytes) -> bytes:
    """Raises InvalidTag."""
    return AESGCM(key).decrypt(nonce, sealed, delivery_aad(th2))


def confirm(eukey: bytes, th2: bytes) -> bytes:
    return M(X(eukey, ["cpns/1 confirm"]), th2)[:16]


def retire(eukey: bytes, th1: bytes) -> bytes:
    return M(X(eukey, ["cpns/1 retire"]), th1)[:16]


def application_key(eukey: bytes, purpose: str, entity: str, epoch: int, n: int) -> bytes:
    return X(eukey, ["cpns/1 application", purpose, entity, epoch, n], n)


def opaque_identity(eukey: bytes, purpose: str, entity: str, epoch: int) -> str:
    raw = X(eukey, ["cpns/1 application identity", purpose, entity, epoch], 16)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def readable_identity(purpose: str, entity: str, epoch: int) -> str:
    scheme, _, rest = entity.removeprefix("urn:").rpartition(":")
    return f"{scheme.replace(':', '.')}.{rest}/{epoch >> 16}.{epoch & 0xffff}/{purpose}"


def application_fingerprint(eukey: bytes, purpose: str, entity: str, epoch: int, n: int) -> bytes:
    return X(eukey, ["cpns/1 application fingerprint", purpose, entity, epoch, n], 8)


def scram_client_key(password: bytes, salt: bytes, iterations: int) -> bytes:
    return M(hashlib.pbkdf2_hmac("sha256", password, salt, iterations, 32), b"Client Key")


def scram_auth_message(exporter: bytes, request_hash: bytes) -> bytes:
    return E(["cpns/1 proof", exporter, request_hash])


def scram_proof(client_key: bytes, auth_message: bytes) -> bytes:
    signature = M(H(client_key), auth_message)
    return bytes(a ^ b for a, b in zip(client_key, signature))
