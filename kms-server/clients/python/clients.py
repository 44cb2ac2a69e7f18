"""The Alibaba Cloud SDKs for Python, unmodified, each behind the same small face.

A client is called with the name of an action and its parameters. It goes the way that the SDK's documentation shows:
the request class of the action, filled member by member. What comes back is the answer as JSON values; what the SDK
raises becomes :class:`Refused`. Anything else that an SDK raises is left alone, and fails the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import re
from typing import TYPE_CHECKING, Any, Protocol
from unittest import mock

from alibabacloud_kms20160120 import models
from alibabacloud_kms20160120.client import Client as KmsClient
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from alibabacloud_tea_openapi.utils_models import Config, GlobalParameters, OpenApiRequest, Params
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest
from aliyunsdkcore.utils import parameter_helper
from darabonba.runtime import RuntimeOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from server import Server

Json = dict[str, Any]

VERSION = "2016-01-20"


class Refused(Exception):  # noqa: N818 - an answer like any other
    """The server refused a call, and the SDK understood why."""

    def __init__(self, code: str, status: int, message: str, request_id: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.code = code
        self.status = status
        self.message = message
        self.request_id = request_id


class Client(Protocol):
    """What every client here can do."""

    def __init__(
        self,
        server: Server,
        scheme: str,
        *,
        access_key_id: str | None = None,
        access_key_secret: str | None = None,
        time: str | None = None,
        nonce: str | None = None,
    ) -> None:
        """Point the client at a server.

        Without an AccessKey it takes the server's; without a time and a nonce, those that the SDK finds by itself.
        """

    def call(self, action: str, params: Json) -> Json:
        """Call an action by the classes that the SDK has for it."""

    def call_by_name(self, action: str, version: str = VERSION) -> Json:
        """Call what the SDK has no class for."""


def compact(value: Any) -> str:
    """Write a list or an object as a parameter carries it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class OldSdk:
    """`aliyun-python-sdk-core` with `aliyun-python-sdk-kms`: HMAC-SHA1, everything in the query of a POST."""

    def __init__(
        self,
        server: Server,
        scheme: str,
        *,
        access_key_id: str | None = None,
        access_key_secret: str | None = None,
        time: str | None = None,
        nonce: str | None = None,
    ) -> None:
        self.scheme = scheme
        self.host, _, port = server.address(scheme).partition(":")
        self.time = time
        self.nonce = nonce
        self.client = AcsClient(
            access_key_id or server.access_key_id,
            access_key_secret or server.access_key_secret,
            "cn-hangzhou",
            port=int(port),
            verify=server.ca,
        )

    def request(self, action: str, params: Json) -> Any:
        """Fill the request class of an action."""
        module = importlib.import_module(f"aliyunsdkkms.request.v20160120.{action}Request")
        request = getattr(module, f"{action}Request")()
        for name, value in params.items():
            getattr(request, f"set_{name}")(compact(value) if isinstance(value, (dict, list)) else value)
        request.set_endpoint(self.host)
        request.set_protocol_type(self.scheme)
        return request

    def call(self, action: str, params: Json) -> Json:
        """Call an action by its request class."""
        return self.do(self.request(action, params))

    def call_by_name(self, action: str, version: str = VERSION) -> Json:
        """Call an action by its name."""
        request = CommonRequest(domain=self.host, version=version, action_name=action)
        request.set_method("POST")
        request.set_protocol_type(self.scheme)
        return self.do(request)

    def do(self, request: Any) -> Json:
        """Send a request."""
        try:
            with self.own_time_and_nonce():
                answer: Json = json.loads(self.client.do_action_with_exception(request))
        except ServerException as error:
            raise Refused(
                error.get_error_code(), error.get_http_status(), error.get_error_msg(), error.get_request_id()
            ) from error
        return answer

    @contextlib.contextmanager
    def own_time_and_nonce(self) -> Iterator[None]:
        """Give the SDK a time and a nonce; it has no setting for them, but asks two functions."""
        with contextlib.ExitStack() as stack:
            for name, value in (("get_iso_8061_date", self.time), ("get_uuid", self.nonce)):
                if value:
                    stack.enter_context(mock.patch.object(parameter_helper, name, return_value=value))
            yield


class NewSdk:
    """`alibabacloud-kms20160120`: ACS3-HMAC-SHA256, the action in headers, parameters in the query of a POST."""

    algorithm: str | None = None

    def __init__(
        self,
        server: Server,
        scheme: str,
        *,
        access_key_id: str | None = None,
        access_key_secret: str | None = None,
        time: str | None = None,
        nonce: str | None = None,
    ) -> None:
        self.client = KmsClient(
            Config(
                access_key_id=access_key_id or server.access_key_id,
                access_key_secret=access_key_secret or server.access_key_secret,
                endpoint=server.address(scheme),
                protocol=scheme,
                ca=server.ca,
                signature_algorithm=self.algorithm,
                global_parameters=self.parameters(time, nonce),
            )
        )

    def parameters(self, time: str | None, nonce: str | None) -> GlobalParameters:
        """Put a time and a nonce where the client sends them."""
        found = {"x-acs-date": time, "x-acs-signature-nonce": nonce}
        return GlobalParameters(headers={name: value for name, value in found.items() if value})

    def call(self, action: str, params: Json) -> Json:
        """Call an action by its method, with its request class if it has one."""
        arguments: list[Any] = [RuntimeOptions()]
        if model := getattr(models, f"{action}Request", None):
            # Objects stay what they are: the SDK has maps for them. Lists are texts in its models.
            fields = {
                snake(name): compact(value) if isinstance(value, list) else value for name, value in params.items()
            }
            arguments.insert(0, model(**fields))
        return self.do(lambda: self.send(f"{snake(action)}_with_options", arguments).to_map())

    def send(self, method: str, arguments: list[Any]) -> Any:
        """Call a method of the SDK."""
        return getattr(self.client, method)(*arguments)

    def call_by_name(self, action: str, version: str = VERSION) -> Json:
        """Call an action by its name."""
        params = Params(
            action=action,
            version=version,
            protocol="HTTPS",
            pathname="/",
            method="POST",
            auth_type="AK",
            style="RPC",
            req_body_type="formData",
            body_type="json",
        )
        return self.do(lambda: self.client.call_api(params, OpenApiRequest(query={}), RuntimeOptions()))

    def do(self, send: Callable[[], Any]) -> Json:
        """Send a request."""
        try:
            response = send()
        except AlibabaCloudException as error:
            raise Refused(error.code, error.status_code, error.message, error.request_id) from error
        assert response["statusCode"] == 200
        body: Json = response["body"]
        return body


class NewSdkAsync(NewSdk):
    """The same with `async`: another HTTP library, which spells an address in its own way before it sends it."""

    def send(self, method: str, arguments: list[Any]) -> Any:
        """Call a method of the SDK, and wait for it."""
        return asyncio.run(getattr(self.client, f"{method}_async")(*arguments))


class NewSdkV2(NewSdk):
    """The same with `signature_algorithm="v2"`: HMAC-SHA1, everything in the query of a POST."""

    algorithm = "v2"

    def parameters(self, time: str | None, nonce: str | None) -> GlobalParameters:
        """Put a time and a nonce where the client sends them."""
        found = {"Timestamp": time, "SignatureNonce": nonce}
        return GlobalParameters(queries={name: value for name, value in found.items() if value})


def snake(name: str) -> str:
    """Spell a name as the new SDK does: `KeyVersionId` is `key_version_id`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


#: Every client by a short name.
CLIENTS: dict[str, type[Client]] = {"old": OldSdk, "new": NewSdk, "new-async": NewSdkAsync, "new-v2": NewSdkV2}
