"""SM2 and SM3 as GB/T 32918 and GB/T 32905 write them, in plain affine arithmetic: what check_sm2.py judges its tests by.

It shares no code with what is tested, is slow, and is not constant-time. PUBLISHED and SM3_PUBLISHED are what the
standards print; check_sm2.py holds this module against them before it writes anything.
"""
from common import bits, integer, octets, sequence, tlv

# GB/T 32918.5-2017.
P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G = (0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
     0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0)

# GB/T 32918.5-2017, annexes A (signature) and C (encryption); GM/T 0009-2012 for the identifier and for the DER.
PUBLISHED = {
    "id": b"1234567812345678",
    "d": 0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8,
    "public": (0x09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020,
               0xCCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13),
    "k": 0x59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21,
    "message": b"message digest",
    "za": "b2e14c5c79c6df5b85f4fe7ed8db7a262b9da7e07ccb0ea9f4747b8ccda8a4f3",
    "e": 0xF0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640,
    "r": 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3,
    "s": 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA,
    "plaintext": b"encryption standard",
    "c1": "0404ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73"
          "e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0",
    "c2": "21886ca989ca9c7d58087307ca93092d651efa",
    "c3": "59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766",
}

# GB/T 32905-2016, annex A.
SM3_PUBLISHED = [
    (b"abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
    (b"abcd" * 16, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"),
]


# SM3, GB/T 32905-2016.

def rotate(x, by):
    by %= 32
    return (x << by | x >> 32 - by) & 0xFFFFFFFF


def sm3(message):
    state = [0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600, 0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E]
    padded = message + b"\x80" + b"\0" * ((55 - len(message)) % 64) + (8 * len(message)).to_bytes(8, "big")
    for start in range(0, len(padded), 64):
        w = [int.from_bytes(padded[start + 4 * i:start + 4 * i + 4], "big") for i in range(16)]
        for i in range(16, 68):
            x = w[i - 16] ^ w[i - 9] ^ rotate(w[i - 3], 15)
            w.append(x ^ rotate(x, 15) ^ rotate(x, 23) ^ rotate(w[i - 13], 7) ^ w[i - 6])
        a, b, c, d, e, f, g, h = state
        for i in range(64):
            ss1 = rotate(rotate(a, 12) + e + rotate(0x79CC4519 if i < 16 else 0x7A879D8A, i) & 0xFFFFFFFF, 7)
            ff = a ^ b ^ c if i < 16 else a & b | a & c | b & c
            gg = e ^ f ^ g if i < 16 else e & f | ~e & g
            tt1 = ff + d + (ss1 ^ rotate(a, 12)) + (w[i] ^ w[i + 4]) & 0xFFFFFFFF
            tt2 = gg + h + ss1 + w[i] & 0xFFFFFFFF
            a, b, c, d = tt1, a, rotate(b, 9), c
            e, f, g, h = tt2 ^ rotate(tt2, 9) ^ rotate(tt2, 17), e, rotate(f, 19), g
        state = [x ^ y for x, y in zip(state, (a, b, c, d, e, f, g, h))]
    return b"".join(x.to_bytes(4, "big") for x in state)


# The curve. The point at infinity is None.

def add(p, q):
    if p is None or q is None:
        return p or q
    if p[0] == q[0]:
        if (p[1] + q[1]) % P == 0:
            return None
        slope = (3 * p[0] * p[0] + A) * pow(2 * p[1], -1, P)
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, P)
    x = (slope * slope - p[0] - q[0]) % P
    return x, (slope * (p[0] - x) - p[1]) % P


def mul(k, p):
    out = None
    while k:
        if k & 1:
            out = add(out, p)
        p, k = add(p, p), k >> 1
    return out


def negate(p):
    return p[0], -p[1] % P


def on_curve(p):
    return 0 <= p[0] < P and 0 <= p[1] < P and (p[0] ** 3 + A * p[0] + B - p[1] ** 2) % P == 0


def point_with_x_from(x):
    """The first point whose x is not below `x`, with the even y. P is 3 modulo 4."""
    while True:
        square = (x ** 3 + A * x + B) % P
        y = pow(square, (P + 1) // 4, P)
        if y * y % P == square:
            return x, y if y % 2 == 0 else P - y
        x += 1


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def b32(value):
    return value.to_bytes(32, "big")


def encode(point):
    return b"\x04" + b32(point[0]) + b32(point[1])


# Signature, GB/T 32918.2.

def za(identifier, public):
    return sm3((8 * len(identifier)).to_bytes(2, "big") + identifier + b"".join(map(b32, (A, B) + G + public)))


def hash_to_sign(identifier, public, message):
    return int.from_bytes(sm3(za(identifier, public) + message), "big")


def sign(d, e, k):
    r = (e + mul(k, G)[0]) % N
    s = pow(1 + d, -1, N) * (k - r * d) % N
    return None if r == 0 or r + k == N or s == 0 else (r, s)


def read_der(data, tag):
    """The contents of the one strictly encoded value that starts `data`, and what follows it."""
    if len(data) < 2 or data[0] != tag:
        raise ValueError
    size, start = data[1], 2
    if size >= 0x80:
        start += size - 0x80
        size = int.from_bytes(data[2:start], "big")
        if start == 2 or size < 0x80 or data[2] == 0:
            raise ValueError
    if len(data) < start + size:
        raise ValueError
    return data[start:start + size], data[start + size:]


def read_integer(data):
    body, rest = read_der(data, 0x02)
    if not body or body[0] == 0 and body[1:2] < b"\x80" and len(body) > 1 or body[0] >= 0x80:
        raise ValueError
    return int.from_bytes(body, "big"), rest


def verify(public, e, signature):
    try:
        body, rest = read_der(signature, 0x30)
        r, body = read_integer(body)
        s, body = read_integer(body)
    except ValueError:
        return False
    if rest or body or not 1 <= r < N or not 1 <= s < N or (r + s) % N == 0:
        return False
    point = add(mul(s, G), mul((r + s) % N, public))
    return point is not None and (e + point[0]) % N == r


# Encryption, GB/T 32918.4.

def kdf(shared, size):
    z = b32(shared[0]) + b32(shared[1])
    return b"".join(sm3(z + i.to_bytes(4, "big")) for i in range(1, size // 32 + 2))[:size]


def encrypt(public, k, message):
    """C1, C3 and C2."""
    shared = mul(k, public)
    return mul(k, G), sm3(b32(shared[0]) + message + b32(shared[1])), xor(message, kdf(shared, len(message)))


def cipher_der(c1, c3, c2):
    """SM2Cipher of GM/T 0009."""
    return sequence(integer(c1[0]), integer(c1[1]), octets(c3), octets(c2))


def decrypt(d, data):
    try:
        body, rest = read_der(data, 0x30)
        x, body = read_integer(body)
        y, body = read_integer(body)
        c3, body = read_der(body, 0x04)
        c2, body = read_der(body, 0x04)
    except ValueError:
        return None
    if rest or body or len(c3) != 32 or not on_curve((x, y)):
        return None
    shared = mul(d, (x, y))
    mask = kdf(shared, len(c2))
    message = xor(c2, mask)
    return message if any(mask) and sm3(b32(shared[0]) + message + b32(shared[1])) == c3 else None


# Keys.

EC_KEY = bytes.fromhex("06072a8648ce3d0201")
SM2_CURVE = bytes.fromhex("06082a811ccf5501822d")
P256_CURVE = bytes.fromhex("06082a8648ce3d030107")


def spki(encoded, curve=SM2_CURVE):
    return sequence(sequence(EC_KEY, curve), bits(encoded))


def pkcs8(d, public=None, curve=SM2_CURVE):
    optional = [tlv(0xA1, bits(encode(public)))] if public else []
    key = sequence(integer(1), octets(b32(d)), *optional)
    return sequence(integer(0), sequence(EC_KEY, curve), octets(key))
