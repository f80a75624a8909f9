"""The routes: what a request goes through before the worker sees it, and how it is answered.

What cannot be answered has a body `{"error", "expected", "do_this"}`. Texts are repeated neither in it nor in logs.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from pydantic import ValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import __version__
from ..documents import JSON, Document
from ..errors import SpanbertError
from ..formats import strict_json
from ..inference.span_model import Choices, SpanModel
from .limits import Limits
from .requests import PredictRequest, result
from .worker import Busy, Worker

LOG = logging.getLogger("spanbert.serving")
BODY_SECONDS = 30.0
"""In which a request must have arrived."""
LOCAL_NAMES = ["localhost", "127.0.0.1", "[::1]"]
"""Under which a server for this machine alone answers, so that no page of elsewhere can ask under a name of its own."""
INPUTS = "a text, a document as in the JSON lines, or a list of either"
ID = "x-request-id"


class Refused(Exception):
    """The request is answered with this status and these sentences."""

    def __init__(self, status: int, found: str, expected: str, fix: str, **headers: str) -> None:
        super().__init__(status)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.body: dict[str, JSON] = {"error": found, "expected": expected, "do_this": fix}


def create_app(model: SpanModel, name: str, limits: Limits, otherwise: Choices, worker: Worker) -> FastAPI:
    """name: what the model is called in answers. otherwise: how is chosen where a request does not say so."""
    app = FastAPI(title="spanbert", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    if limits.local:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOCAL_NAMES)
    app.add_middleware(_Numbered)
    app.add_exception_handler(Refused, _refuse)
    app.add_exception_handler(HTTPException, _refuse_otherwise)
    behind_key = APIRouter(dependencies=[Depends(_key_check(limits.keys()))])

    @app.get("/livez")
    @app.get("/readyz")
    @app.get("/health")
    def health() -> Response:
        """200 while it can predict."""
        return _json({"status": "ok"}) if worker.alive else _json({"status": "the predicting thread is gone"}, 503)

    @behind_key.get("/v1/model")
    def about() -> Response:
        """What is served, and within which limits."""
        return _json(_description(model, name, limits))

    @behind_key.get("/openapi.json", include_in_schema=False)
    def interface() -> Response:
        return _json(app.openapi())

    @behind_key.post("/v1/predict", openapi_extra=_schema())
    async def predict(request: Request) -> Response:
        """Predictions for texts or documents, in their order; offsets count code points unless asked otherwise."""
        _check_kind(request.headers.get("content-type", ""))
        with _explained():
            asked = PredictRequest.model_validate_json(await _body(request, limits.max_body))
            choices = asked.parameters.choices(otherwise)
            documents = asked.documents(limits)
            model.predictor(**choices)  # is there such a policy, such an operating point?
            if all(errors := [model.lacking(document) for document in documents]):
                raise errors[0] or AssertionError
        found = await _predicted(worker, documents, choices, request, limits.request_timeout)
        return _json({"model": name, "results": [result(each, asked.parameters.offset_unit) for each in found]})

    app.include_router(behind_key)
    return app


def _key_check(keys: tuple[bytes, ...]) -> Callable[[Request], None]:
    def check(request: Request) -> None:
        kind, _, key = request.headers.get("authorization", "").partition(" ")
        given = key.strip().encode("utf-8", "surrogateescape") if kind.lower() == "bearer" else b""
        if keys and not any([hmac.compare_digest(given, known) for known in keys]):  # all, whichever it is
            raise Refused(
                401,
                "no valid key",
                "Authorization: Bearer KEY",
                "ask whoever runs this server",
                WWW_Authenticate="Bearer",
            )

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
    return b"".join(chunks)


@contextmanager
def _explained() -> Iterator[None]:
    """What is wrong with a request, told without repeating what stood there."""
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = "/".join(str(part) for part in ("", *first["loc"]))
        if where.startswith("/inputs/"):  # of the kinds that it may be, it is none
            raise Refused(422, "/inputs: another kind of value", INPUTS, "correct it") from None
        raise Refused(422, f"{where or 'the body'}: {first['msg']}", "see GET /openapi.json", "correct it") from None
    except SpanbertError as error:
        place = f"document {error.document!r}: " if error.document is not None else ""
        raise Refused(422, place + error.found, error.expected, error.fix) from None


async def _predicted(
    worker: Worker, documents: list[Document], choices: Choices, request: Request, seconds: float
) -> list[Document]:
    """What the worker makes of them, unless it takes too long or nobody waits for it any more."""
    try:
        told = worker.submit(documents, choices)
    except Busy as busy:
        wait = str(max(1, math.ceil(busy.seconds)))
        raise Refused(429, "too much waits already", "another try", f"wait {wait} s", Retry_After=wait) from None
    gone = asyncio.ensure_future(request.receive())  # after the body nothing comes but the end of the connection
    answer = asyncio.wrap_future(told)
    await asyncio.wait((answer, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    left = gone.done()
    gone.cancel()
    if not answer.done():
        answer.cancel()  # the worker drops what is left of it
        if left:
            raise Refused(499, "the client has left", "somebody to answer", "nothing")
        raise Refused(504, f"no answer in {seconds:g} s", "fewer or shorter texts", "send less, or try again later")
    with _explained():
        return _without_text(answer)


def _without_text(answer: asyncio.Future[list[Document]]) -> list[Document]:
    """The answer; a fault is logged as where it came from, since its words may hold the text."""
    error = answer.exception()
    if error is None:
        return answer.result()
    if isinstance(error, SpanbertError):
        raise error
    number = uuid.uuid4().hex[:12]
    LOG.error("fault %s: %s\n%s", number, type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
    raise Refused(500, f"a fault inside ({number})", "a prediction", "report it with what the server logged")


class _Numbered:
    """Each answer carries the number that its request came with, or a new one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope).get(ID, "") if scope["type"] == "http" else ""
        number = given if 0 < len(given) <= 100 and given.isprintable() else uuid.uuid4().hex

        async def numbered(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[ID] = number
            await send(message)

        await self.app(scope, receive, numbered)


def _refuse(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the form that the framework wants
    assert isinstance(error, Refused)
    return _json(error.body, error.status, error.headers)


def _refuse_otherwise(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: a route that is not there, another method."""
    assert isinstance(error, HTTPException)
    body: dict[str, JSON] = {"error": f"{request.method} {request.url.path}: {error.detail}"}
    body |= {"expected": "POST /v1/predict, GET /v1/model", "do_this": "see GET /openapi.json"}
    return _json(body, error.status_code, error.headers)


def _json(value: object, status: int = 200, headers: object = None) -> Response:
    return Response(strict_json.dump(value), status, headers, media_type="application/json")  # type: ignore[arg-type]


def _schema() -> dict[str, JSON]:
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": PredictRequest.model_json_schema()}},
        }
    }


def _description(model: SpanModel, name: str, limits: Limits) -> dict[str, JSON]:
    bundle = model.bundle
    return {
        "model": name,
        "version": __version__,
        "precision": model.precision,
        "tasks": {
            task: {
                "labels": list(each.settings.labels),
                "policy": getattr(each.settings, "policy", None),
                "threshold": bundle.thresholds[task],
                "tells": list(each.tells),
            }
            for task, each in bundle.tasks.items()
        },
        "operating_points": {
            point: {"requirement": each.requirement, "thresholds": each.thresholds}
            for point, each in bundle.operating_points.items()
        },
        "limits": {key: getattr(limits, key) for key in ("max_body", "max_texts", "max_characters", "request_timeout")},
    }
