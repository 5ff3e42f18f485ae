"""Writes YAML for the configuration loader: maps, lists and scalars in block style, texts in JSON's quotes."""

import json


def scalar(value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else json.dumps(str(value))


def lines(value, indent=0) -> list:
    pad = " " * indent
    out = []
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, (dict, list)) and inner:
                out += [f"{pad}{key}:"] + lines(inner, indent + 2)
            elif not isinstance(inner, (dict, list)):
                out.append(f"{pad}{key}: {scalar(inner)}")
        return out
    for inner in value:
        if isinstance(inner, dict):
            block = lines(inner, indent + 2)
            out += [f"{pad}- {block[0].lstrip()}"] + block[1:]
        else:
            out.append(f"{pad}- {scalar(inner)}")
    return out


def dump(value: dict) -> str:
    return "\n".join(lines(value)) + "\n"
