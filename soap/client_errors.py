"""What keeps a client from an answer that it can use, as typed errors that never hide what the server said.

A refusal that was understood (rs:RegistryErrorList) is no error here but part of the answer.
"""

from __future__ import annotations


class ClientError(Exception):
    """No usable answer. The text names the address, what happened and, where it is known, what to do."""


class Unreachable(ClientError):
    """No connection, no TLS, a timeout, or a connection that ended before the answer."""


class NotConnected(Unreachable):
    """There was no connection at all: not an octet of the message has left."""


class HttpError(ClientError):
    """The answer is HTTP without SOAP: `status`, its reason phrase, media type and the first characters of the body."""

    def __init__(self, url: str, status: int, reason: str, content_type: str, excerpt: str) -> None:
        said = f': "{excerpt}"' if excerpt else ", with an empty body"
        kind = f" ({content_type})" if content_type else ""
        hint = f" {_HINTS[status]}" if status in _HINTS else ""
        super().__init__(f"{url} answered HTTP {status} {reason} without a SOAP envelope{kind}{said}.{hint}")
        self.url = url
        self.status = status
        self.reason = reason
        self.content_type = content_type
        self.excerpt = excerpt


_HINTS = {
    401: "The server asks who is calling.",
    403: "The server does not let this caller in.",
    404: "Check the path of the address.",
    405: "The address takes no POST: check its path.",
    413: "The message is larger than the server allows.",
    502: "A proxy stands in front of the server and got no answer from it.",
    503: "The server is busy or starting; try again.",
    504: "A proxy stands in front of the server and waited in vain for its answer.",
}


class SoapFault(ClientError):
    """A SOAP fault. `code` and `subcode` are local names, `rule` and `remedy` what our own server puts into the detail;
    `reason_fr` is the reason in French where there is one."""

    def __init__(
        self,
        url: str,
        status: int,
        code: str,
        reason: str,
        *,
        subcode: str = "",
        rule: str = "",
        remedy: str = "",
        detail: str = "",
        reason_fr: str = "",
    ) -> None:
        name = f"{code}/{subcode}" if subcode else code
        more = f" ({detail})" if detail and detail not in reason else ""
        super().__init__(f"{url} answered with a SOAP fault, {name}, HTTP {status}: {reason}{more}")
        self.url = url
        self.status = status
        self.code = code
        self.subcode = subcode
        self.reason = reason
        self.rule = rule
        self.remedy = remedy
        self.detail = detail
        self.reason_fr = reason_fr


class BadAnswer(ClientError):
    """The answer came but is damaged or is not what the transaction answers with. `excerpt` are its first characters."""

    def __init__(self, url: str, problem: str, excerpt: str = "") -> None:
        said = f'. It begins: "{excerpt}"' if excerpt else ""
        super().__init__(f"The answer of {url} cannot be used: {problem}{said}")
        self.url = url
        self.problem = problem
        self.excerpt = excerpt
