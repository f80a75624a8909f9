"""The routes: what a request goes through before the worker sees it, and how it is answered.

What cannot be answered has a body `{"error", "expected", "do_this"}`. Texts are repeated neither in it nor in logs, so
whatever stood in quotes in a message about the data is left out.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import re
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.telemetry import TelemetryConfig
from pydantic import ValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import __version__
from ..documents import JSON, Document
from ..errors import MEANT, DataError, SpanbertError
from ..formats import strict_json
from ..inference.span_model import Choices, SpanModel
from .requests import PredictRequest, result
from .service import Service
from .worker import Busy, Stopping, Worker

LOG = logging.getLogger("spanbert.serving")
BODY_SECONDS = 30.0
"""In which a request must have arrived."""
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
"""Under which a server for this machine alone answers, so that no page of elsewhere can ask under a name of its own."""
INPUTS = "a text, a document as in the JSON lines, or a list of either"
SILENT: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""Nothing is sent anywhere, whatever the environment says."""
ID = "x-request-id"
LONGEST = 200
"""Characters of a finding that is told."""


class Refused(Exception):
    """The request is answered with this status and these sentences."""

    def __init__(self, status: int, found: str, expected: str, fix: str, **headers: str) -> None:
        super().__init__(status)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.body: dict[str, JSON] = {
            "error": found[:LONGEST],
            "expected": expected[:LONGEST],
            "do_this": fix[:LONGEST],
        }


def create_app(model: SpanModel, name: str, service: Service, otherwise: Choices, worker: Worker) -> ASGIApp:
    """name: what the model is called in answers. otherwise: how is chosen where a request does not say so."""
    app = FastAPI(
        title="spanbert", version=__version__, docs_url=None, redoc_url=None, openapi_url=None, telemetry=SILENT
    )  # fmt: skip
    app.add_exception_handler(Refused, _refuse)
    app.add_exception_handler(HTTPException, _refuse_otherwise)
    behind_key = APIRouter(dependencies=[Depends(_key_check(service.keys()))])

    async def health() -> Response:
        """200 while it takes requests on."""
        return _json({"status": "ok"}) if worker.ready else _json({"status": "stopping"}, 503)

    for path in ("/livez", "/readyz", "/health"):
        app.add_api_route(path, health, methods=["GET"])
        app.add_api_route(path, health, methods=["HEAD"], include_in_schema=False)

    @behind_key.get("/v1/model")
    async def about() -> Response:
        """What is served, and within which limits."""
        return _json(_description(model, name, service))

    @behind_key.get("/openapi.json", include_in_schema=False)
    async def interface() -> Response:
        return _json(app.openapi())

    @behind_key.post("/v1/predict", openapi_extra=_schema())
    async def predict(request: Request) -> Response:
        """Predictions for texts or documents, in their order; offsets count code points unless asked otherwise."""
        with _explained():
            _check_kind(request.headers.get("content-type", ""))
            worker.check_room()
            body = await _body(request, service.max_body)
            # large ones take a while, in which the loop has others to answer
            asked, choices, documents = await asyncio.to_thread(_read, body, model, service, otherwise)
            found = await _predicted(worker, documents, choices, request, service.request_timeout)
            return await asyncio.to_thread(_told, name, found, asked.parameters.offset_unit)

    app.include_router(behind_key)
    hosts = {*LOCAL_NAMES, service.host} if service.local else None
    return _Gate(app, hosts)


def _read(
    body: bytes, model: SpanModel, service: Service, otherwise: Choices
) -> tuple[PredictRequest, Choices, list[Document]]:
    try:
        record = strict_json.parse(body.decode())
    except UnicodeDecodeError:
        raise Refused(422, "a body that is not UTF-8", "JSON in UTF-8", "encode it so") from None
    asked = PredictRequest.model_validate(record)
    choices = asked.parameters.choices(otherwise)
    documents = asked.documents(model, service)
    model.predictor(**choices)  # is there such a policy, such an operating point?
    useless = [error for document in documents if (error := model.lacking(document)) is not None]
    if len(useless) == len(documents):
        raise useless[0]
    return asked, choices, documents


def _told(name: str, found: list[Document], unit: str) -> Response:
    return _json({"model": name, "results": [result(document, unit) for document in found]})


def _key_check(keys: tuple[bytes, ...]) -> Callable[[Request], None]:
    def check(request: Request) -> None:
        kind, _, key = request.headers.get("authorization", "").partition(" ")
        given = key.strip().encode("latin-1", "replace") if kind.lower() == "bearer" else b""
        if keys and not any([hmac.compare_digest(given, known) for known in keys]):  # all, whichever it is
            header = {"WWW_Authenticate": "Bearer"}
            raise Refused(401, "no valid key", "Authorization: Bearer KEY", "ask whoever runs this server", **header)

    return check


def _check_kind(content_type: str) -> None:
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, f"content of type {kind or 'none'}", "application/json", "send JSON, and say so")


async def _body(request: Request, most: int) -> bytes:
    """All of it, however it comes. Refuses what is too long, as soon as that shows, or too slow."""
    chunks, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                chunks.append(chunk)
                size += len(chunk)
                if size > most:
                    raise Refused(
                        413, f"a body of more than {most:,} bytes", f"{most:,} at most", "send fewer texts at a time"
                    )
    except TimeoutError:
        raise Refused(408, "a body that does not arrive", f"all of it in {BODY_SECONDS:g} s", "send it again") from None
    except ClientDisconnect:
        raise _left() from None
    return b"".join(chunks)


async def _predicted(
    worker: Worker, documents: list[Document], choices: Choices, request: Request, seconds: float
) -> list[Document]:
    """What the worker makes of them, unless it takes too long or nobody waits for it any more."""
    answer = asyncio.wrap_future(worker.submit(documents, choices))
    gone = asyncio.ensure_future(request.receive())  # after the body nothing comes but the end of the connection
    try:
        await asyncio.wait((answer, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        if gone.done():
            raise _left()
        raise Refused(504, f"no answer in {seconds:g} s", "fewer or shorter texts", "send less, or try again later")
    finally:
        gone.cancel()
        answer.cancel()  # what is left of it the worker drops


def _left() -> Refused:
    return Refused(499, "the client has left", "somebody to answer", "nothing")


@contextmanager
def _explained() -> Iterator[None]:
    """Whatever goes wrong with a request as an answer."""
    try:
        yield
    except Refused:
        raise
    except Busy as busy:
        wait = str(max(1, math.ceil(busy.seconds)))
        raise Refused(429, "too much waits already", "another try", f"wait {wait} s", Retry_After=wait) from None
    except Stopping:
        raise Refused(
            503, "the server is stopping", "another try", "ask again later", Retry_After="30", Connection="close"
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = "/".join(str(part)[:40] for part in ("", *first["loc"]))
        if where.startswith("/inputs/"):  # of the kinds that it may be, it is none
            raise Refused(422, "/inputs: another kind of value", INPUTS, "correct it") from None
        raise Refused(422, f"{where or 'the body'}: {first['msg']}", "see GET /openapi.json", "correct it") from None
    except SpanbertError as error:
        place = f"{error.file}: " if error.file is not None else ""
        parts, ours = (error.found, error.expected, error.fix), not isinstance(error, DataError)
        found, expected, fix = (part if ours or part.startswith(MEANT) else _unquoted(part) for part in parts)
        raise Refused(422, place + found, expected, fix) from None
    except Exception as error:
        number = uuid.uuid4().hex[:12]  # its own words may hold the text
        frames = "".join(traceback.format_tb(error.__traceback__))
        LOG.error("fault %s: %s\n%s", number, type(error).__name__, frames)
        raise Refused(500, f"a fault inside ({number})", "a prediction", "report it with the server's log") from None


def _unquoted(message: str) -> str:
    """Without what may be of the text: from the first quotation mark to the last, or the end where it was cut off."""
    return re.sub(r"""['"].*(?:['"]|… \([\d,]+ characters\)$)""", "…", message, flags=re.DOTALL)


class _Gate:
    """Around all routes: only known names of the host are answered, and each answer carries the number of its request,
    or a new one.
    """

    def __init__(self, app: ASGIApp, hosts: set[str] | None) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(ID, "")
        number = given if 0 < len(given) <= 100 and given.isprintable() else uuid.uuid4().hex

        async def numbered(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[ID] = number
            await send(message)

        host = re.sub(r":\d*$", "", headers.get("host", "")).rstrip(".").strip("[]").lower()
        if self.hosts is not None and host not in self.hosts:
            error = Refused(400, "a name of another host", "localhost", "ask under the address that the server told")
            await _json(error.body, error.status)(scope, receive, numbered)
            return
        await self.app(scope, receive, numbered)


def _refuse(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the form that the framework wants
    assert isinstance(error, Refused)
    return _json(error.body, error.status, error.headers)


def _refuse_otherwise(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: a route that is not there, another method."""
    assert isinstance(error, HTTPException)
    found = f"{request.method} {request.url.path}: {error.detail}"
    refused = Refused(error.status_code, found, "POST /v1/predict, GET /v1/model", "see GET /openapi.json")
    return _json(refused.body, error.status_code, error.headers)


def _json(value: object, status: int = 200, headers: object = None) -> Response:
    return Response(strict_json.dump(value), status, headers, media_type="application/json")  # type: ignore[arg-type]


def _schema() -> dict[str, JSON]:
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": PredictRequest.model_json_schema()}},
        }
    }


def _description(model: SpanModel, name: str, service: Service) -> dict[str, JSON]:
    bundle = model.bundle
    return {
        "model": name,
        "version": __version__,
        "precision": model.precision,
        "tasks": {
            task: {
                "labels": list(each.settings.labels),
                "policy": getattr(each.settings, "policy", None),
                "threshold": bundle.decisions[task].threshold,
                "tells": list(each.tells),
            }
            for task, each in bundle.tasks.items()
        },
        "operating_points": {
            point: {"requirement": each.requirement, "thresholds": each.thresholds}
            for point, each in bundle.operating_points.items()
        },
        "limits": {
            key: getattr(service, key)
            for key in ("max_body", "max_texts", "max_characters", "max_annotations", "request_timeout")
        },
    }
