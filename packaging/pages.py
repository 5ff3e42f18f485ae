#!/usr/bin/env python3
"""Man pages and bash completion of cpns, made from the --help of each command, so that they say what the program says.

usage: pages.py CPNS FOLDER

CPNS: the program. FOLDER receives man1/*.1.gz, man8/*.8.gz and completion (a script for bash), in place of what is there.
Stops at a --help whose form it does not know. The output depends on the program alone, not on the time.

Exit codes: 0 written, 1 it cannot be, 2 usage.
"""
import dataclasses
import gzip
import pathlib
import re
import shutil
import subprocess
import sys

ROLES = ("server", "gateway", "pne")  # section 8, and a part on their files
SECTIONS = ("Positionals", "Options", "Subcommands")


@dataclasses.dataclass
class Entry:
    """A line of a list in --help: names (of an option), type with restrictions (empty for a flag), explanation."""
    names: list
    kind: str
    text: str
    others: str = ""  # options that exclude it, or that it needs


@dataclasses.dataclass
class Command:
    path: tuple
    summary: str
    usage: str
    lists: dict
    footer: list
    subcommands: list = dataclasses.field(default_factory=list)

    @property
    def name(self):
        return " ".join(("cpns", *self.path))

    def walk(self):
        yield self
        for sub in self.subcommands:
            yield from sub.walk()


class UnknownForm(Exception):
    pass


def entry_of(line, section):
    """`  --name TYPE ...   text`; the text may be missing, and is then on the next line."""
    left, _, text = line.strip().partition("  ")
    names, _, kind = left.partition(" ")
    if section == "Options" and not re.fullmatch(r"-\w|-\w,--[\w-]+|--[\w-]+", names):
        raise UnknownForm(f"not an option: {line}")
    kind, lead, others = re.match(r"(.*?)\s*(?:\b(Excludes|Needs): (.*))?$", kind).groups()
    return Entry(names.split(","), kind, text.strip(), f"{lead}: {others}" if lead else "")


def parse(path, text):
    lines = text.rstrip("\n").split("\n")
    if len(lines) < 3 or not lines[1].startswith(f"Usage: {' '.join(('cpns', *path))}"):
        raise UnknownForm(f"cpns {' '.join(path)} --help does not begin with a summary and its usage")
    command = Command(path, lines[0], lines[1].removeprefix("Usage: "), {}, [])
    at = 2
    while at < len(lines):
        heading = lines[at].rstrip(":")
        if lines[at] == "":
            at += 1
        elif heading in SECTIONS and lines[at].endswith(":"):
            at += 1
            entries = command.lists.setdefault(heading, [])
            while at < len(lines) and lines[at].startswith("  "):
                if lines[at].startswith(" " * 8):
                    entries[-1].text = f"{entries[-1].text} {lines[at].strip()}".strip()
                else:
                    entries.append(entry_of(lines[at], heading))
                at += 1
        else:
            command.footer = lines[at:]
            break
    if not any("--help" in option.names for option in command.lists.get("Options", [])):
        raise UnknownForm(f"{command.name} --help names no --help")
    return command


def read(program, path=(), top_footer=None):
    done = subprocess.run([program, *path, "--help"], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise UnknownForm(f"cpns {' '.join(path)} --help ends with {done.returncode}: {done.stderr.strip()}")
    command = parse(path, done.stdout)
    if path and command.footer == top_footer:  # a group without words of its own repeats those of the program
        command.footer = []
    for sub in command.lists.get("Subcommands", []):
        command.subcommands.append(read(program, (*path, sub.names[0]), command.footer if not path else top_footer))
    return command


def roff(text):
    text = text.replace("\\", "\\[rs]").replace("-", "\\-").replace("^", "\\[ha]").replace("~", "\\[ti]").replace("`", "\\[ga]")
    text = text.replace("'", "\\[aq]")
    return "\\&" + text if text.startswith(".") else text


def paragraphs(lines):
    """Groups of lines between empty ones, those that are indented apart: ("text" or "code", lines)."""
    group, kind = [], ""
    for line in [*lines, ""]:
        now = "" if not line else "code" if line.startswith("  ") else "text"
        if now != kind and group:
            yield kind, group
            group = []
        kind = now
        if line:
            group.append(line)


def footer_parts(lines):
    """The words below the lists, by the heading of their part in a man page. `Examples:` leads the rest."""
    parts = {"NOTES": [], "SIGNALS": [], "EXIT STATUS": [], "EXAMPLES": []}
    into = "NOTES"
    for line in lines:
        lead = re.match(r"(Exit codes|Signals|Examples?):(?: (.*))?$", line)
        signals = re.match(r"(.+\.) (Signals: .*)$", line)
        if signals:
            parts["NOTES"].append(signals[1])
            line, lead = signals[2], re.match(r"(Signals):(?: (.*))?$", signals[2])
        if lead:
            into = {"Exit codes": "EXIT STATUS", "Signals": "SIGNALS"}.get(lead[1], "EXAMPLES")
            line = lead[2] or ""
            line = line[:1].upper() + line[1:] if into == "SIGNALS" else line
        elif line == "" and into in ("EXIT STATUS", "SIGNALS"):
            into = "NOTES"
        if line or parts[into]:
            parts[into].append(line)
    return {heading: text for heading, text in parts.items() if any(text)}


def body(lines):
    out = []
    for kind, group in paragraphs(lines):
        if kind == "code":
            out += [".PP", ".RS 4", ".nf", *(roff(line[2:]) for line in group), ".fi", ".RE"]
        else:
            out += [".PP", *(roff(line) for line in group)]
    return out


def listed(entries):
    out = []
    for entry in entries:
        kind = entry.kind.replace("REQUIRED", "").strip()
        names = ", ".join(f"\\fB{roff(name)}\\fR" for name in entry.names)
        needed = " Required." if "REQUIRED" in entry.kind else ""
        others = f" {entry.others}." if entry.others else ""
        text = entry.text + ("." if (needed or others) and not entry.text.endswith(".") else "") + needed + others
        out += [".TP", names + (f" \\fI{roff(kind)}\\fR" if kind else ""), roff(text)]
    return out


def lists_of(command, heading):
    out = []
    for section, title in (("Positionals", "Arguments"), ("Options", "Options")):
        entries = [e for e in command.lists.get(section, []) if "--help" not in e.names or heading == ".SH"]
        if entries:
            out += [f"{heading} {title.upper() if heading == '.SH' else title}", *listed(entries)]
    return out


def section_of(name):
    return 8 if name in ROLES else 1


def see(names):
    return [".SH SEE ALSO", ",\n".join(f".BR {roff('cpns-' + n if n else 'cpns')} ({section_of(n)})" for n in names)]


def role_files(role):
    return [".SH FILES",
            ".TP", f"\\fI/etc/cpns/{role}.yaml\\fR",
            f"The configuration of the unit cpns\\-{role}.service; all keys: /usr/share/doc/cpns/config.md",
            ".TP", f"\\fI/etc/cpns/{role}/secrets/\\fR",
            "Secrets: the unit gives the role copies of these files, which are made at its start.",
            ".TP", f"\\fI/var/lib/cpns/{role}/\\fR", "The state of the role.",
            ".TP", f"\\fI/run/cpns/{role}/\\fR", "The Unix socket of the role.",
            ".TP", f"\\fI/var/log/cpns/{role}/\\fR",
            "Log files, if the configuration names any; without that the role logs to the journal."]


def head(name, section, version, summary):
    return [f'.TH {name.upper().replace("-", chr(92) + "-")} {section} "" "cpns {version}" "cpns"', ".nh", ".ad l",
            ".SH NAME", f"{roff(name)} \\- {roff(summary[:1].lower() + summary[1:] if not summary[:2].isupper() else summary)}"]


def page_of(command, version, others):
    """The page of a command below cpns, with its subcommands as parts."""
    name = "-".join(("cpns", *command.path))
    out = head(name, section_of(command.path[0]), version, command.summary)
    runs = [c for c in command.walk() if not c.subcommands or c.path[0] in ROLES]
    out += [".SH SYNOPSIS", ".nf", *(roff(c.usage) for c in runs), ".fi", ".SH DESCRIPTION", roff(command.summary) + "."]
    out += lists_of(command, ".SH")
    parts = footer_parts(command.footer)
    for heading in ("NOTES", "SIGNALS", "EXIT STATUS"):
        out += [f".SH {heading}", *body(parts[heading])] if heading in parts else []
    if command.subcommands:
        out += [".SH COMMANDS"]
    for sub in list(command.walk())[1:]:
        out += [f".SS {roff(sub.name)}", roff(sub.summary) + ".", ".PP", ".nf", roff(sub.usage), ".fi"]
        for section in ("Positionals", "Options"):
            out += listed([e for e in sub.lists.get(section, []) if "--help" not in e.names])
        for heading, text in footer_parts(sub.footer).items():
            if heading != "NOTES":
                out += [".PP", f"{heading.capitalize()}:"]
            out += body(text)
    if "EXAMPLES" in parts:
        out += [".SH EXAMPLES", *body(parts["EXAMPLES"])]
    if command.path[0] in ROLES:
        out += role_files(command.path[0])
    out += see(["", *(o for o in others if o != command.path[0])])
    return name, section_of(command.path[0]), "\n".join(out) + "\n"


def overview(top, version):
    out = head("cpns", 1, version, top.summary) + [".SH SYNOPSIS", roff(top.usage), ".SH DESCRIPTION", roff(top.summary) + "."]
    out += [".SH COMMANDS", "Each has a page of its own."]
    for sub in top.subcommands:
        out += [".TP", f"\\fB{roff(sub.name)}\\fR", roff(sub.summary)]
    out += lists_of(top, ".SH")
    for heading, text in footer_parts(top.footer).items():
        out += [f".SH {heading}", *body(text)]
    out += [".SH FILES", ".TP", "\\fI/usr/share/doc/cpns/\\fR",
            "Documentation: configuration, radios, installation and operation."]
    return "cpns", 1, "\n".join(out + see([sub.path[0] for sub in top.subcommands])) + "\n"


FILES = re.compile(r"FILE|DIR|PLUGIN")
NOT_FILES = re.compile(r"--(user|name|server-name|gateway-name|listen|dns|ip|batch|test|param|peer-param|transport|url|prefix|state|owner|"
                       r"holder|held-by|after)$")


def values_of(entry):
    """What completes a value: `-` nothing to say, `f` files, else the words."""
    choice = re.search(r"\{([^}]*)\}", entry.kind)
    if choice:
        return choice[1].replace(",", " ")
    if entry.names[0].startswith("-"):
        return "f" if entry.kind.startswith("TEXT") and not NOT_FILES.search(entry.names[-1]) else "-"
    return "f" if FILES.search(entry.names[0]) else "-"


COMPLETION = '''# bash completion for cpns, made from --help by packaging/pages.py

# Sets `subs`, `options`, `values` (OPTION=KIND) and `places` (kinds of the arguments) of the command "$1".
# A kind is f (a file), - (no proposal), or words with commas between them.
_cpns_command() {
  subs="" options="" values="" places=""
  case "$1" in
%s
    *) return 1 ;;
  esac
}

_cpns() {
  local current="${COMP_WORDS[COMP_CWORD]}" path="cpns" wants="" place=0 at word subs options values places kind="" proposals=""
  local -a kinds
  COMPREPLY=()
  _cpns_command "$path"
  for ((at = 1; at < COMP_CWORD; at++)); do
    word="${COMP_WORDS[at]}"
    if [[ -n "$wants" && "$word" != = ]]; then
      wants=""
    elif [[ "$word" == -* && " $values " == *" $word="* ]]; then
      wants="$word"
    elif [[ "$word" != -* && " $subs " == *" $word "* ]]; then
      path="$path $word"
      place=0
      _cpns_command "$path"
    elif [[ "$word" != -* && "$word" != = ]]; then
      place=$((place + 1))
    fi
  done
  [[ "$current" != = ]] || current=""
  if [[ -n "$wants" ]]; then
    kind=" $values"
    kind="${kind#* "$wants"=}"
    kind="${kind%%%% *}"
  elif [[ "$current" == -* ]]; then
    proposals="$options"
  elif [[ -n "$subs" ]]; then
    ((place > 0)) || proposals="$subs"
  else
    read -ra kinds <<<"$places"
    ((${#kinds[@]} == 0)) || kind="${kinds[place < ${#kinds[@]} ? place : ${#kinds[@]} - 1]}"
  fi
  case "$kind" in
    f)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
      ;;
    - | "") ;;
    *) proposals="${kind//,/ }" ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$proposals" -- "$current")
}

complete -F _cpns cpns
'''


def completion(top):
    cases = []
    for command in top.walk():
        options = command.lists.get("Options", [])
        values = [f"{name}={values_of(o).replace(' ', ',')}" for o in options if o.kind for name in o.names]
        places = [values_of(p).replace(" ", ",") for p in command.lists.get("Positionals", [])]
        names = [name for option in options for name in option.names]
        words = {"subs": [s.path[-1] for s in command.subcommands], "options": names, "values": values, "places": places}
        sets = " ".join(f'{key}="{" ".join(text)}"' for key, text in words.items() if text)
        cases.append(f'    "{command.name}") {sets} ;;')
    return COMPLETION % "\n".join(cases)


def write(top, version, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("man1", "man8"):
        shutil.rmtree(folder / part, ignore_errors=True)
        (folder / part).mkdir()
    names = [sub.path[0] for sub in top.subcommands]
    for name, section, text in (overview(top, version), *(page_of(sub, version, names) for sub in top.subcommands)):
        (folder / f"man{section}" / f"{name}.{section}.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    (folder / "completion").write_text(completion(top))


def main():
    if len(sys.argv) != 3 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    try:
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout.split()[-1]
        write(read(program), version, folder)
    except (UnknownForm, OSError, subprocess.SubprocessError) as error:
        print(f"pages.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
