"""Copy Blob From URL: one request that lets the service copy a blob while it answers.

It is sent without the SDK, which spends twice as much time on it as the emulator does on copying, and has no arguments
for the two conditions that make it safe to repeat.
"""

import base64
from collections.abc import Mapping
from http import HTTPStatus

from nachet_pipeline.storage.account import RequestError
from nachet_pipeline.storage.signed_requests import SignedRequests, code_of, refusal
from nachet_pipeline.support.files import FileChangedError


class ServerCopies(SignedRequests):
    """Lets the service copy blobs."""

    def copy(
        self,
        source: tuple[str, str],
        target: tuple[str, str],
        *,
        version: str,
        md5: str,
        metadata: Mapping[str, str],
    ) -> bool:
        """Copy a blob on the server's side, exactly the version that was validated, never over another blob.

        Args:
            source: container and blob to copy.
            target: container and blob to create.
            version: ETag of the source; the service refuses to copy any other.
            md5: of the source's bytes, in hexadecimal; the service compares it with what it copies.
            metadata: kept with the new blob.

        Returns:
            False if the target existed already; the caller says what that means.

        Raises:
            FileChangedError: the source is no longer of that version.
        """
        expected = base64.b64encode(bytes.fromhex(md5)).decode()
        with self._speaking(f"copying {source[1]} to {target[0]}"):
            headers = {
                "x-ms-copy-source": self._signed_url(*source, "r"),
                "x-ms-requires-sync": "true",
                "x-ms-source-if-match": version,
                "x-ms-source-content-md5": expected,
                "If-None-Match": "*",
                "Content-Length": "0",
                **{f"x-ms-meta-{name}": value for name, value in metadata.items()},
            }
            answer = self._send("PUT", self._signed_url(*target, "w"), headers=headers)
            code = code_of(answer)
            match answer.status:
                case HTTPStatus.ACCEPTED:
                    copied = answer.headers.get("Content-MD5", expected)
                    if copied != expected:
                        raise RequestError(f"it copied something of another MD5: expected {expected}, found {copied}")
                    return True
                case HTTPStatus.CONFLICT if code == "BlobAlreadyExists":
                    return False
                case HTTPStatus.NOT_FOUND if code != "ContainerNotFound":
                    raise FileChangedError(source[1])
                case HTTPStatus.NOT_MODIFIED | HTTPStatus.PRECONDITION_FAILED:
                    raise FileChangedError(source[1])
            raise refusal(answer)
