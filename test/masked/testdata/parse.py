"""Reads masked answers and has botocore's own parsers parse each. Where the
unmasked answer comes along, both must have the same members of the same types.
A frame is: a byte that says which answer it is, and twice a length in four bytes
with as many bytes (the second may be none). Prints how many it has parsed."""
import json
import struct
import sys

import botocore.eventstream
import botocore.parsers
import botocore.session

KINDS = json.loads(sys.argv[1])
CANARIES = json.loads(sys.argv[2])
session = botocore.session.get_session()


def reader(kind):
    model = session.get_service_model(kind["Service"])
    shape = model.operation_model(kind["Operation"]).output_shape
    parser = botocore.parsers.create_parser(kind["Protocol"])
    events = shape.event_stream_name if hasattr(shape, "event_stream_name") else None

    def whole(body):
        return parser.parse({"status_code": 200, "headers": {}, "body": body}, shape)

    def stream(body):
        buffer = botocore.eventstream.EventStreamBuffer()
        buffer.add_data(body)
        return [parser.parse(event.to_response_dict(), shape.members[events]) for event in buffer]

    if events:
        parser = botocore.parsers.EventStreamJSONParser()
    return stream if events else whole


readers = [reader(k) for k in KINDS]


def take(n):
    data = sys.stdin.buffer.read(n)
    if len(data) != n:
        raise SystemExit("a frame is cut")
    return data


def text(v):
    return v.decode("latin-1") if isinstance(v, bytes) else str(v)


def same(a, b, at=""):
    assert type(a) is type(b), (at, a, b)
    if isinstance(a, dict):
        assert a.keys() == b.keys(), (at, a, b)
        for k in a:
            same(a[k], b[k], at + "." + k)
    elif isinstance(a, list):
        assert len(a) == len(b), (at, a, b)
        for i, (x, y) in enumerate(zip(a, b)):
            same(x, y, at + "[%d]" % i)


parsed = 0
while head := sys.stdin.buffer.read(1):
    bodies = [take(struct.unpack(">I", take(4))[0]) for _ in range(2)]
    read = readers[head[0]]
    try:
        got = read(bodies[0])
        said = json.dumps(got, default=text, ensure_ascii=False)
        assert not any(c in said for c in CANARIES), said
        if bodies[1]:
            same(got, read(bodies[1]))
    except Exception as e:
        raise SystemExit("%s: %r\n%r\n%r" % (KINDS[head[0]], e, bodies[0], bodies[1]))
    parsed += 1
print(parsed)
