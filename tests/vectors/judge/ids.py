"""Entity ID grammar, written from docs/protocol.md (section "Entity ID") and the RFCs that it names."""

import re

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value // 10 + value % 10
    return total % 10 == 0


def is_entity_id(text: str) -> bool:
    if not 1 <= len(text.encode()) <= 64:
        return False
    if re.fullmatch(r"urn:dev:mac:([0-9a-f]{12}|[0-9a-f]{16})", text):
        return True
    imei = re.fullmatch(r"urn:gsma:imei:([0-9]{8})-([0-9]{6})-([0-9])", text)
    if imei:
        return luhn("".join(imei.groups()))
    uuid = re.fullmatch(f"urn:uuid:({UUID})", text)
    if uuid:
        return set(uuid.group(1)) - {"-"} not in ({"0"}, {"f"})
    return bool(re.fullmatch(r"urn:dev:os:[1-9][0-9]{0,9}-[A-Za-z0-9._-]+", text))


def is_user_id(text: str) -> bool:
    return bool(re.fullmatch(r"[!-~]{1,64}", text))
