"""Validates values against the part of CDDL (RFC 8610) that cpns.cddl uses: literals, ranges, choices, arrays with
named entries and occurrences, groups, group choices, .size, {}. No package of Debian 12 reads CDDL."""

import re

TOKEN = re.compile(r"""\s*(?:;[^\n]*\n\s*)*(
    h'[0-9A-Fa-f]*' | \d+\.\.\d+ | \d+\*\d+ | //|=|/|,|:|\[|\]|\(|\)|\{\} | \.size | \d+ | [A-Za-z_][A-Za-z0-9_-]*
  )""", re.X)
END = re.compile(r"\s*(?:;[^\n]*(?:\n|$)\s*)*$")


class Grammar:
    def __init__(self, source: str):
        self.tokens, at = [], 0
        while not END.match(source, at):
            m = TOKEN.match(source, at)
            if not m:
                raise ValueError(f"unknown syntax: {source[at:at + 40]!r}")
            self.tokens.append(m.group(1))
            at = m.end()
        self.at = 0
        self.rules = {}
        self.used = set()
        while self.at < len(self.tokens):
            name = self.take()
            self.take("=")
            assert name not in self.rules, f"{name} is defined twice"
            # A rule of the form (a, b) names a group, everything else a type.
            self.rules[name] = self.group_body() if self.peek() == "(" else self.type()
        for name in self.used:
            assert name in self.rules or name in PRELUDE, f"{name} is not defined"

    def peek(self, ahead=0):
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else None

    def take(self, wanted=None):
        token = self.peek()
        if wanted is not None and token != wanted:
            raise ValueError(f"expected {wanted}, found {token} after {self.tokens[max(0, self.at - 8):self.at]}")
        self.at += 1
        return token

    def type(self):
        options = [self.type1()]
        while self.peek() == "/":
            self.take()
            options.append(self.type1())
        return ("choice", options) if len(options) > 1 else options[0]

    def type1(self):
        token = self.take()
        if token == "[":
            body = self.group("]")
            self.take("]")
            return ("array", body)
        if token == "{}":
            return ("empty map",)
        if token.startswith("h'"):
            return ("literal", bytes.fromhex(token[2:-1]))
        if ".." in token:
            return ("range", *map(int, token.split("..")))
        if token.isdigit():
            return ("literal", int(token))
        self.used.add(token)
        base = ("name", token)
        if self.peek() == ".size":
            self.take()
            paren = self.peek() == "("
            if paren:
                self.take()
            low, _, high = self.take().partition("..")
            if paren:
                self.take(")")
            return ("size", base, int(low), int(high or low))
        return base

    def group_body(self):
        self.take("(")
        choices = [self.group(")")]
        while self.peek() == "//":
            self.take()
            choices.append(self.group(")"))
        self.take(")")
        return ("group", choices)

    def group(self, closing):
        entries = []
        while self.peek() not in (closing, "//"):
            low = high = 1
            if "*" in self.peek():
                low, high = map(int, self.take().split("*"))
            if self.peek() == "(":
                entry = self.group_body()
            else:
                if self.peek(1) == ":":
                    self.take()
                    self.take()
                entry = self.type()
            entries.append((low, high, entry))
            if self.peek() == ",":
                self.take()
        return entries

    def matches(self, name: str, value) -> bool:
        return self._type(self.rules[name], value)

    def _type(self, rule, v) -> bool:
        kind = rule[0]
        if kind == "choice":
            return any(self._type(r, v) for r in rule[1])
        if kind == "array":
            return type(v) is list and len(v) in self._entries(rule[1], v, 0)
        if kind == "empty map":
            return type(v) is dict and not v
        if kind == "literal":
            return type(v) is type(rule[1]) and v == rule[1]
        if kind == "range":
            return type(v) is int and rule[1] <= v <= rule[2]
        if kind == "size":
            size = len(v.encode()) if type(v) is str else len(v) if type(v) is bytes else -1
            return self._type(rule[1], v) and rule[2] <= size <= rule[3]
        if kind == "name":
            return PRELUDE[rule[1]](v) if rule[1] in PRELUDE else self._type(self.rules[rule[1]], v)
        raise ValueError(kind)

    def _entries(self, entries, values, at) -> set:
        """All positions after a match of all entries from `at`."""
        ends = {at}
        for low, high, entry in entries:
            reached, now = set(), ends
            for count in range(high + 1):
                if count >= low:
                    reached |= now
                now = set().union(*(self._entry(entry, values, p) for p in now)) if now else now
            ends = reached
        return ends

    def _entry(self, entry, values, at) -> set:
        while entry[0] == "name" and self.rules.get(entry[1], ("",))[0] == "group":
            entry = self.rules[entry[1]]
        if entry[0] == "group":
            return set().union(*(self._entries(choice, values, at) for choice in entry[1]))
        return {at + 1} if at < len(values) and self._type(entry, values[at]) else set()


PRELUDE = {
    "uint": lambda v: type(v) is int and 0 <= v < 1 << 64,
    "bstr": lambda v: type(v) is bytes,
    "tstr": lambda v: type(v) is str,
    "bool": lambda v: type(v) is bool,
    "null": lambda v: v is None,
}
