"""A check of a value against the part of JSON Schema that stallgate's schemas use; any other keyword is refused."""

from __future__ import annotations

from datetime import date
from typing import Any

_KINDS: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "null": type(None),
}
_SAID = {"title", "description", "default"}
_CHECKED = {"$ref", "anyOf", "enum", "type", "properties", "required", "additionalProperties", "propertyNames", "items"}
_BOUNDS = {"minimum", "maximum", "minItems", "maxItems", "prefixItems"}


def violations(value: Any, schema: dict[str, Any], root: dict[str, Any], where: str = "$") -> list[str]:
    """What a value violates of a schema, a line each."""
    unknown = set(schema) - _SAID - _CHECKED - _BOUNDS - {"$schema", "$defs", "format"}
    assert not unknown, f"the check does not know {unknown}"
    assert schema.get("format", "date") == "date", f"the check does not know texts of {schema['format']}"
    found: list[str] = []
    if "$ref" in schema:
        found += violations(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, where)
    if "anyOf" in schema:
        tried = [violations(value, each, root, where) for each in schema["anyOf"]]
        found += [] if not all(tried) else min(tried, key=len)
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: {value!r} is none of {schema['enum']}")
    if "type" in schema and not _is_of(value, schema["type"]):
        return [*found, f"{where}: {value!r} is no {schema['type']}"]
    if "format" in schema and not _is_date(value):
        found.append(f"{where}: {value!r} is no date")
    if isinstance(value, dict):
        found += _in_object(value, schema, root, where)
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        found += [
            line for n, part in enumerate(value) for line in violations(part, schema["items"], root, f"{where}[{n}]")
        ]
    return found


def _is_of(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _KINDS[kind])


def _is_date(text: str) -> bool:
    """Whether a text is a day as in RFC 3339; Python reads weeks as well."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _in_object(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], where: str) -> list[str]:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    found = [f"{where}: {name} is missing" for name in schema.get("required", []) if name not in value]
    for name, part in value.items():
        found += violations(name, schema.get("propertyNames", {}), root, f"{where}: the name {name}")
        if name in properties:
            found += violations(part, properties[name], root, f"{where}.{name}")
        elif others is False:
            found.append(f"{where}: {name} is not allowed")
        elif isinstance(others, dict):
            found += violations(part, others, root, f"{where}.{name}")
    return found
