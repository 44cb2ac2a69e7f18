"""Computes vectors/sm2.json and vectors/sm3.json: the samples of the standards, and the edges around them.

    python3 vectors/check_sm2.py              writes both files beside itself
    python3 vectors/check_sm2.py --openssl    also holds each test against the `openssl` command (3.0 or later)

Before anything is written, sm2_reference.py must reproduce what the standards print: PUBLISHED and SM3_PUBLISHED.
The other tests are made by construction, with secrets that are SHAKE-128 streams of a label. An invalid one breaks a
single rule, and where it can, it satisfies the verification equation all the same, so that only the rule refuses it.
Each is judged by `verify` and `decrypt` of sm2_reference.py, which read DER strictly and know nothing of how the test
was made.
"""
import hashlib
import sys

from common import bits, integer, octets, sequence, tlv, write
from sm2_openssl import hold_against_openssl
from sm2_reference import (
    A, B, EC_KEY, G, N, P, P256_CURVE, PUBLISHED, SM2_CURVE, SM3_PUBLISHED, add, b32, cipher_der, decrypt, encode, encrypt,
    hash_to_sign, kdf, mul, negate, on_curve, pkcs8, point_with_x_from, sign, sm3, spki, verify, xor, za,
)

SOURCE = "computed by vectors/check_sm2.py; tests with the flag Published are the samples of "
LICENCE = "that of this project; the samples are facts of public standards"


# What the tests are made of.

def stream(label, size):
    return hashlib.shake_128(b"check_sm2: " + label.encode()).digest(size)


def secret(label):
    return int.from_bytes(stream(label, 40), "big") % (N - 3) + 2


def number(tests):
    return [{"tcId": i, **test} for i, test in enumerate(tests, 1)]


def test_of(comment, flags, result=None, **values):
    out = {"comment": comment, "flags": flags}
    for name, value in values.items():
        out[name] = b32(value).hex() if isinstance(value, int) else value.hex() if isinstance(value, bytes) else value
    if result:
        out["result"] = result
    return out


def signature(r, s):
    return sequence(integer(r), integer(s))


def signing():
    """Signatures with the secret k given: who can inject k must come to the same signature."""
    x = PUBLISHED
    assert mul(x["d"], G) == x["public"] and on_curve(G) and mul(N, G) is None
    assert za(x["id"], x["public"]).hex() == x["za"]
    assert hash_to_sign(x["id"], x["public"], x["message"]) == x["e"]
    assert sign(x["d"], x["e"], x["k"]) == (x["r"], x["s"])
    inputs = [("GB/T 32918.5-2017, annex A", ["Published"], x["d"], x["id"], x["message"], x["k"])]
    default = x["id"]
    for name, identifier, message in (
        ("empty message", default, b""),
        ("one byte", default, b"\0"),
        ("one block of SM3", default, stream("block", 64)),
        ("a long message", default, stream("long", 1000)),
        ("another identifier", b"ALICE123@YAHOO.COM", b"message digest"),
        ("an identifier that is not text", stream("identifier", 32), b"message digest"),
        ("an identifier of one byte", b"A", b"message digest"),
        ("an identifier longer than a block of SM3", stream("long identifier", 200), b"message digest"),
        ("an identifier of the greatest length", b"x" * 8191, b"message digest"),
    ):
        inputs.append((name, [], secret("d of " + name), identifier, message, secret("k of " + name)))
    for name, d in (("smallest private key", 1), ("largest private key", N - 2)):
        inputs.append((name, ["EdgeKey"], d, default, b"message digest", secret("k of " + name)))
    tests = []
    for comment, flags, d, identifier, message, k in inputs:
        public = mul(d, G)
        e = hash_to_sign(identifier, public, message)
        r, s = sign(d, e, k)
        assert verify(public, e, signature(r, s))
        tests.append(test_of(comment, flags, "valid", d=d, point=encode(public), spki=spki(encode(public)),
                             pkcs8=pkcs8(d, public), id=identifier, msg=message, za=za(identifier, public), digest=e, k=k,
                             r=r, s=s, sig=signature(r, s)))
    # What a signer must not accept: it has to take another k.
    d, k = x["d"], x["k"]
    x1 = mul(k, G)[0]
    for comment, e in (
        ("r would be 0", -x1),
        ("r + k would be n", N - k - x1),
        ("s would be 0", k * pow(d, -1, N) - x1),
    ):
        assert sign(d, e % N, k) is None
        tests.append(test_of(comment, ["RetryK"], "invalid", d=d, point=encode(x["public"]), spki=spki(encode(x["public"])),
                             pkcs8=pkcs8(d, x["public"]), digest=e % N, k=k))
    return tests


def edge_signatures(d, public):
    """Signatures over a chosen digest, by the key `d`: (comment, flags, e, r, s)."""
    def over(s, r):
        """The digest for which the verification equation holds."""
        return (r - add(mul(s, G), mul((r + s) % N, public))[0]) % N

    def s_for(k, r):
        return pow(1 + d, -1, N) * (k - r * d) % N

    def r_for(k, s):
        return (k - s * (1 + d)) * pow(d, -1, N) % N

    k = secret("k of edges")
    pairs = [("r is 1", s_for(k, 1), 1), ("r is n - 1", s_for(k, N - 1), N - 1),
             ("s is 1", 1, r_for(k, 1)), ("s is n - 1", N - 1, r_for(k, N - 1)),
             ("r takes 16 bytes", s_for(k, 1 << 126), 1 << 126), ("s takes 16 bytes", 1 << 126, r_for(k, 1 << 126))]
    for name, t in (("r + s is n + 1", 1), ("r + s is n - 1", N - 1), ("r + s is n + 2", 2)):
        s = secret("s where " + name)
        pairs.append((name, s, (t - s) % N))
    s = secret("s of doubling")
    pairs.append(("[s]G is [t]P: the sum is a doubling", s, (s * pow(d, -1, N) - s) % N))
    out = [(comment, ["EdgeCase"], over(s, r), r, s, "valid") for comment, s, r in pairs]
    for comment, e in (("digest is 0", 0), ("digest is n - 1", N - 1), ("digest is n", N), ("digest is n + 1", N + 1),
                       ("digest is all ones", 2 ** 256 - 1), ("digest is 1", 1)):
        out.append((comment, ["EdgeDigest"], e, *sign(d, e, k), "valid"))
    # From here on the equation holds and a rule is broken.
    s = secret("s of zero")
    out += [
        ("r is 0, the equation holds", ["Range", "EquationHolds"], over(s, 0), 0, s, "invalid"),
        ("r is n, the equation holds", ["Range", "EquationHolds"], over(s, 0), N, s, "invalid"),
        ("s is 0, the equation holds", ["Range", "EquationHolds"], over(0, s), s, 0, "invalid"),
        ("s is n, the equation holds", ["Range", "EquationHolds"], over(0, s), s, N, "invalid"),
        ("r + s is n, the equation holds", ["Range", "EquationHolds"], over(s, N - s), N - s, s, "invalid"),
        ("r is n + 1, the equation holds", ["Range", "EquationHolds"], over(s_for(k, 1), 1), N + 1, s_for(k, 1), "invalid"),
        ("s is n + 1, the equation holds", ["Range", "EquationHolds"], over(1, r_for(k, 1)), r_for(k, 1), N + 1, "invalid"),
    ]
    r = (-s * pow(d, -1, N) - s) % N
    out.append(("the sum is the point at infinity, digest is r", ["Infinity"], r, r, s, "invalid"))
    out.append(("the sum is the point at infinity, digest is 0", ["Infinity"], 0, r, s, "invalid"))
    return out


def broken_encodings(r, s):
    """(comment, flag, bytes) for a signature that is valid when encoded well. r and s have their highest bit set."""
    good, ir, is_ = signature(r, s), integer(r), integer(s)
    unsigned_r, unsigned_s = tlv(2, b32(r)), tlv(2, b32(s))
    return [
        ("empty", "Der", b""),
        ("a byte follows", "Trailing", good + b"\0"),
        ("NULL follows", "Trailing", good + b"\x05\x00"),
        ("a byte follows inside the sequence", "Trailing", sequence(ir, is_, b"\0")),
        ("NULL follows inside the sequence", "Trailing", sequence(ir, is_, b"\x05\x00")),
        ("a third integer", "Trailing", sequence(ir, is_, integer(1))),
        ("only r", "Der", sequence(ir)),
        ("no integer", "Der", sequence()),
        ("r is an empty integer", "Der", sequence(b"\x02\x00", is_)),
        ("s is an empty integer", "Der", sequence(ir, b"\x02\x00")),
        ("r has a zero byte too many", "NonMinimal", sequence(tlv(2, b"\0\0" + b32(r)), is_)),
        ("s has a zero byte too many", "NonMinimal", sequence(ir, tlv(2, b"\0\0" + b32(s)))),
        ("length of the sequence in the long form", "NonMinimal", b"\x30\x81" + good[1:]),
        ("length of the sequence with a leading zero", "NonMinimal", b"\x30\x82\x00" + good[1:]),
        ("length of r in the long form", "NonMinimal", sequence(b"\x02\x81\x21\0" + b32(r), is_)),
        ("length of s in the long form", "NonMinimal", sequence(ir, b"\x02\x81\x21\0" + b32(s))),
        ("indefinite length", "NonMinimal", b"\x30\x80" + ir + is_ + b"\0\0"),
        ("r is negative for want of a zero byte", "Negative", sequence(unsigned_r, is_)),
        ("s is negative for want of a zero byte", "Negative", sequence(ir, unsigned_s)),
        ("-r for r", "Negative", sequence(integer(-r), is_)),
        ("-s for s", "Negative", sequence(ir, integer(-s))),
        ("r - n for r", "Negative", sequence(integer(r - N), is_)),
        ("s - n for s", "Negative", sequence(ir, integer(s - N))),
        ("r - 2^256 for r", "Negative", sequence(integer(r - 2 ** 256), is_)),
        ("cut after the first byte", "Der", good[:1]),
        ("cut in r", "Der", good[:20]),
        ("cut by its last byte", "Der", good[:-1]),
        ("length of the sequence one too small", "Der", bytes([0x30, good[1] - 1]) + good[2:]),
        ("length of the sequence one too great", "Der", bytes([0x30, good[1] + 1]) + good[2:]),
        ("length of the sequence in nine bytes", "Der", b"\x30\x89\x01" + b"\0" * 7 + good[1:]),
        ("a set for the sequence", "Der", b"\x31" + good[1:]),
        ("r is an octet string", "Der", sequence(b"\x04" + ir[1:], is_)),
        ("s is a bit string", "Der", sequence(ir, b"\x03" + is_[1:])),
        ("r is a boolean", "Der", sequence(b"\x01\x01\xff", is_)),
        ("r is NULL", "Der", sequence(b"\x05\x00", is_)),
        ("a sequence in a sequence", "Der", sequence(good)),
        ("r and s as 64 bytes", "Der", b32(r) + b32(s)),
    ]


def verifying():
    x = PUBLISHED
    default = x["id"]
    d, public, e, r, s = x["d"], x["public"], x["e"], x["r"], x["s"]
    assert r >> 255 and s >> 255
    good = signature(r, s)
    tests = [test_of("GB/T 32918.5-2017, annex A", ["Published"], "valid", id=default, msg=x["message"], digest=e, sig=good)]
    invalid = []
    invalid += [(comment, [flag], e, sig) for comment, flag, sig in broken_encodings(r, s)]
    other = mul(secret("another key"), G)
    ecdsa_r = mul(x["k"], G)[0] % N
    ecdsa_s = pow(x["k"], -1, N) * (e + ecdsa_r * d) % N
    for comment, digest, values in (
        ("r + n for r", e, (r + N, s)), ("s + n for s", e, (r, s + N)),
        ("n - r for r", e, (N - r, s)), ("n - s for s", e, (r, N - s)), ("both negated", e, (N - r, N - s)),
        ("r and s exchanged", e, (s, r)),
        ("r is p", e, (P, s)), ("s is p", e, (r, P)), ("r is 2^256 - 1", e, (2 ** 256 - 1, s)),
        ("s is 2^256 - 1", e, (r, 2 ** 256 - 1)), ("r is 2^256", e, (2 ** 256, s)), ("r is 2^2048", e, (2 ** 2048, s)),
        ("r is r + 2^256", e, (r + 2 ** 256, s)), ("s is s + 2^256", e, (r, s + 2 ** 256)),
        ("r is 0", e, (0, s)), ("s is 0", e, (r, 0)), ("both are 0", e, (0, 0)),
        ("r is n", e, (N, s)), ("s is n", e, (r, N)), ("both are n", e, (N, N)),
        ("r is 0 and s is 1", e, (0, 1)), ("r is 1 and s is 0", e, (1, 0)), ("both are 1", e, (1, 1)),
        ("r is n - s", e, (N - s, s)), ("s is n - r", e, (r, N - r)), ("r is 1 and s is n - 1", e, (1, N - 1)),
        ("lowest bit of r changed", e, (r ^ 1, s)), ("lowest bit of s changed", e, (r, s ^ 1)),
        ("ECDSA over the same digest by the same key", e, (ecdsa_r, ecdsa_s)),
        ("lowest bit of the digest changed", e ^ 1, (r, s)),
        ("digest without the hash of the identifier", int.from_bytes(sm3(x["message"]), "big"), (r, s)),
        ("digest under another identifier", hash_to_sign(b"ALICE123@YAHOO.COM", public, x["message"]), (r, s)),
        ("digest under the empty identifier", hash_to_sign(b"", public, x["message"]), (r, s)),
        ("digest under another public key", hash_to_sign(default, other, x["message"]), (r, s)),
        ("digest as a number in the other byte order", int.from_bytes(b32(e)[::-1], "big"), (r, s)),
    ):
        outside = not (0 < values[0] < N and 0 < values[1] < N and sum(values) != N)
        invalid.append((comment, ["Range"] if outside else ["WrongValue"], digest, signature(*values)))
    tests += [test_of(comment, flags, "invalid", digest=digest, sig=sig) for comment, flags, digest, sig in invalid]
    tests += [test_of(comment, flags, result, digest=digest, sig=signature(*values))
              for comment, flags, digest, *values, result in edge_signatures(d, public)]
    groups = [(public, tests)]
    for name, d in (("1", 1), ("2", 2), ("n - 2", N - 2), ("(n + 1) / 2", (N + 1) // 2)):
        public = mul(d, G)
        e = hash_to_sign(default, public, b"message digest")
        values = sign(d, e, secret("k for the key " + name))
        groups.append((public, [
            test_of("private key is " + name, ["EdgeKey"], "valid", id=default, msg=b"message digest", digest=e,
                    sig=signature(*values)),
            test_of("private key is " + name + ", s changed", ["EdgeKey"], "invalid", digest=e,
                    sig=signature(values[0], values[1] ^ 1)),
        ]))
    # The x of [s]G + [t]P is at least n. Nobody knows the private key.
    big = point_with_x_from(N)
    s, t = secret("s of great x"), secret("t of great x")
    public = mul(pow(t, -1, N), add(big, negate(mul(s, G))))
    r = (t - s) % N
    groups.append((public, [
        test_of("x of the sum is at least n", ["EdgeCase"], "valid", digest=(r - big[0]) % N, sig=signature(r, s)),
        test_of("x of the sum is at least n, one more", ["EdgeCase"], "invalid", digest=(r - big[0] + 1) % N,
                sig=signature(r, s)),
    ]))
    for x0 in (0, 1 << 128):
        public = point_with_x_from(x0)
        e = secret("digest for a small x")
        # No signature is known for such a key; it must be read, and refuse what is not one.
        groups.append((public, [test_of("public key with a small x, signature by another key", ["EdgeKey"], "invalid",
                                        digest=e, sig=signature(*sign(secret("another key"), e, secret("k small x"))))]))
    for public, tests in groups:
        assert on_curve(public)
        for test in tests:
            found = verify(public, int(test["digest"], 16), bytes.fromhex(test["sig"]))
            assert found == (test["result"] == "valid"), test
    return groups


def public_keys():
    x, y = PUBLISHED["public"]
    good = encode((x, y))
    small = point_with_x_from(1)
    outside = b"\x04" + b32(small[0] + P) + b32(small[1])
    twist = x
    while pow(twist ** 3 + A * twist + B, (P - 1) // 2, P) != P - 1:
        twist += 1
    compressed = bytes([2 + (y & 1)]) + b32(x)
    return [test_of(comment, flags, result, spki=key) for comment, flags, key, result in (
        ("GB/T 32918.5-2017, annex A", ["Published"], spki(good), "valid"),
        ("small x", [], spki(encode(small)), "valid"),
        ("the generator", [], spki(encode(G)), "valid"),
        ("compressed point", ["Compressed"], spki(compressed), "acceptable"),
        ("hybrid point", ["Hybrid"], spki(bytes([6 + (y & 1)]) + good[1:]), "acceptable"),
        ("hybrid point with the wrong sign", ["Hybrid"], spki(bytes([7 - (y & 1)]) + good[1:]), "invalid"),
        ("y changed: not on the curve", ["OffCurve"], spki(encode((x, y ^ 1))), "invalid"),
        ("x and y exchanged: not on the curve", ["OffCurve"], spki(encode((y, x))), "invalid"),
        ("(0, 0)", ["OffCurve"], spki(encode((0, 0))), "invalid"),
        ("compressed x without a point", ["OffCurve"], spki(b"\x02" + b32(twist)), "invalid"),
        ("point at infinity", ["Infinity"], spki(b"\0"), "invalid"),
        ("x + p for a small x", ["Range"], spki(outside), "invalid"),
        ("x is p", ["Range"], spki(encode((P, y))), "invalid"),
        ("y is p", ["Range"], spki(encode((x, P))), "invalid"),
        ("all ones", ["Range"], spki(b"\x04" + b"\xff" * 64), "invalid"),
        ("point without its first byte", ["Length"], spki(good[1:]), "invalid"),
        ("point one byte short", ["Length"], spki(good[:-1]), "invalid"),
        ("point one byte long", ["Length"], spki(good + b"\0"), "invalid"),
        ("empty point", ["Length"], spki(b""), "invalid"),
        ("first byte 05", ["Form"], spki(b"\x05" + good[1:]), "invalid"),
        ("said to be on P-256", ["Curve"], spki(good, P256_CURVE), "invalid"),
        ("generator of P-256", ["OffCurve"], spki(bytes.fromhex(
            "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")), "invalid"),
        ("no curve", ["Curve"], spki(good, b""), "invalid"),
        ("curve is NULL", ["Curve"], spki(good, b"\x05\x00"), "invalid"),
        ("unused bits", ["Der"], sequence(sequence(EC_KEY, SM2_CURVE), tlv(3, b"\x01" + good)), "invalid"),
        ("a byte follows", ["Trailing"], spki(good) + b"\0", "invalid"),
        ("cut by its last byte", ["Der"], spki(good)[:-1], "invalid"),
    )]


def private_keys():
    """GB/T 32918.1: a private key is at least 1 and at most n - 2."""
    d, public = PUBLISHED["d"], PUBLISHED["public"]
    return [test_of(comment, flags, result, pkcs8=key) for comment, flags, key, result in (
        ("GB/T 32918.5-2017, annex A", ["Published"], pkcs8(d, public), "valid"),
        ("without the public key", [], pkcs8(d), "valid"),
        ("1", ["EdgeKey"], pkcs8(1, G), "valid"),
        ("n - 2", ["EdgeKey"], pkcs8(N - 2, mul(N - 2, G)), "valid"),
        ("0", ["Range"], pkcs8(0), "invalid"),
        ("n - 1, for which 1 + d has no inverse", ["Range"], pkcs8(N - 1), "invalid"),
        ("n - 1, for which 1 + d has no inverse, with its public key", ["Range"], pkcs8(N - 1, negate(G)), "invalid"),
        ("n", ["Range"], pkcs8(N), "invalid"),
        ("n + 1", ["Range"], pkcs8(N + 1), "invalid"),
        ("all ones", ["Range"], pkcs8(2 ** 256 - 1), "invalid"),
        ("the public key of another", ["Mismatch"], pkcs8(d, mul(2, public)), "invalid"),
        ("the negated public key", ["Mismatch"], pkcs8(d, negate(public)), "invalid"),
        ("said to be on P-256", ["Curve"], pkcs8(d, None, P256_CURVE), "invalid"),
        ("a byte follows", ["Trailing"], pkcs8(d, public) + b"\0", "invalid"),
        ("cut by its last byte", ["Der"], pkcs8(d, public)[:-1], "invalid"),
    )]


def first(label, wanted):
    """The first k of a row of secrets for which `wanted` holds."""
    return next(k for k in (secret(f"{label} {i}") for i in range(100000)) if wanted(k))


def decrypting():
    x = PUBLISHED
    d, public = x["d"], x["public"]
    tests = []

    def valid(comment, flags, k, message):
        c1, c3, c2 = encrypt(public, k, message)
        raw = encode(c1) + c3 + c2
        tests.append(test_of(comment, flags, "valid", k=k, ct=cipher_der(c1, c3, c2), c1c3c2=raw, msg=message))
        return raw

    raw = valid("GB/T 32918.5-2017, annex C", ["Published"], x["k"], x["plaintext"])
    assert raw.hex() == x["c1"] + x["c3"] + x["c2"]
    for size in (1, 16, 31, 32, 33, 64, 65, 127, 128, 255, 256, 1024):
        k = first(f"k for {size} bytes", lambda k, size=size: any(kdf(mul(k, public), size)))
        valid(f"{size} bytes", ["Length"], k, stream(f"message of {size} bytes", size))
    for comment, wanted in (
        ("x of C1 has a leading zero byte", lambda k: mul(k, G)[0] < 1 << 247),
        ("y of C1 has a leading zero byte", lambda k: mul(k, G)[1] < 1 << 247),
        ("x2 has a leading zero byte", lambda k: mul(k, public)[0] >> 248 == 0),
        ("y2 has a leading zero byte", lambda k: mul(k, public)[1] >> 248 == 0),
        ("the mask begins with a zero byte", lambda k: kdf(mul(k, public), 1) == b"\0"),
    ):
        valid(comment, ["EdgeCase"], first(comment, wanted), b"encryption standard")
    valid("message is its own mask: C2 is all zero", ["EdgeCase"], x["k"], kdf(mul(x["k"], public), 19))
    valid("k is 1: C1 is the generator", ["EdgeCase"], 1, b"encryption standard")
    valid("k is n - 1", ["EdgeCase"], N - 1, b"encryption standard")

    c1, c3, c2 = encrypt(public, x["k"], x["plaintext"])
    cx, cy = c1
    good = cipher_der(c1, c3, c2)
    flip = bytes([c2[0] ^ 1]) + c2[1:]
    other = mul(secret("another C1"), G)
    small = point_with_x_from(1)
    shared = mul(d, small)
    k0 = first("mask of one byte that is zero", lambda k: kdf(mul(k, public), 1) == b"\0")
    off = (cx, cy ^ 1)
    # Arithmetic that leaves out the coefficient B takes any pair of numbers for a point.
    off_shared = mul(d, off)
    off_c2 = xor(x["plaintext"], kdf(off_shared, 19))
    off_c3 = sm3(b32(off_shared[0]) + x["plaintext"] + b32(off_shared[1]))
    small_c2 = xor(x["plaintext"], kdf(shared, 19))
    small_c3 = sm3(b32(shared[0]) + x["plaintext"] + b32(shared[1]))
    zero_c3 = sm3(b32(0) + x["plaintext"] + b32(0))
    zero_c2 = xor(x["plaintext"], kdf((0, 0), 19))
    empty = encrypt(public, x["k"], b"")
    assert decrypt(d, cipher_der(small, small_c3, small_c2)) == x["plaintext"]
    for comment, flag, data in (
        ("lowest bit of C2 changed", "WrongValue", cipher_der(c1, c3, flip)),
        ("highest bit of C3 changed", "WrongValue", cipher_der(c1, bytes([c3[0] ^ 128]) + c3[1:], c2)),
        ("last bit of C3 changed", "WrongValue", cipher_der(c1, c3[:-1] + bytes([c3[-1] ^ 1]), c2)),
        ("C2 one byte short", "WrongValue", cipher_der(c1, c3, c2[:-1])),
        ("C2 one byte long", "WrongValue", cipher_der(c1, c3, c2 + b"\0")),
        ("C3 all zero", "WrongValue", cipher_der(c1, b"\0" * 32, c2)),
        ("C1 another point", "WrongValue", cipher_der(other, c3, c2)),
        ("C1 negated", "WrongValue", cipher_der(negate(c1), c3, c2)),
        ("C1 the generator", "WrongValue", cipher_der(G, c3, c2)),
        ("C3 from SM3 of the message alone", "WrongValue", cipher_der(c1, sm3(x["plaintext"]), c2)),
        ("C1 not on the curve", "OffCurve", cipher_der(off, c3, c2)),
        ("C1 not on the curve, all else fits", "OffCurve", cipher_der(off, off_c3, off_c2)),
        ("C1 is (0, 0), all else fits a shared point (0, 0)", "OffCurve", cipher_der((0, 0), zero_c3, zero_c2)),
        ("C1 with x and y exchanged", "OffCurve", cipher_der((cy, cx), c3, c2)),
        ("x + p for the x of C1, all else fits", "Range", cipher_der((small[0] + P, small[1]), small_c3, small_c2)),
        ("y + p for the y of C1", "Range", cipher_der((cx, cy + P), c3, c2)),
        ("x + 2^256 for the x of C1", "Range", cipher_der((cx + 2 ** 256, cy), c3, c2)),
        ("x of C1 is p", "Range", cipher_der((P, cy), c3, c2)),
        ("-x for the x of C1", "Negative", cipher_der((-cx, cy), c3, c2)),
        ("y of C1 is negative for want of a zero byte", "Negative",
         sequence(integer(cx), tlv(2, b32(cy)), octets(c3), octets(c2))),
        ("y - p for the y of C1", "Negative", cipher_der((cx, cy - P), c3, c2)),
        ("x of C1 has a zero byte too many", "NonMinimal",
         sequence(tlv(2, b"\0" + b32(cx)), integer(cy), octets(c3), octets(c2))),
        ("y of C1 has a zero byte too many", "NonMinimal",
         sequence(integer(cx), tlv(2, b"\0\0" + b32(cy)), octets(c3), octets(c2))),
        ("length of the sequence in the long form", "NonMinimal", b"\x30\x81" + good[1:]),
        ("length of C2 in the long form", "NonMinimal",
         sequence(integer(cx), integer(cy), octets(c3), b"\x04\x81" + octets(c2)[1:])),
        ("indefinite length", "NonMinimal", b"\x30\x80" + good[2:] + b"\0\0"),
        ("C3 is 31 bytes long", "Length", cipher_der(c1, c3[:-1], c2)),
        ("C3 is 33 bytes long", "Length", cipher_der(c1, c3 + b"\0", c2)),
        ("C3 is empty", "Length", cipher_der(c1, b"", c2)),
        ("C2 before C3", "Der", cipher_der(c1, c2, c3)),
        ("a byte follows", "Trailing", good + b"\0"),
        ("a byte follows inside the sequence", "Trailing",
         sequence(integer(cx), integer(cy), octets(c3), octets(c2), b"\0")),
        ("a third octet string", "Trailing", sequence(integer(cx), integer(cy), octets(c3), octets(c2), octets(b""))),
        ("no C2", "Der", sequence(integer(cx), integer(cy), octets(c3))),
        ("no C2 and no C3", "Der", sequence(integer(cx), integer(cy))),
        ("empty sequence", "Der", sequence()),
        ("empty", "Der", b""),
        ("cut by its last byte", "Der", good[:-1]),
        ("a set for the sequence", "Der", b"\x31" + good[1:]),
        ("C1 as a bit string", "Der", sequence(bits(encode(c1)), octets(c3), octets(c2))),
        ("C3 is a bit string", "Der", sequence(integer(cx), integer(cy), tlv(3, c3), octets(c2))),
        ("not DER: C1, C3, C2", "Der", encode(c1) + c3 + c2),
        ("the mask of a one-byte message is zero", "ZeroMask", cipher_der(*encrypt(public, k0, b"A"))),
    ):
        tests.append(test_of(comment, [flag], "invalid", ct=data))
    tests.append(test_of("empty message: GB/T 32918.4 refuses a mask without a bit that is set", ["EmptyMessage"],
                         "acceptable", ct=cipher_der(*empty), msg=b""))
    for test in tests:
        found = decrypt(d, bytes.fromhex(test["ct"]))
        if test["result"] == "valid":
            assert found is not None and found.hex() == test["msg"], test
        else:
            assert found is None, test
    return tests


def hashing():
    tests = []
    for message, digest in SM3_PUBLISHED:
        assert sm3(message).hex() == digest
        tests.append(test_of("GB/T 32905-2016, annex A", ["Published"], msg=message, digest=sm3(message)))
    for size in (0, 1, 2, 31, 32, 54, 55, 56, 57, 63, 64, 65, 118, 119, 120, 121, 127, 128, 129, 191, 192, 255, 256, 1000):
        message = stream(f"message for SM3 of {size} bytes", size)
        tests.append(test_of(f"{size} bytes", ["Length"], msg=message, digest=sm3(message)))
    for test in tests:
        if "sm3" in hashlib.algorithms_available:
            assert hashlib.new("sm3", bytes.fromhex(test["msg"])).hexdigest() == test["digest"]
    return tests


def main():
    signed, verified, opened, hashed = signing(), verifying(), decrypting(), hashing()
    public, private = public_keys(), private_keys()
    d, point = PUBLISHED["d"], PUBLISHED["public"]
    key = {"d": b32(d).hex(), "point": encode(point).hex(), "pkcs8": pkcs8(d, point).hex()}
    groups = [({"type": "Sign"}, number(signed))]
    groups += [({"type": "Verify", "point": encode(public_key).hex(), "spki": spki(encode(public_key)).hex()}, number(tests))
               for public_key, tests in verified]
    groups += [
        ({"type": "Decrypt", **key}, number(opened)),
        ({"type": "PublicKey"}, number(public)),
        ({"type": "PrivateKey"}, number(private)),
    ]
    write("sm2.json", SOURCE + "GB/T 32918.5-2017", LICENCE, groups)
    write("sm3.json", SOURCE + "GB/T 32905-2016", LICENCE, [({"type": "Hash"}, number(hashed))])
    if "--openssl" in sys.argv[1:]:
        hold_against_openssl(signed, verified, opened, public + private, hashed)


main()
