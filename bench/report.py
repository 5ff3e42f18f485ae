"""Turns figures into tables with the command that repeats them and, where it exists, the floor."""
import statistics

BEGIN = "<!-- figures: written by bench/run --write -->"
END = "<!-- figures: end -->"

# The floor: operations that the protocol requires in one first exchange, as (benchmark, count).
SERVER_CRYPTO = [("scram_check", 1), ("th1", 1), ("presence", 1), ("gateway_temporary_key", 1),
                 ("draw_a_set_of_32_keys", 1), ("seal_a_row/1500", 1)]
CRYPTO = {
    "server": SERVER_CRYPTO + [("open_a_row/150", 1), ("seal_a_row/1500", 1)],  # the Temporary Key; the report
    "gateway": [("x25519_share", 1), ("x25519_agree", 1), ("th1", 1), ("th2", 1), ("scram_prove", 1),
                ("delivery_key_and_seal", 1), ("confirm", 2), ("seal_a_row/1500", 3)],  # 2: KCNF and KRET
    "pne": [("x25519_share", 1), ("x25519_agree", 1), ("th1", 1), ("th2", 1), ("presence", 1),
            ("gateway_temporary_key", 1), ("delivery_key_and_open", 1), ("confirm", 2), ("seal_a_row/150", 2)],
}
# Durable writes of one first exchange: rows in groups of 64; for a PNE, which has its own file, bare syncs.
COMMITS = {"server": ("durable_rows/64", 64, 2), "gateway": ("durable_rows/64", 64, 3),
           "pne": ("bare_fdatasync", 1, 2)}
ROLES = {"server": "CPNS Server", "gateway": "PN GW", "pne": "PNEs"}


class NoMarkers(Exception):
    pass


def span(ns):
    if ns < 1e3:
        return f"{ns:.0f} ns"
    for size, unit in ((1e3, "µs"), (1e6, "ms"), (1e9, "s")):
        if ns < size * 1e3 or unit == "s":
            return f"{ns / size:.{2 if ns < size * 10 else 1 if ns < size * 100 else 0}f} {unit}"
    return ""


def ranged(values, show):
    """The median, and the range if there was more than one run."""
    low, high = min(values), max(values)
    middle = show(statistics.median(values))
    return middle if low == high else f"{middle} ({show(low)} to {show(high)})"


def crypto(parts, terms):
    return sum(parts.cpu[name] * times for name, times in terms)


def commits(parts, role):
    name, rows, times = COMMITS[role]
    return parts.cpu[name] / rows * times


def above(measured, floor):
    return f"{measured / floor:.1f}"


def per_operation(parts):
    names = [n for n in parts.cpu if not n.startswith(("bare", "durable", "key_file", "assignment", "radio", "log_line"))]
    return [(n.replace("_", " ").replace("/", ", bytes: "), span(parts.cpu[n])) for n in names]


def log_lines(parts):
    return [(what, span(of["log_line_" + name])) for what, name, of in (
        ("one of many in a row, CPU", "in_a_row", parts.cpu),
        ("after a pause, so that it wakes the writer, time", "after_a_pause", parts.wall),
        ("dropped, because the queue is full, CPU", "into_a_full_queue", parts.cpu),
        ("below the level, CPU", "below_the_level", parts.cpu))]


def durable(parts):
    def row(what, name, count=1):
        return what, span(parts.wall[name] / count), span(parts.cpu[name] / count)

    rows = [row("fdatasync of 1,500 bytes alone", "bare_fdatasync")]
    for name in parts.wall:
        if name.startswith("durable_rows/"):
            count = int(name.split("/")[1])
            rows.append(row(f"a row of 1,500 bytes in RocksDB, {count} at once", name, count))
    rows.append(row("a PNE's key file replaced (two fsync)", "key_file_saved"))
    return rows


def assignment(parts):
    floor = crypto(parts, SERVER_CRYPTO)
    measured = parts.cpu["assignment_computed/32"]
    rows = [("computed: frame decoded, steps 5 to 8, row sealed, answer encoded", span(measured),
             f"{1e9 / measured:,.0f} per core", f"{span(floor)}, crypto", above(measured, floor))]
    for name in parts.wall:
        if not name.startswith("assignment_through_actors/"):
            continue
        count = int(name.split("/")[1])
        rows_at_once = min((1, 16, 64, 256), key=lambda n, of=count: abs(n - of))
        low = floor + parts.cpu["open_a_row/150"] + parts.cpu[f"durable_rows/{rows_at_once}"] / rows_at_once
        measured = parts.cpu[name] / count
        rows.append((f"through actors, log and RocksDB, {count} at once", span(measured),
                     f"{1e9 * count / parts.wall[name]:,.0f}", f"{span(low)}, crypto and commit", above(measured, low)))
    return rows


def isolation(parts):
    """Medians of runs in this process (/0) and in a child process (/1)."""
    here, apart = parts.wall["radio_round_trip/0"], parts.wall["radio_round_trip/1"]
    rows = [("a message of 200 bytes to the PNE and back", span(here), span(apart), above(apart, here))]
    for name, label in (("radio_stream_out", "messages/s to the PNE, one link"), ("radio_stream_in", "messages/s from the PNE, one link")):
        here, apart = (1e12 / parts.wall[f"{name}/{where}"] for where in (0, 1))  # 1,000 messages at once
        rows.append((label, f"{here:,.0f}", f"{apart:,.0f}", above(apart, here)))
    resident, own = parts.memory["radio_round_trip/1"]
    rows.append(("memory of the child process, resident (unshared)", "",
                 f"{resident / 1024:.1f} MiB ({own / 1024:.1f} MiB)", ""))
    return rows


def floor_of_all(parts):
    return (sum(crypto(parts, terms) for terms in CRYPTO.values()), sum(commits(parts, role) for role in ROLES))


def first_keys(parts, whole, cores):
    rows = []
    for key, label in (("tcp 1000", "over tcp, three processes"), ("loopback 1000", "over loopback, one process"),
                      ("memory 1000", "over loopback, one process, files in memory")):
        rates = whole.values(key, lambda r: 1e3 * r["pnes"] / r["all_keyed_ms"])
        if rates:
            rows.append((label, ranged(rates, "{:,.0f}".format),
                         f"{whole.median(key, lambda r: r['p50_ms']):.0f} ms",
                         f"{whole.median(key, lambda r: r['p99_ms']):.0f} ms"))
    in_crypto, in_commits = floor_of_all(parts)
    rows.append((f"if {cores} cores did nothing but the floor", f"{cores * 1e9 / (in_crypto + in_commits):,.0f}", "", ""))
    rows.append((f"if {cores} cores did nothing but the crypto of the floor", f"{cores * 1e9 / in_crypto:,.0f}", "", ""))
    return rows


def per_role(parts, whole):
    def each(setting, role):
        # The demo reports microseconds.
        return [1e3 * v for v in whole.slopes(f"{setting} 1000", f"{setting} 100", lambda r: r["cpu_us"][role])]

    rows, total = [], 0
    for role, name in ROLES.items():
        found, in_crypto, in_commits = each("tcp", role), crypto(parts, CRYPTO[role]), commits(parts, role)
        middle = statistics.median(found)
        total += middle
        rows.append((f"{name}, tcp", ranged(found, span), f"{span(in_crypto)} + {span(in_commits)}",
                     above(middle, in_crypto + in_commits)))
    in_crypto, in_commits = floor_of_all(parts)
    rows.append(("all three, tcp", span(total), f"{span(in_crypto)} + {span(in_commits)}", above(total, in_crypto + in_commits)))
    if "memory 1000" in whole.raw:
        found = each("memory", "all")
        rows.append(("all three and the demo itself, loopback, files in memory", ranged(found, span),
                     f"{span(in_crypto)} + no disk", above(statistics.median(found), in_crypto)))
    return rows


def few_and_idle(whole):
    def resident(run):
        return run["resident_kb"]["gateway"]

    firsts = whole.values("tcp 5", lambda r: r["p50_ms"])
    rows = [("first key, 5 PNEs over tcp, p50", ranged(firsts, "{:.0f} ms".format))]
    updates = [statistics.median(r["update_ms"]) for r in whole.raw["tcp 5"] if r["update_ms"]]
    if updates:
        rows.append(("periodic update, 5 PNEs over tcp, p50", f"{statistics.median(updates):.0f} ms"))
    counts = [(key, name) for key, name in (("tcp 5", "5"), ("tcp 1000", "1,000"), ("tcp 4000", "4,000")) if key in whole.raw]
    for key, name in counts:
        rows.append((f"memory of the gateway, {name} idle PNEs over tcp", f"{whole.median(key, resident) / 1024:.0f} MiB"))
    rows.append((f"memory per additional PNE ({counts[-1][1]} minus {counts[0][1]})",
                 f"{statistics.median(whole.slopes(counts[-1][0], counts[0][0], resident)):.1f} KiB"))
    return rows


def tables(parts, whole, cores):
    """(title, command, head, rows)"""
    bench = "bench/run build/bench"
    return [
        ("First keys, 1,000 PNEs at once", "cpns demo --pnes 1000 --json [--transport loopback]",
         ("what", "assignments/s (range)", "p50", "p99"), first_keys(parts, whole, cores)),
        ("CPU of one first exchange: steps 1 to 10, KRET and the report", bench,
         ("role", "CPU (range)", "floor: crypto + commits", "measured / floor"), per_role(parts, whole)),
        ("Few PNEs, idle PNEs", bench, ("what", "figure"), few_and_idle(whole)),
        ("One key assignment through the server in process, steps 4 to 8", "build/bench/bin/bench_assignment",
         ("what", "CPU each", "assignments/s", "floor", "measured / floor"), assignment(parts)),
        ("An isolated radio, tcp", "build/bench/bin/bench_isolation",
         ("what", "in the role", "in a process", "process / role"), isolation(parts)),
        ("Durable writes", "build/bench/bin/bench_store", ("operation", "time each", "CPU each"), durable(parts)),
        ("Codec and key schedule", "build/bench/bin/bench_parts", ("operation", "CPU"), per_operation(parts)),
        ("Log lines", "build/bench/bin/bench_parts", ("one line, for the thread that logs it", "figure"), log_lines(parts)),
    ]


def as_text(found):
    out = []
    for title, _, head, rows in found:
        widths = [max(len(str(r[i])) for r in [head, *rows]) for i in range(len(head))]
        out.append(f"\n{title}")
        for r in (head, *rows):
            out.append("  " + "  ".join(str(c).ljust(w) for c, w in zip(r, widths)).rstrip())
    return "\n".join(out).lstrip("\n")


def as_markdown(found, machine, quick):
    out = [f"Measured on {machine}; medians{' of a quick run, rough' if quick else ''}.", ""]
    for title, command, head, rows in found:
        out += [f"### {title}", "", f"`{command}`", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        out += ["| " + " | ".join(r) + " |" for r in rows] + [""]
    return "\n".join(out)


def check_markers(page):
    text = page.read_text() if page.is_file() else ""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise NoMarkers(f"docs/{page.name} must contain one line `{BEGIN}` and, below it, one line `{END}`")


def write(page, found, machine, quick):
    check_markers(page)
    text = page.read_text()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    page.write_text(text[:begin] + "\n" + as_markdown(found, machine, quick) + text[end:])
