"""entity_id.json: Entity IDs, valid and invalid."""

from cases import File

NOTES = {"Normal": "A name as devices have it.", "Edge": "At a bound of the grammar.", "CheckDigit": "The check digit is wrong.",
         "Case": "Upper case: the same device must have one name only.", "Form": "Another form than that of the scheme.",
         "Scheme": "An unknown scheme."}

VALID = [
    ("urn:dev:mac:0024befffe804ff1", "Normal", "EUI-64, the example of RFC 9039"),
    ("urn:dev:mac:acde48234567", "Normal", "EUI-48"),
    ("urn:dev:mac:000000000000", "Edge", "EUI-48 of zeros"),
    ("urn:gsma:imei:35209900-176148-1", "Normal", "the example of RFC 7254"),
    ("urn:gsma:imei:49015420-323751-8", "Normal", "a well-known IMEI"),
    ("urn:gsma:imei:00000000-000000-0", "Edge", "an IMEI of zeros"),
    ("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "Normal", "the example of RFC 9562"),
    ("urn:uuid:00000000-0000-0000-0000-000000000001", "Edge", "next to the nil UUID"),
    ("urn:uuid:ffffffff-ffff-ffff-ffff-fffffffffffe", "Edge", "next to the max UUID"),
    ("urn:dev:os:32473-123456", "Normal", "the example of RFC 9039"),
    ("urn:dev:os:32473-12-34-56", "Normal", "a serial with hyphens"),
    ("urn:dev:os:1-A.b_c-9", "Normal", "every kind of character"),
    ("urn:dev:os:4294967295-x", "Edge", "the largest number"),
    ("urn:dev:os:32473-" + "x" * 47, "Edge", "64 bytes"),
]
INVALID = [
    ("", "Form", "nothing"), ("urn:dev:os:32473-" + "x" * 48, "Edge", "65 bytes"), ("x" * 64, "Scheme", "no scheme"),
    ("urn:example:1", "Scheme", "unknown"), ("urn:dev:ow:10e2073a01080063", "Scheme", "a scheme of RFC 9039 that is not in the table"),
    ("urn:dev:mac:", "Form", "no digits"), ("urn:dev:mac:0024be", "Form", "too few"), ("urn:dev:mac:0024befffe804ff", "Form", "15"),
    ("urn:dev:mac:0024befffe804ff10", "Form", "17"), ("urn:dev:mac:0024BEFFFE804FF1", "Case", "upper case"),
    ("urn:dev:mac:00:24:be:ff:fe:80", "Form", "colons"), ("urn:dev:mac:0024beffg804", "Form", "a g"),
    ("urn:dev:mac:0024befffe804ff1_x", "Form", "a sub-identifier of RFC 9039"),
    ("URN:DEV:MAC:acde48234567", "Case", "the prefix in upper case"),
    (" urn:dev:mac:acde48234567", "Form", "a space before"), ("urn:dev:mac:acde48234567 ", "Form", "a space behind"),
    ("urn:dev:mac:acde48234567\n", "Form", "a line end behind"), ("urn:dev:mac:acde4823456\u0660", "Form", "a digit that is not ASCII"),
    ("urn:gsma:imei:35209900-176148-2", "CheckDigit", "wrong"), ("urn:gsma:imei:35209901-176148-1", "CheckDigit", "one digit changed"),
    ("urn:gsma:imei:53209900-176148-1", "CheckDigit", "two digits exchanged"), ("urn:gsma:imei:352099001761481", "Form", "no hyphens"),
    ("urn:gsma:imei:3520990-0176148-1", "Form", "hyphens elsewhere"), ("urn:gsma:imei:35209900-176148-", "Form", "no check digit"),
    ("urn:gsma:imei:35209900-176148-1;svn=23", "Form", "parameters"), ("urn:gsma:imei:3520990a-176148-1", "Form", "a letter"),
    ("urn:gsma:imeisv:35209900-176148-23", "Scheme", "IMEISV"),
    ("urn:uuid:F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6", "Case", "upper case"),
    ("urn:uuid:f81d4fae7dec11d0a76500a0c91e6bf6", "Form", "no hyphens"),
    ("urn:uuid:00000000-0000-0000-0000-000000000000", "Form", "nil"), ("urn:uuid:ffffffff-ffff-ffff-ffff-ffffffffffff", "Form", "max"),
    ("urn:uuid:{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}", "Form", "braces"), ("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bfg", "Form", "a g"),
    ("urn:dev:os:32473", "Form", "no serial"), ("urn:dev:os:32473-", "Form", "an empty serial"), ("urn:dev:os:-123", "Form", "no number"),
    ("urn:dev:os:032473-1", "Form", "a leading zero"), ("urn:dev:os:x-1", "Form", "a number with a letter"),
    ("urn:dev:os:12345678901-1", "Form", "a number of 11 digits"), ("urn:dev:os:32473-a b", "Form", "a space"),
    ("urn:dev:os:32473-a/b", "Form", "a slash"), ("urn:dev:os:32473-\u00e4", "Form", "outside of ASCII"),
    ("urn:dev:os:32473-a\u0000", "Form", "a zero byte"),
]


def make() -> File:
    f = File("CPNS Entity ID", ["`text` is an Entity ID, or not."], NOTES)
    f.group("EntityId")
    for result, rows in (("valid", VALID), ("invalid", INVALID)):
        for text, flag, comment in rows:
            f.add(comment, [flag], result, text=text)
    return f
