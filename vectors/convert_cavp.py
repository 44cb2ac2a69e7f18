"""Takes what the tests need out of NIST's example files for the CAVP and writes it beside this script.

    python3 vectors/convert_cavp.py PATH

PATH is the unpacked PyPI package `cryptography-vectors` 48.0.0, which ships NIST's files. Every input is held
against its SHA-256 below, so that the output depends on nothing else. Taken are the sections P-256 with SHA-256, and
2048 and 3072 bits with SHA-256. For a message stands its SHA-256 digest. The files give keys as numbers;
SubjectPublicKeyInfo and PKCS#8 are made here, the primes being recovered from n, e and d.
"""
import hashlib
import math
import os
import sys

from common import bits, integer, octets, sequence, tlv, write

LICENCE = "public domain (a work of the United States government)"
ECDSA = "asymmetric/ECDSA/FIPS_186-3/"
RSA = "asymmetric/RSA/FIPS_186-2/"
SHA256 = {
    ECDSA + "SigVer.rsp": "e9841c3d12e323042751460d0b8ef4bc59c2640105ec7da4852775f80ab10191",
    ECDSA + "SigGen.txt": "52aa9f8e977ffc135697416d6587d11eb7b5119c9894592460f02848f4094780",
    RSA + "SigVer15_186-3.rsp": "dd8de3c0920e3b75059491e9c5d84f2e399b2a652869977eeb863489eb7dd151",
    RSA + "SigVerPSS_186-3.rsp": "b5e040ac5de9489902cacd6395a804182cc28d46de6fe9e2795e4d20e1959aa7",
    RSA + "SigGen15_186-2.txt": "3be501e600f8b2f624b7f0ed043b0f35e17eeca864445f835301e1bf72009687",
}


def load(name):
    """Yields (section, key, value) for each line that says something."""
    path = sys.argv[1]
    if os.path.isdir(os.path.join(path, "cryptography_vectors")):
        path = os.path.join(path, "cryptography_vectors")
    with open(os.path.join(path, name), "rb") as file:
        raw = file.read()
    if hashlib.sha256(raw).hexdigest() != SHA256[name]:
        sys.exit(name + " is not the pinned version")
    section = ""
    for line in raw.decode("ascii").splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            yield section, key.strip(), value.strip()


RSA_ALGORITHM = sequence(bytes.fromhex("06092a864886f70d010101"), b"\x05\x00")
P256_ALGORITHM = sequence(bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06082a8648ce3d030107"))


def rsa_spki(n, e):
    return sequence(RSA_ALGORITHM, bits(sequence(integer(n), integer(e)))).hex()


def rsa_primes(n, e, d):
    odd, twos = e * d - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in range(2, 1000):
        x = pow(base, odd, n)
        for _ in range(twos):
            square = x * x % n
            if square == 1 and x not in (1, n - 1):
                p = math.gcd(x - 1, n)
                return max(p, n // p), min(p, n // p)
            x = square
    sys.exit("n, e and d do not belong together")


def rsa_pkcs8(n, e, d):
    p, q = rsa_primes(n, e, d)
    assert p * q == n and e * d % math.lcm(p - 1, q - 1) == 1
    numbers = (0, n, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
    return sequence(integer(0), RSA_ALGORITHM, octets(sequence(*map(integer, numbers)))).hex()


def p256_spki(point):
    return sequence(P256_ALGORITHM, bits(point)).hex()


def p256_pkcs8(d, point):
    key = sequence(integer(1), octets(d), tlv(0xa1, bits(point)))
    return sequence(integer(0), P256_ALGORITHM, octets(key)).hex()


def source(name):
    return "NIST CAVP, " + os.path.basename(name) + ", as the PyPI package cryptography-vectors 48.0.0 ships it in " + name


def test_of(number, key, signature, value):
    """`value` is the Result of the file: `P`, `P (0 )` or `F (reason)`."""
    return {
        "tcId": number,
        "comment": value[1:].strip(" ()") if value[0] == "F" else "",
        "flags": [],
        "digest": hashlib.sha256(bytes.fromhex(key["Msg"])).hexdigest(),
        "sig": signature,
        "result": {"P": "valid", "F": "invalid"}[value[0]],
    }


def ecdsa(out, name):
    groups, key = [], {}
    for section, field, value in load(name):
        if section != "P-256,SHA-256":
            continue
        key[field] = value
        if field != ("Result" if name.endswith("SigVer.rsp") else "S"):
            continue
        point = b"\x04" + bytes.fromhex(key["Qx"]) + bytes.fromhex(key["Qy"])
        assert len(point) == 65
        fields = {"point": point.hex(), "spki": p256_spki(point)}
        signature = sequence(integer(int(key["R"], 16)), integer(int(key["S"], 16))).hex()
        test = test_of(len(groups) + 1, key, signature, key.get("Result", "P"))
        if "d" in key:
            fields["pkcs8"] = p256_pkcs8(bytes.fromhex(key["d"]), point)
            test.update(k=key["k"], r=key["R"], s=key["S"])
        groups.append((fields, [test]))
        key = {}
    write(out, source(name), LICENCE, groups)


def rsa_verify(out, name):
    groups, key, count = [], {}, 0
    for section, field, value in load(name):
        if section not in ("mod = 2048", "mod = 3072"):
            continue
        if field == "n":
            key = {}
        key[field] = value
        if field != "Result" or key["SHAAlg"] != "SHA256":
            continue
        n, e = int(key["n"], 16), int(key["e"], 16)
        fields = {"keySize": n.bit_length(), "spki": rsa_spki(n, e)}
        if "PSS" in name:
            fields["saltLen"] = len(key["SaltVal"]) // 2
        count += 1
        test = test_of(count, key, key["S"], value)
        if not groups or groups[-1][0] != fields:
            groups.append((fields, []))
        groups[-1][1].append(test)
    write(out, source(name), LICENCE, groups)


def rsa_sign(out, name):
    groups, key, count = [], {}, 0
    for section, field, value in load(name):
        if section not in ("mod = 2048", "mod = 3072"):
            continue
        key[field] = value
        if field != "S" or key["SHAAlg"] != "SHA256":
            continue
        n, e, d = (int(key[number], 16) for number in "ned")
        fields = {"keySize": n.bit_length(), "spki": rsa_spki(n, e), "pkcs8": rsa_pkcs8(n, e, d)}
        count += 1
        if not groups or groups[-1][0] != fields:
            groups.append((fields, []))
        groups[-1][1].append(test_of(count, key, value, "P"))
    write(out, source(name), LICENCE, groups)


ecdsa("cavp_ecdsa_p256_verify.json", ECDSA + "SigVer.rsp")
ecdsa("cavp_ecdsa_p256_sign.json", ECDSA + "SigGen.txt")
rsa_verify("cavp_rsa_pkcs1_verify.json", RSA + "SigVer15_186-3.rsp")
rsa_verify("cavp_rsa_pss_verify.json", RSA + "SigVerPSS_186-3.rsp")
rsa_sign("cavp_rsa_pkcs1_sign.json", RSA + "SigGen15_186-2.txt")
