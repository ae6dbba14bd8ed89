"""An OTLP collector that reads traces with OpenTelemetry's own protocol buffers and prints them as people read them.

collector.py: prints the port, then a line of JSON for each batch: its resource, and one text a trace, in which ids, times and sizes that
differ from run to run have names. `GET /status/N` has it answer status N from then on, `GET /reject/N` that it rejects N spans of each
batch.
"""

import base64
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest, ExportTraceServiceResponse)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

answer = 200
rejected = 0
lock = threading.Lock()

# What differs from run to run. The rest stands in the golden files as it is.
VARIES = {"gateway.record", "gateway.request_id", "server.port", "messaging.message.id", "client.address"}


def strict(content):
    """The request. Other than in the JSON of Protocol Buffers, ids are hexadecimal in OTLP's; nothing else may differ."""
    document = json.loads(content)

    def bytes_of(holder, name, length):
        text = holder[name]
        assert re.fullmatch("[0-9a-f]{%d}" % (2 * length), text) and int(text, 16), (name, text)
        holder[name] = base64.b64encode(bytes.fromhex(text)).decode()

    for of_resource in document["resourceSpans"]:
        for of_scope in of_resource["scopeSpans"]:
            for span in of_scope["spans"]:
                bytes_of(span, "traceId", 16)
                bytes_of(span, "spanId", 8)
                if "parentSpanId" in span:
                    bytes_of(span, "parentSpanId", 8)
                for link in span.get("links", []):
                    bytes_of(link, "traceId", 16)
                    bytes_of(link, "spanId", 8)
    return json_format.ParseDict(document, ExportTraceServiceRequest(), ignore_unknown_fields=False)


def value(attribute):
    kind = attribute.value.WhichOneof("value")
    return getattr(attribute.value, kind)


def describe(spans):
    """One trace as text: a line a span, its attributes below."""
    by_id = {span.span_id: span for span in spans}
    lines = []

    def write(span, depth):
        indent = "  " * depth
        assert span.start_time_unix_nano <= span.end_time_unix_nano, span
        parent = by_id.get(span.parent_span_id)
        if parent:
            assert parent.start_time_unix_nano <= span.start_time_unix_nano, (parent, span)
            assert span.end_time_unix_nano <= parent.end_time_unix_nano, (parent, span)
        status = f" {Status.StatusCode.Name(span.status.code)}" if span.status.code else ""
        lines.append(f"{indent}{span.name} [{Span.SpanKind.Name(span.kind).removeprefix('SPAN_KIND_')}]{status}")
        for attribute in span.attributes:
            shown = "…" if attribute.key in VARIES else value(attribute)
            shown = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:…", str(shown))
            lines.append(f"{indent}  - {attribute.key}: {shown}")
        names = [attribute.key for attribute in span.attributes]
        assert len(names) == len(set(names)), names
        for link in span.links:
            lines.append(f"{indent}  - link to another span of {'this' if link.trace_id == span.trace_id else 'another'} trace")
        for child in sorted(spans, key=lambda child: child.start_time_unix_nano):
            if child.parent_span_id == span.span_id:
                write(child, depth + 1)

    for span in spans:
        if span.parent_span_id not in by_id:
            write(span, 0)
    return "\n".join(lines)


def read(content):
    request = strict(content)
    for of_resource in request.resource_spans:
        resource = {attribute.key: value(attribute) for attribute in of_resource.resource.attributes}
        traces = {}
        for of_scope in of_resource.scope_spans:
            assert of_scope.scope.name == "skillgate" and of_scope.scope.version, of_scope.scope
            for span in of_scope.spans:
                traces.setdefault(span.trace_id, []).append(span)
        yield {
            "resource": resource,
            "traces": [{
                "id": trace.hex(), "text": describe(spans), "spans": len(spans),
                "root": next(span for span in spans if span.kind == Span.SPAN_KIND_SERVER).span_id.hex(),
                "parent": next(span for span in spans if span.kind == Span.SPAN_KIND_SERVER).parent_span_id.hex(),
                "sends": [span.span_id.hex() for span in spans if span.kind == Span.SPAN_KIND_CLIENT],
                "links": [f"{link.trace_id.hex()}-{link.span_id.hex()}" for span in spans for link in span.links],
            } for trace, spans in traces.items()]}


class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global answer, rejected
        what, number = self.path.rsplit("/", 2)[1:]
        if what == "status":
            answer = int(number)
        else:
            rejected = int(number)
        self.respond(200, b"")

    def do_POST(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/json", self.headers
        batches = list(read(content))
        with lock:
            for batch in batches:
                batch.update(path=self.path, status=answer, authorization=self.headers["Authorization"] or "")
                sys.stdout.write(json.dumps(batch) + "\n")
            sys.stdout.flush()
        response = ExportTraceServiceResponse()
        if rejected:
            response.partial_success.rejected_spans = rejected
            response.partial_success.error_message = "a limit of the collector"
        self.respond(answer, json_format.MessageToJson(response).encode())

    def respond(self, status, content):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Collector)
print(json.dumps({"collector.listener": f"127.0.0.1:{server.server_port}"}), flush=True)
server.serve_forever()
