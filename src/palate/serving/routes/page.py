"""`GET /docs`: the OpenAPI document as a page that loads nothing from anywhere and runs no script."""

import json
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from palate.serving.service import Service

_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }
pre { overflow-x: auto; padding: .75rem; border: 1px solid #8886; border-radius: .4rem; font-size: .85rem }
code { font-weight: 600 }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


def router(service: Service) -> APIRouter:
    """The page."""
    routes = APIRouter()

    @routes.get("/docs", include_in_schema=False)
    async def page(request: Request) -> HTMLResponse:
        schema = request.app.openapi()
        return HTMLResponse(_page(schema, service.settings.name), headers={"content-security-policy": _POLICY})

    return routes


def _page(schema: dict[str, Any], name: str) -> str:
    parts = [
        _operation(method, path, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = "".join(
        f'<details id="{escape(kind)}"><summary><code>{escape(kind)}</code></summary>{_json(known)}</details>'
        for kind, known in schema.get("components", {}).get("schemas", {}).items()
    )
    title = f"{escape(schema['info']['title'])} {escape(schema['info']['version'])} serves {escape(name)}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style><h1>{title}</h1>'
        f"<p>The same for programs: <code>GET /openapi.json</code>.</p>{''.join(parts)}<h2>Schemas</h2>{schemas}</html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    answers = "".join(
        f"<li><code>{escape(code)}</code> {escape(answer.get('description', ''))}</li>"
        for code, answer in operation.get("responses", {}).items()
    )
    return (
        f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2><p>{escape(operation.get('summary', ''))}. "
        f"{escape(operation.get('description', ''))}</p>{_json(body) if body else ''}<ul>{answers}</ul>"
    )


def _json(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2))}</pre>"
