"""Takes the AES-GCM and SM4-GCM tests that kms-gm needs out of Project Wycheproof's test vectors.

    python3 vectors/convert_wycheproof_gcm.py PATH

PATH is the folder testvectors_v1 of a checkout of C2SP/wycheproof at COMMIT. Every input is held against its SHA-256
below, so that the output depends on nothing else.

Left out: nonces of other than 96 bits, which kms-gm does not offer (no test has a tag of other than 128 bits), and what
describes the tests.
"""
import hashlib
import json
import os
import sys

from common import write

COMMIT = "dac1dd4729fd1f8dd9e1e9f3dce51d783da6c166"
SOURCE = "Project Wycheproof, testvectors_v1 of C2SP/wycheproof at " + COMMIT
LICENCE = "Apache-2.0; changed: selected, descriptions left out"

SHA256 = {
    "aes_gcm_test.json": "985e5ecc172e181eaf49e89508b9470dcf478002eb7e8559c707eb42dc97dfe7",
    "sm4_gcm_test.json": "425295e9974806b4a0635fb17c653757a049c4e5877596f991b7b371ceca0640",
}

FIELDS = ["tcId", "key", "iv", "aad", "msg", "ct", "tag", "result"]


def groups_of(name):
    with open(os.path.join(sys.argv[1], name), "rb") as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != SHA256[name]:
        sys.exit(f"{name} is another version")
    content = json.loads(data)
    for group in content["testGroups"]:
        if group["ivSize"] == 96:
            assert group["tagSize"] == 128
            tests = [{field: test[field] for field in FIELDS} for test in group["tests"]]
            yield {"algorithm": content["algorithm"], "keySize": group["keySize"]}, tests


if len(sys.argv) != 2:
    sys.exit(__doc__)
write("wycheproof_gcm.json", SOURCE, LICENCE, [group for name in SHA256 for group in groups_of(name)])
