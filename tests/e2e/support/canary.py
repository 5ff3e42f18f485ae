"""Searches all files of a folder for secrets in any form: raw, hexadecimal, base64, escaped as in JSON, whole or in part."""

import base64
import json
import pathlib

PART = 8  # bytes of the beginning or the end of a secret that count as a find in text


def base64_forms(secret: bytes, urlsafe: bool) -> list:
    """The characters that do not depend on neighbouring bytes, for each of the three alignments in a stream."""
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    forms = []
    for before in range(3):
        text = encode(bytes(before) + secret).rstrip(b"=")
        first = (before * 8 + 5) // 6  # the first character with bits of only the secret
        last = (before + len(secret)) * 8 // 6  # one past the last such character
        forms.append(text[first:last])
    return forms


def escaped(secret: bytes, short: bool) -> bytes:
    """As a string of JSON; the log has no short escapes of control characters."""
    if short:
        return json.dumps(secret.decode("latin-1"))[1:-1].encode()
    plain = {0x22: b'\\"', 0x5c: b"\\\\", **{c: bytes([c]) for c in range(0x20, 0x7f) if c not in (0x22, 0x5c)}}
    return b"".join(plain.get(c, b"\\u%04x" % c) for c in secret)


def needles(secret: bytes) -> dict:
    """Byte strings to search for: name of the form to bytes."""
    raw = secret[:16], secret[-16:]
    found = {"raw": raw[0], "raw end": raw[1]}
    for name, part in (("hex", secret[:PART]), ("hex end", secret[-PART:])):
        found[name] = part.hex().encode()
        found[name + " upper"] = part.hex().upper().encode()
    for urlsafe in (False, True):
        for n, form in enumerate(base64_forms(secret, urlsafe)):
            found[("urlsafe " if urlsafe else "") + f"base64 at {n}"] = form
            if b"/" in form:
                found[f"base64 at {n} in JSON"] = form.replace(b"/", b"\\/")
    for name, part in (("JSON", secret[:PART]), ("JSON end", secret[-PART:])):
        found[name], found["short " + name] = escaped(part, short=False), escaped(part, short=True)
    return found


def written_forms(secret: bytes) -> dict:
    """Forms in which a secret might be written into a file, to test that the search finds them."""
    forms = {"raw": secret, "hex": secret.hex().encode(), "hex upper": secret.hex().upper().encode(),
             "JSON": escaped(secret, short=False), "short JSON": escaped(secret, short=True)}
    for before in range(3):
        around = b"\xfb" * before + secret + b"\xfb" * (before + 1)
        forms[f"base64 at {before}"] = base64.b64encode(around)
        forms[f"base64 at {before} in JSON"] = base64.b64encode(around).replace(b"/", b"\\/")
        forms[f"urlsafe base64 at {before}"] = base64.urlsafe_b64encode(around)
    forms["the first half in hex"] = secret[:(len(secret) + 1) // 2].hex().encode()
    forms["the last half in hex"] = secret[-((len(secret) + 1) // 2):].hex().encode()
    return forms


class Search:
    """`secrets`: name to at least 16 bytes, so that a find is never a coincidence."""

    def __init__(self, secrets: dict):
        short = [name for name, secret in secrets.items() if len(secret) < 16]
        assert not short, f"too short for a search: {short}"
        self.needles = {}
        for name, secret in secrets.items():
            for form, needle in needles(secret).items():
                self.needles.setdefault(needle, f"{name}, {form}")

    def in_bytes(self, content: bytes) -> list:
        return [name for needle, name in self.needles.items() if needle in content]

    def in_folder(self, folder: pathlib.Path, leave_out=()) -> tuple:
        """Returns (finds as "file: secret, form", number of files read, number of bytes read)."""
        finds, files, size = [], 0, 0
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if not path.is_file() or path.is_symlink() or name in leave_out:
                continue
            content = name.encode() + b"\0" + path.read_bytes()
            files, size = files + 1, size + len(content)
            finds += [f"{name}: {find}" for find in self.in_bytes(content)]
        return finds, files, size
