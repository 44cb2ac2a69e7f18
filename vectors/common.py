"""What the scripts beside it share: how a file of vectors is laid out, and DER."""
import json
import os

HERE = os.path.dirname(os.path.abspath(__file__))


def one_line(value):
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def write(name, source, licence, groups):
    """One line for the fields of a group, one for each of its tests. `groups` holds pairs of fields and tests."""
    lines = ['{"source":' + one_line(source), ',"licence":' + one_line(licence), ',"groups":[']
    for at, (fields, tests) in enumerate(groups):
        lines.append(("," if at else "") + one_line(fields)[:-1] + ',"tests":[')
        lines.extend(one_line(test) + ("," if i + 1 < len(tests) else "") for i, test in enumerate(tests))
        lines.append("]}")
    lines.append("]}")
    with open(os.path.join(HERE, name), "w", encoding="ascii", newline="\n") as file:
        file.write("\n".join(lines) + "\n")


def tlv(tag, *parts):
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    size = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + body


def integer(value):
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def sequence(*parts):
    return tlv(0x30, *parts)


def octets(value):
    return tlv(0x04, value)


def bits(value):
    return tlv(0x03, b"\x00", value)
