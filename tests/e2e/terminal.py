"""A pseudo-terminal on which a test plays the person who chats."""

import fcntl
import json
import os
import pty
import re
import select
import struct
import termios
import time

import support

PROMPT = "\x1b[?2004h> "
TYPED = "\x1b[?2004l"
CTRL_C, CTRL_D, UP = "\x03", "\x04", "\x1b[A"


class Terminal:
    """A program on a terminal of 24 rows and 80 columns."""

    def __init__(self, *arguments, **environment):
        environment = {**os.environ, "TERM": "xterm-256color", **environment}
        for end in support.open_terminal():  # skips the test where there is none
            os.close(end)
        self.process, self.file = pty.fork()
        if self.process == 0:
            os.execvpe(support.CARAT, [support.CARAT, *map(str, arguments)], environment)
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.unread = ""

    def type(self, text):
        os.write(self.file, text.encode())

    def expect(self, pattern, timeout=60):
        """Waits until the regular expression is on the terminal; returns what came before it."""
        deadline = time.monotonic() + timeout
        while not (found := re.search(pattern, self.unread)):
            assert self.more(deadline), f"expected {pattern!r}, found {self.unread!r}"
        before = self.unread[:found.start()]
        self.unread = self.unread[found.end():]
        return before

    def more(self, deadline):
        ready, _, _ = select.select([self.file], [], [], max(0, deadline - time.monotonic()))
        try:
            part = os.read(self.file, 65536) if ready else b""
        except OSError:  # the other side is closed
            part = b""
        self.unread += part.decode()
        return bool(part)

    def end(self):
        """Waits for the program's end; returns its exit code and what it still wrote."""
        deadline = time.monotonic() + 60
        while self.more(deadline):
            pass
        os.close(self.file)
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1]), self.unread


class ChatTest(support.ProgramTest):
    MODEL = support.SOURCE / "models" / "opal"

    def chat(self, *arguments, command="chat", **environment):
        environment.setdefault("XDG_STATE_HOME", str(self.scratch))
        terminal = Terminal(command, "-m", self.MODEL, *arguments, HOME=str(self.scratch), **environment)
        terminal.expect(re.escape(PROMPT))
        return terminal

    def say(self, terminal, *lines):
        """Types lines; returns what the program writes until it waits for the next message."""
        for line in lines:
            terminal.type(line + "\r")
        return "".join(terminal.expect(re.escape(mark)) for mark in [TYPED] * len(lines) + [PROMPT])

    def leave(self, terminal):
        terminal.type(CTRL_D)
        code, rest = terminal.end()
        self.assertEqual(code, support.DONE, rest)
        return rest

    def messages(self, terminal):
        path = self.scratch / "saved.json"
        self.say(terminal, f"/save {path}")
        return json.loads(path.read_text(encoding="utf-8"))["messages"]

    def saved(self, terminal):
        return [(message["role"], message["text"]) for message in self.messages(terminal)]
