"""Plain pages without scripts: the reference of the API, and what stands in for a dashboard that is not built."""

from __future__ import annotations

from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
code { font-family: ui-monospace, monospace; }
h1 { font-size: 1.5rem; }
h2 { font-size: 1.2rem; margin-top: 2rem; text-transform: capitalize; }
details { border-top: 1px solid #8884; padding: 0.4rem 0; }
summary { cursor: pointer; }
summary b { display: inline-block; min-width: 4.5rem; }
"""
"""The style sheet of these pages; our policy allows none inside a page."""


def page(title: str, body: str, base_path: str = "") -> str:
    """An HTML page. `title` is text, `body` is HTML, `base_path` what addresses begin with."""
    base = escape(base_path, quote=True)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width">'
        f'<link rel="icon" href="{base}/leveret.svg"><link rel="stylesheet" href="{base}/plain.css"></head>'
        f"<body><h1>{escape(title)}</h1>{body}</body></html>"
    )


def reference(openapi: dict[str, Any], base_path: str = "") -> str:
    """The OpenAPI document as a page: every operation with its parameters and answers."""
    sections: dict[str, list[str]] = {}
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            sections.setdefault(operation["tags"][0], []).append(_operation(method.upper(), path, operation))
    body = f'<p>The same for programs: <a href="{escape(base_path, quote=True)}/openapi.json">openapi.json</a>.</p>'
    for tag, operations in sections.items():
        body += f"<h2>{escape(tag)}</h2>" + "".join(operations)
    return page(f"{openapi['info']['title']} {openapi['info']['version']}", body, base_path)


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = [
        f"<li><code>{escape(item['name'])}</code> ({escape(item['in'])}{', required' if item.get('required') else ''})"
        f" {escape(item.get('description', ''))}</li>"
        for item in operation.get("parameters", ())
    ]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    if content:
        rows.append(f"<li>body: <code>{escape(_schema_name(content['schema']))}</code></li>")
    answers = "".join(
        f"<li><code>{escape(status)}</code> {escape(answer['description'])}</li>"
        for status, answer in operation["responses"].items()
    )
    return (
        f"<details><summary><b>{method}</b> <code>{escape(path)}</code> {escape(operation.get('summary', ''))}</summary>"
        f"<p>{escape(operation.get('description', ''))}</p><ul>{''.join(rows)}</ul><p>Answers</p><ul>{answers}</ul></details>"
    )


def _schema_name(schema: dict[str, Any]) -> str:
    choices = [schema, *schema.get("anyOf", ())]
    return next((choice["$ref"].rsplit("/", 1)[-1] for choice in choices if "$ref" in choice), "object")
