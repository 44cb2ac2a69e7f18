"""Client-side encryption for OSS: its data keys come from here.

`oss2` asks for a data key, encrypts a random start value under the same key, and decrypts both later. Without a
passphrase it sends an empty EncryptionContext, which must count as none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aliyunsdkcore.client import AcsClient
from oss2 import AliKMSProvider
from oss2.utils import AESCTRCipher

from clients import OldSdk

if TYPE_CHECKING:
    from server import Server


@pytest.mark.parametrize("passphrase", [None, "a b&c"])
def test_content_key(server: Server, passphrase: str | None) -> None:
    key = OldSdk(server, "http").call("CreateKey", {})["KeyMetadata"]["KeyId"]
    who = (server.access_key_id, server.access_key_secret, "cn-hangzhou")
    provider = AliKMSProvider(*who, key, passphrase=passphrase)
    # The provider has no setting for where KMS is; its client has.
    host, _, port = server.address("https").partition(":")
    provider.kms_client = AcsClient(*who, port=int(port), verify=server.ca)
    provider.kms_client.add_endpoint("cn-hangzhou", "Kms", host)

    made = provider.create_content_material()
    data_key = provider.decrypt_encrypted_key(made.encrypted_key)
    reader = AESCTRCipher()
    reader.initialize(data_key, provider.decrypt_encrypted_iv(made.encrypted_iv))
    assert reader.decrypt(made.cipher.encrypt(b"what is in the bucket")) == b"what is in the bucket"
