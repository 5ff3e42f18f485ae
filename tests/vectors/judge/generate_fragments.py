"""fragments.json: messages split into frames and put together again."""

import fragments
from cases import File, fill

NOTES = {
    "Normal": "As on a radio.",
    "Edge": "At a bound.",
    "Order": "Frames arrive in another order than they were sent.",
    "Repeated": "A frame arrives twice.",
    "Lost": "A frame is missing: its message is never complete, others are.",
    "Malformed": "The last frame must be refused.",
}


def make() -> File:
    f = File("CPNS fragments", [
        "Split: `message` sent as the message with number `number` over frames of `mtu` bytes is `frames`.",
        "Assemble: the receiver takes `frames` one by one; `gives` has the message that each completes, or null. In an invalid case",
        "the last frame is refused; it has no entry in `gives`."], NOTES)
    f.group("Split")
    for size, mtu, number in ((1, 23, 0), (21, 23, 1), (22, 23, 2), (1024, 23, 255), (1024, 1026, 7), (1024, 1025, 8), (300, 185, 9),
                              (1024, 247, 10), (1024, 65535, 11)):
        message = fill(f"message {size}", size)
        f.add(f"{size} bytes, frames of {mtu}", ["Edge" if mtu == 23 or size == 1024 else "Normal"], "valid", message=message.hex(),
              mtu=mtu, number=number, frames=[x.hex() for x in fragments.split(number, message, mtu)])

    f.group("Assemble")

    def case(comment, flags, frames, bad=False):
        a, gives = fragments.Assembler(), []
        for i, frame in enumerate(frames):
            try:
                whole = a.take(frame)
                assert not (bad and i + 1 == len(frames)), comment
                gives.append(whole and whole.hex())
            except fragments.BadFrame:
                assert bad and i + 1 == len(frames), comment
        f.add(comment, flags, "invalid" if bad else "valid", frames=[x.hex() for x in frames], gives=gives)

    one, two = fill("one", 60), fill("two", 60)
    a, b = fragments.split(1, one, 23), fragments.split(2, two, 23)
    case("in order", ["Normal"], a)
    case("backwards", ["Order"], a[::-1])
    case("two messages mixed", ["Order"], [a[0], b[2], a[2], b[0], b[1], a[1]])
    case("each frame twice", ["Repeated"], [a[0], a[0], a[1], a[1], a[2]])
    case("a whole message twice", ["Repeated"], a + a)
    case("one lost, another message after it", ["Lost"], [a[0], a[2]] + b)
    case("the number is used again for another message", ["Lost"], [a[0]] + fragments.split(257, two, 23))
    case("five unfinished: the oldest is discarded", ["Lost", "Edge"],
         [a[0]] + [fragments.split(n, two, 23)[0] for n in (3, 4, 5, 6)] + a[1:])
    case("four unfinished: all can be finished", ["Edge"],
         [fragments.split(n, two, 23)[0] for n in (3, 4, 5, 6)] + sum((fragments.split(n, two, 23)[1:] for n in (3, 4, 5, 6)), []))
    case("64 fragments backwards", ["Edge", "Order"], fragments.split(9, fill("k", 1024), 18)[::-1])
    case("nothing", ["Malformed"], [b""], bad=True)
    case("one byte", ["Malformed"], [b"\x01"], bad=True)
    case("a header alone", ["Malformed"], [b"\x01\x80"], bad=True)
    case("bit 6 set", ["Malformed"], [b"\x01\xc0x"], bad=True)
    case("1,025 bytes in one frame", ["Malformed"], [b"\x01\x80" + bytes(1025)], bad=True)
    case("1,025 bytes in two frames", ["Malformed"], [b"\x01\x00" + bytes(1000), b"\x01\x81" + bytes(25)], bad=True)
    case("a fragment after the last one", ["Malformed"], [b"\x01\x81x", b"\x01\x02y"], bad=True)
    case("a last one below a received fragment", ["Malformed"], [b"\x01\x02y", b"\x01\x81x"], bad=True)
    case("two last ones", ["Malformed"], [b"\x01\x82x", b"\x01\x81y"], bad=True)
    return f
