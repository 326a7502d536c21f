"""The engine that chat templates are written for: jinja2 with the settings of HuggingFace's apply_chat_template."""

import copy
import json

from skip import require


def environment():
    (jinja2,) = require("jinja2")
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks what the model has written; rendering ignores it."""

        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

        def _body(self, caller):
            return caller()

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    engine = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    engine.filters["tojson"] = tojson
    engine.globals["raise_exception"] = raise_exception
    return engine


def render(engine, template, variables):
    """{"text": ...}, or {"error": message} where the engine refuses the template or the variables."""
    try:
        # The filter indent adds to a list that it is given, so each rendering gets variables of its own.
        return {"text": engine.from_string(template).render(**copy.deepcopy(variables))}
    except Exception as error:  # whatever a template can raise
        return {"error": f"{type(error).__name__}: {error}"}
