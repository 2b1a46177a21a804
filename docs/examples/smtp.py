"""The commands of SMTP, and what a session remembers of them (RFC 5321). This module does no I/O."""

import re
from dataclasses import dataclass, field

SIZE_LIMIT = 10 * 1024 * 1024  # bytes of a mail
RECIPIENT_LIMIT = 100

HOST = r"[\w.-]+|\[[\w.:]+\]"
USER = r"[\w!#$%&'*+/=?^`{|}~.-]+|" + r'"(?:[^"\\]|\\.)+"'
ADDRESS = rf"(?:{USER})@(?:{HOST})"
ROUTE = r"(?:@[\w.,@-]+:)?"  # obsolete: accepted and ignored
FLAGS = re.ASCII | re.IGNORECASE
CLIENT_NAME = re.compile(HOST, FLAGS)
SENDER = re.compile(rf"FROM:<{ROUTE}({ADDRESS}|)>((?: [\w-]+(?:=\S+)?)*)", FLAGS)
RECIPIENT = re.compile(rf"TO:<{ROUTE}({ADDRESS}|postmaster)>((?: [\w-]+(?:=\S+)?)*)", FLAGS)


@dataclass
class Session:
    """The state of a connection. After STARTTLS, a new session begins: nothing said before it counts."""

    server_name: str
    offers_tls: bool
    is_encrypted: bool = False
    client_name: str = ""
    is_extended: bool = False  # whether the client has said EHLO instead of HELO
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)

    @property
    def protocol(self) -> str:
        """The name of the protocol in use, as headers of mails show it."""
        return ("E" if self.is_extended else "") + "SMTP" + ("S" if self.is_encrypted else "")

    def reset(self) -> None:
        """Forget the mail, but not the client."""
        self.sender, self.recipients = None, []

    def reply_to(self, line: str) -> str:
        """Return the reply to a command: 220 accepts STARTTLS, 221 QUIT, 354 DATA. They begin after the reply."""
        if not line.isprintable():
            return "500 Control characters are not allowed"  # a line feed alone does not end a line
        verb, _, argument = line.rstrip(" ").partition(" ")
        match verb.upper():
            case "RSET" | "DATA" | "QUIT" | "STARTTLS" if argument:
                return "501 No argument is allowed"
            case "EHLO" | "HELO" as hello:
                return self.greet(hello, argument)
            case "MAIL":
                return self.begin_mail(argument)
            case "RCPT":
                return self.add_recipient(argument)
            case "DATA":
                return "354 Go on, and end with <CRLF>.<CRLF>" if self.recipients else "503 Who is it for?"
            case "RSET":
                self.reset()
                return "250 OK"
            case "NOOP":
                return "250 OK"
            case "VRFY":
                return "252 Try to send a mail" if argument else "501 Syntax: VRFY address"
            case "STARTTLS" if self.is_encrypted:
                return "503 TLS is in use already"
            case "STARTTLS" if self.offers_tls:
                return "220 Begin TLS"
            case "QUIT":
                return f"221 {self.server_name} says goodbye"
            case "STARTTLS" | "AUTH" | "BDAT" | "EXPN" | "HELP" | "TURN" | "ETRN":
                return "502 Not implemented"
        return "500 Unknown command"

    def greet(self, hello: str, argument: str) -> str:
        if not CLIENT_NAME.fullmatch(argument):
            return f"501 Syntax: {hello} host"
        self.reset()
        self.client_name, self.is_extended = argument, hello == "EHLO"
        extensions = ["PIPELINING", "8BITMIME", f"SIZE {SIZE_LIMIT}"] if self.is_extended else []
        if self.is_extended and self.offers_tls and not self.is_encrypted:
            extensions.append("STARTTLS")
        lines = [f"{self.server_name} greets {argument}", *extensions]
        return "\r\n".join([f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"])

    def begin_mail(self, argument: str) -> str:
        if not self.client_name:
            return "503 Say EHLO first"
        if self.sender is not None:
            return "503 One mail after the other"
        if not (found := SENDER.fullmatch(argument)):
            return "501 Syntax: MAIL FROM:<address>"
        for parameter in found[2].upper().split():
            match parameter.split("="):
                case ["SIZE", size] if size.isdigit() and len(size) <= 20:
                    if int(size) > SIZE_LIMIT:
                        return f"552 The limit is {SIZE_LIMIT} bytes"
                case ["BODY", "7BIT" | "8BITMIME"]:
                    pass
                case ["SIZE" | "BODY", *_]:
                    return f"501 Invalid parameter {parameter}"
                case _:
                    return f"555 Unknown parameter {parameter}"
        self.sender = found[1]
        return "250 OK"

    def add_recipient(self, argument: str) -> str:
        if self.sender is None:
            return "503 Say MAIL first"
        if not (found := RECIPIENT.fullmatch(argument)):
            return "501 Syntax: RCPT TO:<address>"
        if found[2]:
            return f"555 Unknown parameters{found[2]}"
        if len(self.recipients) >= RECIPIENT_LIMIT:
            return "452 Too many recipients"
        self.recipients.append(found[1])
        return "250 OK"
