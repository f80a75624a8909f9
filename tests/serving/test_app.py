from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from spanbert import Document, SpanModel
from spanbert.formats.jsonl import to_json
from spanbert.serving.worker import Predict

Serving = Callable[..., Any]
TEXT = "the house of Anna was big and Acme Corp met with Dora ."
SECRET = "the-secret-of-this-text"


def plain_json(document: Document) -> dict[str, Any]:
    whole = json.loads(json.dumps(to_json(document)))
    return {key: value for key, value in whole.items() if key != "text"}


def test_predictions_are_those_of_the_library(serving: Serving, model: SpanModel):
    documents = [TEXT, {"id": "mine", "text": "Dora went"}, ""]
    with serving() as server:
        one, several = server.predict(TEXT), server.predict(documents)
    assert one.status == several.status == 200
    assert one.body == {"model": "tiny", "results": [{**plain_json(model.predict(TEXT)), "id": "text-1"}]}
    assert one.body["results"][0]["spans"]
    second = several.body["results"][1]
    assert second == plain_json(model.predict(Document("mine", "Dora went")))
    assert [row["id"] for row in several.body["results"]] == ["text-1", "mine", "text-3"]


def test_an_operating_point_is_chosen_by_request_or_at_the_start(serving: Serving, model: SpanModel):
    def found(answer: Any) -> int:
        assert answer.status == 200, answer.body
        return len(answer.body["results"][0]["spans"])

    with serving() as server:
        strict = server.predict(TEXT, operating_point="strict")
        assert {span["label"] for span in strict.body["results"][0]["spans"]} <= {"PERSON"}
        assert found(strict) == len(model.predict(TEXT, operating_point="strict").spans)
        assert found(server.predict(TEXT, operating_point="none")) == 0 < found(server.predict(TEXT))
        assert found(server.predict(TEXT, threshold=1.0)) == 0
        assert found(server.predict(TEXT, policy="arg-max")) == 1
        assert "operating_points" in server.ask("GET", "/v1/model").body
        for wrong in (
            {"operating_point": "strictt"},
            {"policy": "flatt"},
            {"operating_point": "none", "threshold": 0.5},
        ):
            refused = server.predict(TEXT, **wrong)
            assert refused.status == 422 and refused.body["do_this"], wrong
    with serving(otherwise={"threshold": None, "operating_point": "none", "policy": None}) as server:
        assert found(server.predict(TEXT)) == 0 < found(server.predict(TEXT, threshold=0.0))
        assert server.predict(TEXT, policy="flat").status == 422  # its thresholds are of the model's own policy
    with serving(otherwise={"threshold": 1.0, "operating_point": None}) as server:
        assert found(server.predict(TEXT)) == found(server.predict(TEXT, policy="flat")) == 0
        assert found(server.predict(TEXT, threshold=0.0)) > 0


def test_offsets_may_count_what_javascript_counts(serving: Serving):
    text = "the 😀 house of Anna , Müller"
    with serving() as server:
        points, units, octets = (
            server.predict(text, offset_unit=unit).body["results"][0]["spans"]
            for unit in ("code-points", "utf-16", "utf-8")
        )
    assert points
    for ours, unit, octet in zip(points, units, octets, strict=True):
        assert text[ours["start"] : ours["end"]] == ours["text"] == unit["text"]
        assert text.encode("utf-16-le")[2 * unit["start"] : 2 * unit["end"]].decode("utf-16-le") == ours["text"]
        assert text.encode()[octet["start"] : octet["end"]].decode() == ours["text"]


def test_given_spans_are_read_in_the_same_unit(serving: Serving, relating: SpanModel):
    seen: list[Document] = []

    def predict(documents: Sequence[Document], choices: object, check: object) -> list[Document]:
        seen.extend(documents)
        return list(documents)

    document = {"text": "😀 Anna", "spans": [{"start": 3, "end": 7, "label": "PERSON"}]}
    with serving(predict, of=relating) as server:
        answer = server.predict(document, offset_unit="utf-16", given_spans=True)
    assert [(span.start, span.end) for span in seen[0].spans] == [(2, 6)]
    assert answer.body["results"][0]["spans"][0] == {"start": 3, "end": 7, "label": "PERSON", "text": "Anna"}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[]", "dictionary"),
        (b"{}", "/inputs"),
        (b'{"inputs": "\\ud83d"}', "JSON"),
        (b'{"inputs": "a", "parameters": {"threshold": NaN}}', "JSON"),
        (b'{"inputs": "a", "inputs": "b"}', "twice"),
        (b'{"inputs": "a", "parameters": {"threshold": 1.5}}', "/parameters/threshold"),
        (b'{"inputs": "a", "parameters": {"threshold": "0.5"}}', "/parameters/threshold"),
        (b'{"inputs": "a", "parameters": {"tresholds": 0.5}}', "/parameters/tresholds"),
        (b'{"inputs": "a", "wanted": 1}', "/wanted"),
        (b'{"inputs": 5}', "/inputs"),
        (b'{"inputs": []}', "0 texts"),
        (b'{"inputs": ["a", {"texts": "a"}]}', "/inputs/1: unknown key"),
        (b'{"inputs": {"text": "a", "questions": [{"question": 5}]}}', "/inputs: "),
        (b'{"inputs": "a\xff"}', "UTF-8"),
        (b'{"inputs": ' + b"[" * 100_000, "JSON"),
        (b'{"inputs": ' + b'{"a":' * 100_000, "JSON"),
        (b'{"inputs": "a", "parameters": {"offset_unit": "miles"}}', "/parameters/offset_unit"),
    ],
)
def test_what_is_no_request_is_explained(serving: Serving, body: bytes, told: str):
    with serving() as server:
        answer = server.ask("POST", "/v1/predict", body)
        assert answer.status == 422
        assert told in answer.body["error"], answer.body
        assert server.predict(TEXT).status == 200


def test_what_was_meant_is_named(serving: Serving):
    """It is a name of ours, and never of the text."""
    with serving() as server:
        answer = server.ask("POST", "/v1/predict", b'{"inputs": {"text": "a", "question": [{"question": "who?"}]}}')
        assert answer.status == 422 and answer.body["do_this"] == "did you mean 'questions'?"
        assert "who" not in str(answer.body)


def test_texts_are_not_repeated_in_refusals(serving: Serving, relating: SpanModel):
    copy = {"start": 0, "end": 9, "label": "PERSON", "text": "something else"}
    wrong = [
        {"inputs": SECRET, "parameters": {"threshold": SECRET}},
        {"inputs": {"text": SECRET, "spans": SECRET}},
        {"inputs": {"text": SECRET, "spans": [copy]}, "parameters": {"given_spans": True}},
        {"inputs": {"text": SECRET, "spans": [{"start": 0, "end": 4, "label": f"a {SECRET}"}]}},
        {"inputs": {"text": "a", "questions": [{"question": SECRET, "id": [SECRET]}]}},
        {"inputs": {"text": "a", "id": [SECRET, "'"]}},
        {"inputs": {"text": "a", SECRET: 1}},
        {"inputs": {"text": "a", f"it's {SECRET}": 1}},
        {"inputs": {"text": "a", SECRET + "x" * 5000: 1}},
        {"inputs": {"text": "a", "id": ["b", f"it's {SECRET}"]}},
        {"inputs": [SECRET, 5]},
        {"inputs": "a", SECRET * 10_000: 5},
        {"inputs": "a", "parameters": {SECRET * 10_000: 5}},
    ]
    with serving(of=relating) as server:
        for record in wrong:
            answer = server.ask("POST", "/v1/predict", json.dumps(record).encode())
            assert answer.status == 422, record
            told = json.dumps(answer.body)
            assert len(told) < 1000 and SECRET[5:] not in told.replace(SECRET, "", SECRET * 2 in json.dumps(record))


def test_too_much_is_refused_however_it_comes(serving: Serving):
    def chunks() -> Iterator[bytes]:
        yield b'{"inputs": "'
        for _ in range(100):
            yield b"x" * 1000
        yield b'"}'

    with serving(max_body=20_000, max_texts=3, max_characters=500) as server:
        assert server.predict("x" * 500).status == 200
        assert server.predict(["a"] * 3).status == 200
        assert server.predict("x" * 501).status == 422
        assert "501 characters" in server.predict({"text": "x" * 501}).body["error"]
        assert "4 texts" in server.predict(["a"] * 4).body["error"]
        assert server.predict("x" * 20_000).status == 413
        assert server.ask("POST", "/v1/predict", chunks()).status == 413


def test_other_content_is_refused(serving: Serving):
    with serving() as server:
        for kind in ("text/plain", "", "multipart/form-data; boundary=x"):
            assert server.ask("POST", "/v1/predict", b'{"inputs": "a"}', Content_Type=kind).status == 415
        assert (
            server.ask("POST", "/v1/predict", b'{"inputs": "a"}', Content_Type="Application/JSON; charset=x").status
            == 200
        )
        missing, wrong = server.ask("GET", "/v1/nothing"), server.ask("GET", "/v1/predict")
        assert (missing.status, wrong.status) == (404, 405)
        assert missing.body["do_this"] and wrong.headers["allow"] == "POST"


def test_keys_are_asked_for_everywhere_but_for_health(serving: Serving, tmp_path: Path):
    keys = tmp_path / "keys"
    keys.write_text("the-first-key-of-two\nthe-second-key-of-two\n")
    body = b'{"inputs": "a"}'
    with serving(key_file=keys) as server:
        for path in ("/livez", "/readyz", "/health"):
            assert server.ask("GET", path).status == 200
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic the-first-key-of-two"}):
            for method, path in (("POST", "/v1/predict"), ("GET", "/v1/model"), ("GET", "/openapi.json")):
                answer = server.ask(method, path, body, **given)
                assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"
        for key in ("the-first-key-of-two", "the-second-key-of-two"):
            assert server.ask("POST", "/v1/predict", body, Authorization=f"Bearer {key}").status == 200


def test_a_page_of_elsewhere_cannot_ask_under_its_own_name(serving: Serving):
    with serving() as server:
        for host, status in (
            ("evil.example", 400), ("localhost", 200), (f"127.0.0.1:{server.port}", 200), ("[::1]:8000", 200),
            ("LOCALHOST.:80", 200), ("localhost.evil.example", 400), ("", 400),
        ):  # fmt: skip
            answer = server.ask("GET", "/livez", Host=host)
            assert answer.status == status and answer.headers["x-request-id"], host
            assert status == 200 or answer.body["do_this"]
    with serving(host="127.0.0.2") as server:
        assert server.ask("GET", "/livez", Host="127.0.0.2:80").status == 200


def test_what_is_served_and_how_to_ask_is_told(serving: Serving):
    with serving(max_texts=7) as server:
        about = server.ask("GET", "/v1/model").body
        interface = server.ask("GET", "/openapi.json").body
    assert about["tasks"]["span-classification"]["labels"] == ["PERSON", "ORG"]
    assert set(about["operating_points"]) == {"strict", "none"}
    assert about["limits"]["max_texts"] == 7
    body = interface["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["inputs"]


def test_answers_carry_the_number_of_their_request(serving: Serving):
    with serving() as server:
        assert server.ask("GET", "/livez", X_Request_Id="mine-7").headers["x-request-id"] == "mine-7"
        assert len(server.ask("GET", "/v1/nothing").headers["x-request-id"]) == 32


def test_a_full_queue_says_when_to_come_back(serving: Serving, slow: tuple[Predict, threading.Event]):
    predict, go_on = slow
    with serving(predict, max_waiting=1) as server:
        answers: list[int] = []
        ask = [threading.Thread(target=lambda: answers.append(server.predict("a").status)) for _ in range(2)]
        for thread in ask:  # one is predicted, one waits
            thread.start()
            time.sleep(0.3)
        refused = server.predict("b")
        assert refused.status == 429 and int(refused.headers["retry-after"]) >= 1
        assert server.ask("GET", "/livez").status == 200
        go_on.set()
        for thread in ask:
            thread.join()
        assert answers == [200, 200] and server.predict("b").status == 200


def test_what_takes_too_long_is_given_up(serving: Serving, slow: tuple[Predict, threading.Event]):
    predict, go_on = slow
    with serving(predict, request_timeout=0.2) as server:
        first, second = server.predict("a"), server.predict("b")
        assert first.status == second.status == 504
        go_on.set()
        assert server.predict("c").status == 200


def test_who_has_left_costs_nothing(serving: Serving):
    seen: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def predict(documents: Sequence[Document], choices: object, check: object) -> list[Document]:
        seen.extend(document.text for document in documents)
        begun.set()
        assert go_on.wait(20)
        return list(documents)

    with serving(predict) as server:
        first = threading.Thread(target=server.predict, args=["first"])
        first.start()
        assert begun.wait(20)
        body = b'{"inputs": "left"}'
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            lines = ["POST /v1/predict HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
            head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
            connection.sendall(head.encode() + body)
            time.sleep(0.3)
        time.sleep(0.3)
        go_on.set()
        first.join()
        assert server.predict("last").status == 200
    assert seen == ["first", "last"]


def test_a_fault_is_told_by_a_number_and_logged_without_the_text(serving: Serving, caplog: pytest.LogCaptureFixture):
    def predict(documents: Sequence[Document], choices: object, check: object) -> list[Document]:
        for document in documents:
            if SECRET in document.text:
                raise ValueError(document.text)
        return list(documents)

    with serving(predict) as server, caplog.at_level(logging.ERROR, "spanbert.serving"):
        answer = server.predict(["fine", f"a {SECRET}"])
        assert server.predict("fine").status == 200
    assert answer.status == 500
    number = answer.body["error"].partition("(")[2].rstrip(")")
    assert number and number in caplog.text and "ValueError" in caplog.text
    assert SECRET not in caplog.text + json.dumps(answer.body)


def test_a_model_of_questions_wants_questions(serving: Serving, tiny_encoder: Path):
    reader = SpanModel.create(tiny_encoder, task="question-answering")
    ask = {"id": "d", "text": TEXT, "questions": [{"id": "q", "question": "Who was in the house?"}]}
    assert reader.lacking(Document("d", TEXT)) is not None
    with serving(of=reader) as server:
        answer = server.predict(ask)
        assert server.predict(TEXT).status == 422
    assert answer.status == 200
    assert 0.0 <= answer.body["results"][0]["questions"][0]["no_answer"] <= 1.0


def test_what_the_model_has_no_use_for_costs_nothing(serving: Serving, relating: SpanModel):
    """Neither is it read, nor told again: a small request must not make a large answer."""
    text = "a" * 20_000
    many = [{"start": k, "end": 20_000, "label": "PERSON"} for k in range(900)]
    odd = {"text": text, "spans": many, "clusters": [{"spans": many}], "coverage": 5, "annotated": {}}
    asked = {"text": text, "questions": [{"question": "who?", "answers": many, "n_best": many}]}
    with serving() as server:
        for document in (odd, asked):
            answer = server.predict(document)
            assert answer.status == 200 and len(json.dumps(answer.body)) < 500_000
    with serving(of=relating, max_annotations=1000, max_body=2_000_000) as server:
        assert "longer than a request" in server.predict({"text": text, "spans": many}, given_spans=True).body["error"]
        assert "1,001 spans" in server.predict({"text": "a", "spans": many[:1] * 1001}).body["error"]


def test_a_stopping_server_takes_nothing_on(serving: Serving, slow: tuple[Predict, threading.Event]):
    predict, go_on = slow
    with serving(predict) as server:
        answers: list[Any] = []
        waiting = threading.Thread(target=lambda: answers.append(server.predict("a")))
        waiting.start()
        time.sleep(0.3)
        server.worker.draining = True
        assert server.ask("GET", "/readyz").status == 503
        late = server.predict("b")
        assert late.status == 503 and late.headers["connection"] == "close"
        server.worker.abandon()
        waiting.join(20)
        assert [answer.status for answer in answers] == [503]
        go_on.set()


def test_who_leaves_while_sending_is_no_fault(serving: Serving, caplog: pytest.LogCaptureFixture):
    with serving() as server, caplog.at_level(logging.DEBUG):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            lines = ["POST /v1/predict HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
            connection.sendall("\r\n".join([*lines, "Content-Length: 100", "", '{"inp']).encode())
            time.sleep(0.2)
        time.sleep(0.3)
        assert server.predict(TEXT).status == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_head_is_enough_for_health(serving: Serving):
    with serving() as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("HEAD", "/livez")
        assert connection.getresponse().status == 200
        connection.close()


def test_health_tells_that_nothing_predicts_any_more(serving: Serving):
    with serving() as server:
        server.worker.close()
        assert server.ask("GET", "/livez").status == 503
