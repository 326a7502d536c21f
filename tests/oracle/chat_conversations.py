"""Conversations that try every rule of the chat format; chat_template.py renders them.

A message has a role and what Carat's ChatMessage has for it: text, thought, calls (name, arguments, id), tool_name,
call_id, result.
"""

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather at a place.",
    "parameters": {"type": "object", "required": ["city"], "properties": {
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "description": "Unit of the temperature"},
        "city": {"type": "string", "description": "Name of the city"}}}}}

PLAIN = {"type": "function", "function": {"name": "now", "description": "The time."}}
EMPTY = {"type": "function", "function": {"name": "ping", "description": "", "parameters": {}}}
NO_ARGUMENTS = {"type": "function", "function": {
    "name": "list_files", "description": "All files.", "parameters": {"type": "object", "properties": {}}}}

NESTED = {"type": "function", "function": {
    "name": "book.trip-2", "description": "Books a trip.\nIn two lines.",
    "parameters": {"type": "object", "required": ["legs", "traveller"], "properties": {
        "traveller": {"type": "object", "description": "Who travels", "required": ["name"], "properties": {
            "name": {"type": "string"}, "Age": {"type": "integer", "nullable": True},
            "address": {"type": "object", "nullable": True, "properties": {"street": {"type": "string"}}}}},
        "legs": {"type": "array", "description": "Parts of the trip", "items": {
            "type": "object", "required": ["to"], "additionalProperties": False, "properties": {
                "to": {"type": "string", "enum": ["Bern", "Zürich"]}, "by": {"type": "string", "nullable": True}}}},
        "tags": {"type": "array", "items": {"type": "string"}},
        "matrix": {"type": "array", "nullable": True,
                   "items": {"type": "array", "items": {"type": "number", "minimum": 0.5}}},
        "mixed": {"type": "array", "items": {"type": ["string", "null"], "default": None, "examples": ["a", 1, True]}},
        "anything": {"type": "array"},
        "open": {"type": "object"},
        "free": {"type": "object", "description": "Free form", "title": "Free", "additionalProperties": {"type": "string"}}}}}}

ODD = {"type": "function", "function": {
    "name": "odd", "description": "Parameters with the names of schema members.",
    "parameters": {"type": "object", "required": ["type"], "properties": {
        "type": {"type": "string", "description": "A type"}, "description": {"type": "string"},
        "properties": {"type": "boolean"}, "required": {"type": "number"}, "nullable": {"type": "integer"},
        "zone": {"type": ["string", "null"], "description": "Either"}, "union": {"anyOf": [{"type": "string"}]},
        "inner": {"type": "object", "properties": {"type": {"type": "string"}, "other": {"type": "string"}}},
        "loose": {"type": "object", "description": "No properties", "required": ["x"]},
        "count": {"type": "INTEGER", "enum": [1, 2]}}}}}


def user(text):
    return {"role": "user", "text": text}


def model(text="", thought="", calls=()):
    message = {"role": "model", "text": text}
    if thought:
        message["thought"] = thought
    if calls:
        message["calls"] = list(calls)
    return message


def system(text, role="system"):
    return {"role": role, "text": text}


def call(name, arguments, id=""):
    return {"name": name, "arguments": arguments, "id": id}


def result(value, tool_name="", call_id=""):
    return {"role": "tool", "result": value, "tool_name": tool_name, "call_id": call_id}


ASK = user("What is the weather in Bern?")
BERN = call("get_weather", {"city": "Bern"})
SUNNY = result("sunny, 21 degrees", "get_weather")

VALUES = {
    "text": "two words", "empty": "", "quoted": 'a "b" \'c\' \\ {d:[e,f]}', "lines": "one\ntwo\n", "unicode": "Zoë 🦊 猫",
    "yes": True, "no": False, "zero": 0, "minus": -12, "big": 12345678901234567890, "small": -9223372036854775808,
    "half": 0.5, "whole": 1.0, "tiny": 1.5e-05, "least": 0.0001, "large": 1e16, "larger": 1.25e22, "pi": 3.141592653589793,
    "third": 0.1, "nothing": None, "list": [1, "two", [3.5, []], {"k": None}], "emptylist": [], "emptyobject": {},
    "object": {"b": 1, "A": {"y": True, "X": [False]}, "a": "after A"}, "key with space": 1, "Zed": 1, "zed": 2, "_": 3}


def conversation(name, messages, answer=True, **options):
    return {"name": name, "messages": messages, "answer": answer, **options}


def plain():
    turns = [user("Who are you?"), model("A model."), user("Good.")]
    return [
        conversation("one user message", [user("Hello")]),
        conversation("no answer wanted", [user("Hello"), model("Hi.")], answer=False),
        conversation("several turns", turns),
        conversation("system", [system("Be kind."), *turns]),
        conversation("developer", [system("Be kind.", "developer"), *turns]),
        conversation("empty system", [system(""), user("Hello")]),
        conversation("only a system message", [system("Be kind.")]),
        conversation("thinking", [user("Hello")], thinking=True),
        conversation("thinking and system", [system("Be kind."), *turns], thinking=True),
        conversation("white space", [system("\n Be kind. \t"), user("  a  b \n\n"), model("\u00a0c\u2003\n"), user("\n")]),
        conversation("unicode", [user("Zoë, 猫 und 🦊: ﬁne\u0301"), model("👩‍🔬"), user("e\u0301")]),
        conversation("user twice", [user("One."), user("Two."), model("Three."), user("Four.")]),
        conversation("model twice", [user("One."), model("Two."), model("Three."), user("Four.")]),
        conversation("model first", [model("Welcome."), user("Thanks.")]),
        conversation("ends with the model", [user("One."), model("Two.")]),
        conversation("ends with the model twice", [user("One."), model("Two."), model("Three.")], answer=False),
        conversation("empty texts", [user(""), model(""), user("")]),
    ]


def thoughts():
    written = "<|channel>thought\nWritten out\n<channel|>"
    return [
        conversation("thought of an earlier turn", [user("One."), model("Two.", "Hmm."), user("Three.")], thinking=True),
        conversation("thought of the last answer", [user("One."), model("Two.", "Hmm.")], answer=False, thinking=True),
        conversation("written thought", [user("One."), model(written + " Two. " + written), user("Three.")]),
        conversation("unclosed thought", [user("One."), model("Two.<|channel>thought\nand"), user("Three.")]),
        conversation("unopened thought", [user("One."), model("Two<channel|> and "), user("Three.")]),
        conversation("thought before a call", [ASK, model("", " I have to look.\n", [BERN]), SUNNY], thinking=True,
                     tools=[WEATHER]),
        conversation("thoughts of two steps", [ASK, model("", "Look.", [BERN]), SUNNY, model("", "Again.", [BERN]), SUNNY],
                     thinking=True, tools=[WEATHER]),
        conversation("thoughts of an earlier step",
                     [ASK, model("", "Look.", [BERN]), SUNNY, model("Sunny.", "Say it."), user("And now?")],
                     thinking=True, tools=[WEATHER]),
        conversation("kept thoughts",
                     [ASK, model("", "Look.", [BERN]), SUNNY, model("Sunny.", "Say it."), user("And now?")],
                     thinking=True, keep_thoughts=True, tools=[WEATHER]),
    ]


def tools():
    return [
        conversation("tool declared", [ASK], tools=[WEATHER]),
        conversation("tool and system", [system(" Be kind. "), ASK], tools=[WEATHER]),
        conversation("tools and thinking", [system("Be kind."), ASK], thinking=True, tools=[WEATHER, PLAIN, EMPTY]),
        conversation("tool without arguments", [ASK], tools=[NO_ARGUMENTS]),
        conversation("nested schema", [ASK], tools=[NESTED]),
        conversation("odd schema", [ASK], tools=[ODD, WEATHER]),
        conversation("call without a result", [ASK, model("", "", [BERN])], answer=False, tools=[WEATHER]),
        conversation("call with a result", [ASK, model("", "", [BERN]), SUNNY], tools=[WEATHER]),
        conversation("call, result, answer", [ASK, model("", "", [BERN]), SUNNY, model("It is sunny.")], answer=False,
                     tools=[WEATHER]),
        conversation("a turn with a call before", [ASK, model("", "", [BERN]), SUNNY, model("Sunny."), user("Thanks.")],
                     tools=[WEATHER]),
        conversation("two steps", [ASK, model("", "", [BERN]), SUNNY, model("", "", [call("now", {})]), result("noon", "now")],
                     tools=[WEATHER, PLAIN]),
        conversation("two calls at once",
                     [ASK, model("", "", [call("get_weather", {"city": "Bern"}, "1"), call("now", {}, "2")]),
                      result("noon", "", "2"), result("sunny", "", "1")], tools=[WEATHER, PLAIN]),
        conversation("one result of two", [ASK, model("", "", [BERN, call("now", {})]), result("noon", "now")]),
        conversation("unnamed result", [ASK, model("", "", [BERN]), result("sunny")]),
        conversation("result of an unknown call", [ASK, model("", "", [call("now", {}, "1")]), result("x", "other", "2")]),
        conversation("text beside a call", [ASK, model("Let me look.", "", [BERN]), SUNNY]),
        conversation("text beside a call, thinking", [ASK, model("Let me look.", "Hm.", [BERN]), SUNNY], thinking=True),
        conversation("blank text beside a call", [ASK, model(" \n", "", [BERN]), SUNNY]),
        conversation("text before a call", [ASK, model("Let me look."), model("", "", [BERN]), SUNNY]),
        conversation("a result, then the user", [ASK, model("", "", [BERN]), SUNNY, user("Well?")]),
        conversation("a call, then the user", [ASK, model("", "", [BERN]), user("Never mind.")]),
        conversation("all values", [ASK, model("", "", [call("odd", VALUES)]), result(VALUES, "odd")]),
        conversation("other results", [ASK, model("", "", [call("a", {})] * 5), result(3, "a"), result([1, "b"], "a"),
                                       result(None, "a"), result(True, "a"), result({}, "a"), result("", "a")]),
        conversation("no result yet, no answer", [user("Hi"), model("", "", [call("a", {"x": {}}), call("b", {"y": []})])],
                     answer=False),
    ]


def conversations():
    return plain() + thoughts() + tools()
