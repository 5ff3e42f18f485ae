"""Messages over frames, written from docs/protocol.md, section "Fragments"."""

LAST, RESERVED, INDEX = 0x80, 0x40, 0x3f
MESSAGE_MAX = 1024
UNFINISHED_MAX = 4


class BadFrame(Exception):
    pass


def split(number: int, message: bytes, mtu: int) -> list:
    size = mtu - 2
    pieces = [message[i:i + size] for i in range(0, len(message), size)]
    return [bytes([number & 255, i | (LAST if i + 1 == len(pieces) else 0)]) + p for i, p in enumerate(pieces)]


class Assembler:
    """Assembles fragments in any order."""

    def __init__(self):
        self.unfinished = {}  # number: {index: piece}, oldest first
        self.counts = {}

    def forget(self, number: int):
        del self.unfinished[number]
        self.counts.pop(number, None)

    def take(self, frame: bytes):
        """The message that the frame completes, or None."""
        if len(frame) < 3:
            raise BadFrame("not a fragment")
        if frame[1] & RESERVED:
            raise BadFrame("bit 6 is set")
        number, index, last, piece = frame[0], frame[1] & INDEX, bool(frame[1] & LAST), frame[2:]
        if len(piece) > MESSAGE_MAX:
            raise BadFrame("too large")
        if last and index == 0:
            return piece
        if number in self.unfinished and index in self.unfinished[number]:
            if self.unfinished[number][index] == piece:
                return None
            self.forget(number)
        if number not in self.unfinished:
            if len(self.unfinished) == UNFINISHED_MAX:
                self.forget(next(iter(self.unfinished)))
            self.unfinished[number] = {}
        pieces, count = self.unfinished[number], self.counts.get(number)
        if last and count is not None or count is not None and index >= count or last and any(i > index for i in pieces) \
                or sum(map(len, pieces.values())) + len(piece) > MESSAGE_MAX:
            self.forget(number)
            raise BadFrame("the fragments contradict each other")
        pieces[index] = piece
        if last:
            self.counts[number] = index + 1
        if self.counts.get(number) != len(pieces):
            return None
        whole = b"".join(pieces[i] for i in sorted(pieces))
        self.forget(number)
        return whole
