"""The API's OpenAPI 3.1 document, generated from its routes, the types of their answers and of their parameters."""

from typing import Any, Final

import msgspec

from btc import requests
from btc.problems import CONTENT_TYPE, ProblemDetails
from btc.routes import ROUTES, Route

VERSION: Final = "1.0.0"

_REFERENCE: Final = "#/components/schemas/{name}"
_STRICTLY: Final = {"type": "string", "format": "decimal"}
"""How msgspec describes a Decimal, which is encoded as a number here."""
_KEY: Final = {"type": "apiKey", "in": "header", "name": "x-api-key"}
_SIGNATURE: Final = {
    "type": "apiKey",
    "in": "header",
    "name": "Authorization",
    "description": "AWS Signature Version 4 of IAM credentials that may invoke this API, for the service execute-api",
    "x-amazon-apigateway-authtype": "awsSigv4",
}
_PROBLEMS: Final = {
    "400": "A parameter is missing, unknown, given twice, or cannot be read",
    "403": "The key is missing, unknown or revoked, or so is the signature where one is asked for; "
    "or a firewall, where there is one, takes the request for an attack",
    "404": "No such market or path",
    "413": "The request is too large",
    "429": "Too many requests, at once or for today: wait as long as Retry-After says",
    "500": "The service failed",
    "502": "The service failed before it could say why",
    "504": "The service took too long",
}
_HEADERS: Final = {
    "ETag": "Weak: answers that differ in their age alone share it",
    "Cache-Control": "How long it holds: until the next minute, or a second where it may change any moment",
}


def document(*, signed: bool, root: str) -> dict[str, Any]:
    """JSON-able. `root` is the path before the routes' own, on the host that serves it: a relative one would be read
    as many ways as there are tools. `signed`: a key alone opens nothing, see `_SIGNATURE`."""
    kinds = [ProblemDetails, *(route.answer for route in ROUTES if route.answer)]
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Predict Bitcoin Price",
            "version": VERSION,
            "description": "Forecasts of the Bitcoin price that can be checked, with the bars they are made from.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": root or "/"}],
        "paths": {
            route.path: {"get": _operation(route, ["key", "signature"] if signed else ["key"])} for route in ROUTES
        },
        "components": {
            "schemas": _exact(schemas),
            "responses": {status: _problem(status, words) for status, words in _PROBLEMS.items()},
            "securitySchemes": {"key": _KEY, **({"signature": _SIGNATURE} if signed else {})},
        },
    }


def _operation(route: Route, secured: list[str]) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(name=route.answer.__name__)} if route.answer else {"type": "object"}
    headers = {name: {"description": words, "schema": {"type": "string"}} for name, words in _HEADERS.items()}
    told = {"headers": headers} if route.cached else {}
    unchanged = {"304": {"description": "What If-None-Match named is what would be answered", **told}}
    return {
        "operationId": route.name,
        "summary": route.summary,
        "security": [{name: [] for name in secured}] if route.keyed else [],
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)],
        "responses": {
            "200": {"description": route.summary, **told, "content": {"application/json": {"schema": schema}}},
            **(unchanged if route.cached else {}),
            **{status: {"$ref": f"#/components/responses/{status}"} for status in _PROBLEMS},
        },
    }


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    schema = msgspec.json.schema(requests.Symbol)
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in route.parameters]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    _, schemas = msgspec.json.schema_components([route.query])
    described = schemas[route.query.__name__]["properties"]
    return [
        {"name": name, "in": "query", "required": name in route.required, "schema": schema}
        for name, schema in described.items()
    ]


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    known = {"name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"}}
    return [known] if route.cached else []


def _problem(status: str, words: str) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(name=ProblemDetails.__name__)}
    patience = {"description": "Seconds until it is of use to ask again", "schema": {"type": "string"}}
    if status != "429":
        return {"description": words, "content": {CONTENT_TYPE: {"schema": schema}}}
    # A firewall can answer with no other kind than plain JSON.
    content = {kind: {"schema": schema} for kind in (CONTENT_TYPE, "application/json")}
    return {"description": words, "headers": {"Retry-After": patience}, "content": content}


def _exact(schema: Any) -> Any:
    if schema == _STRICTLY:
        return {"type": "number"}
    if isinstance(schema, dict):
        return {name: _exact(part) for name, part in schema.items()}
    return [_exact(part) for part in schema] if isinstance(schema, list) else schema
