#!/usr/bin/env python3
"""Writes the golden file of the chat template language: small templates and what jinja2 makes of them.

    tests/oracle/jinja_probes.py --out tests/golden/jinja/probes.jsonl
    tests/oracle/jinja_probes.py --out tests/golden/jinja/probes.jsonl --check

With --check nothing is written; the file is compared. Ends with status 77 (skipped) without the package jinja2.

Each line is a JSON object: "template", "variables", and either "text" or "error". The texts of errors are not compared
by the tests of Carat, but for those of raise_exception.
"""

import argparse
import json
import pathlib
import random
import sys

from jinja_engine import environment, render

VARIABLES = {
    "s": "Hello World", "blank": "  \t x y \n ", "u": "naïve 😀 日本", "q": "it's \"so\"\n\\", "empty": "", "i": 7, "n": -3,
    "f": 2.5, "big": 1e22, "small": 1e-7, "t": True, "no": False, "none_value": None, "list": [3, 1, 2],
    "words": ["b", "A", "c", "a"], "nested": [[1, 2], [3, [4]]], "dict": {"b": 1, "a": {"x": [1, None]}, "C": "y"},
    "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": " hi ", "n": 2},
                 {"role": "assistant", "content": [{"type": "text", "text": "yo"}], "n": 1}],
}

PROBES = r"""
plain text
{{ s }}{{ missing }}|{{ none_value }}|{{ t }}|{{ i }}|{{ f }}|{{ big }}|{{ small }}|{{ 1e16 }}|{{ 123456789.125 }}|{{ 0.1 + 0.2 }}
{{ list }}{{ words }}{{ dict }}{{ nested }}{{ (1,) }}{{ () }}{{ (1, 'a') }}{{ [] }}{{ {} }}{{ q }}{{ [q, u, none_value, f] }}
{{ "a\n\t\\\"\x41\u00e9\U0001F600\101\q" }}{{ 'it''s' }}{{ ["\x00\x7f\u200b\u00a0"] }}
{{ missing.attribute }}
{{ s.missing }}|{{ s.missing.deeper }}
{{ missing + 1 }}
{{ missing ~ 'a' }}|{{ missing == missing }}|{{ missing in [1] }}|{{ 1 in missing }}|{{ missing|length }}|{{ not missing }}
{{ missing() }}
{{ 1 + 2 * 3 - 4 / 2 }}|{{ 7 // 2 }}|{{ -7 // 2 }}|{{ 7 % 3 }}|{{ -7 % 3 }}|{{ 7 % -3 }}|{{ 2 ** 3 ** 2 }}|{{ -2 ** 2 }}|{{ 2 ** -1 }}|{{ 5 / 2 }}
{{ 7.5 // 2 }}|{{ -7.5 % 2 }}|{{ 7.5 % -2 }}|{{ 1.0 * 3 }}|{{ 10 / 5 }}|{{ 1_000 + 1 }}|{{ t + t }}|{{ 1.5e3 }}|{{ -0.0 }}
{{ 1 // 0 }}
{{ 1 / 0 }}
{{ 1 % 0.0 }}
{{ 'a' + 'b' ~ 1 + 2 }}
{{ 'a' ~ 1 ~ none_value ~ [1] }}|{{ 1 ~ 2 * 3 }}|{{ 'x' * 3 }}|{{ 2 * [1, 2] }}|{{ 'x' * -1 }}|{{ [1] + [2] }}|{{ (1,) + (2,) }}
{{ 'a' + 1 }}
{{ [1] + (2,) }}
{{ 'ab' * 2.0 }}
{{ 1 < 2 < 3 }}|{{ 1 < 3 < 2 }}|{{ 1 == 1.0 }}|{{ t == 1 }}|{{ 'a' < 'b' }}|{{ [1, 2] < [1, 3] }}|{{ 'Z' < 'a' }}|{{ 1 != '1' }}|{{ 2 >= 2 }}
{{ 1 < 'a' }}
{{ none_value < 1 }}
{{ 'ell' in s }}|{{ 3 in list }}|{{ 'b' in dict }}|{{ 4 not in list }}|{{ 1.0 in list }}|{{ not 1 in list }}|{{ [1, 2] in nested }}
{{ 1 in 5 }}
{{ 1 in s }}
{{ t and 'x' }}|{{ no or 'y' }}|{{ 0 or '' }}|{{ not no and t }}|{{ 1 and 0 or 2 }}|{{ not not 1 }}|{{ none_value or missing or 3 }}
{{ 'a' if t }}|{{ 'a' if no }}|{{ 'a' if no else 'b' }}|{{ 1 if no else 2 if no else 3 }}
{{ ('a' if no) + 'x' }}
{{ list[0] }}{{ list[-1] }}{{ list[9] }}|{{ s[0] }}{{ s[-1] }}|{{ dict['b'] }}{{ dict.b }}{{ dict['zz'] }}|{{ u[2] }}{{ u[6] }}|{{ list.0 }}{{ nested.1.0 }}
{{ list[1:] }}{{ list[:-1] }}{{ list[::-1] }}{{ list[::2] }}{{ list[5:] }}{{ list[-2:9] }}|{{ u[::-1] }}|{{ s[1:8:3] }}|{{ u[2:7] }}|{{ messages[1:][0].role }}
{{ list[::0] }}
{{ list['a'] }}|{{ i[0] }}|{{ dict[1:] }}|{{ none_value.x }}|{{ i.x }}
{{ dict.items }}
{{ dict.items() }}|{{ dict.keys() }}|{{ dict.values() }}|{{ dict.items()|list }}|{{ dict.get('b') }}{{ dict.get('x') }}{{ dict.get('x', 5) }}
{{ {'items': 1}.items() }}|{{ {'items': 1}['items'] }}|{{ {'get': 3}.get('get') }}|{{ {'x': 1, 'x': 2} }}|{{ {1: 'a', t: 'b'} }}|{{ {(1, 2): 3}[(1, 2)] }}
{{ {[1]: 2} }}
{{ list.append(4) }}
{{ dict.update({'x': 1}) }}
{{ list.append }}|{{ s.__class__ }}|{{ list.pop is defined }}|{{ [2, 1, 2].count(2) }}|{{ list.index(1) }}
{{ list.index(99) }}
{{ s.upper() }}{{ s.lower() }}|{{ 'hello wORLD it''s 2nd'.title() }}|{{ 'ABC dEF'.capitalize() }}|{{ s.split() }}|{{ s.split('o') }}|{{ s.split('o', 1) }}|{{ ''.split() }}|{{ ''.split(',') }}
{{ '  a  b c '.split() }}|{{ '  a  b c '.split(' ') }}|{{ '  a  b c '.split(none, 1) }}|{{ 'a,b,c'.rsplit(',', 1) }}|{{ 'a\nb\r\nc\n'.splitlines() }}|{{ 'a,b'.split(sep=',', maxsplit=1)[1] }}
{{ s.split('') }}
{{ blank.strip() }}|{{ blank.lstrip() }}|{{ blank.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'abcba'.lstrip('ab') }}|{{ 'éaé'.strip('é') }}|{{ '\u3000a\u00a0'.strip() }}|
{{ s.startswith('He') }}{{ s.endswith(('x', 'ld')) }}{{ s.startswith('') }}|{{ s.replace('o', '0') }}|{{ s.replace('o', '0', 1) }}|{{ 'abc'.replace('', '-') }}|{{ 'abc'.replace('', '-', 2) }}
{{ s.find('World') }}{{ s.find('z') }}{{ u.find('日') }}|{{ s.rfind('o') }}|{{ s.count('l') }}|{{ ', '.join(words) }}|{{ ''.join(['a']) }}|{{ '12'.isdigit() }}{{ 'a1'.isalpha() }}{{ ' '.isspace() }}{{ ''.isdigit() }}
{{ ','.join([1]) }}
{{ 'abc'.removeprefix('a') }}{{ 'abc'.removesuffix('c') }}{{ 'abc'.removesuffix('x') }}|{{ '{} {}'.format(1, 'a') }}|{{ '{1}{0}{x}{{}}'.format(1, 2, x=3) }}
{{ '{}'.format() }}
{{ '%s is %d, %5.2f, %-4s|%04d|%x|%%' % ('a', 3, 2.5, 'b', 42, 255) }}|{{ '%s' % 'x' }}|{{ '%s' % none_value }}|{{ '%r' % 'x' }}
{{ '%d' % 'x' }}
{{ '%s %s' % ('a',) }}
{{ s.unknown_method() }}
{{ blank|trim }}|{{ 'xax'|trim('x') }}|{{ s|upper }}{{ s|lower }}|{{ 'foo BAR-baz (qux)'|title }}|{{ 'fOO bar'|capitalize }}|{{ i|upper }}|{{ missing|trim }}|
{{ list|length }}{{ s|count }}{{ dict|length }}{{ u|length }}|{{ missing|default('d') }}|{{ ''|default('d') }}|{{ ''|default('d', true) }}|{{ ''|d('e', boolean=true) }}|{{ none_value|default('x') }}
{{ i|length }}
{{ list|join }}|{{ list|join('-') }}|{{ [1, none_value, 'a']|join(', ') }}|{{ messages|join('/', attribute='role') }}|{{ dict|join(',') }}|{{ 'abc'|join('.') }}
{{ s|replace('o', 0) }}|{{ s|replace('l', 'L', 2) }}|{{ 5|replace(5, 'x') }}
{{ list|first }}{{ list|last }}{{ s|first }}{{ []|first }}|{{ dict|first }}|{{ dict|last }}|{{ missing|first }}|{{ words|reverse|list }}{{ s|reverse }}|{{ dict|reverse|list }}
{{ i|first }}
{{ dict|tojson }}|{{ list|tojson }}|{{ q|tojson }}|{{ u|tojson }}|{{ u|tojson(ensure_ascii=true) }}|{{ none_value|tojson }}{{ t|tojson }}{{ f|tojson }}{{ '</b>&\''|tojson }}|{{ big|tojson }}|{{ (1, 2)|tojson }}|{{ '\x01\x7f'|tojson }}
{{ dict|tojson(indent=2) }}|{{ []|tojson(indent=4) }}|{{ {}|tojson(indent=1) }}|{{ list|tojson(separators=(',', ':')) }}|{{ dict|tojson(sort_keys=true) }}|{{ [1]|tojson(indent='--') }}|{{ {1: 2, none: 3, true: 4, 1.5: 5}|tojson }}
{{ missing|tojson }}
{{ range(3)|tojson }}
{{ s|list }}|{{ dict|list }}|{{ range(4)|list }}|{{ range(2, 8, 3)|list }}|{{ range(3, 0, -1)|list }}|{{ (1, 2)|list }}|{{ range(5)[1:3]|list }}|{{ range(5)|length }}
{{ words|map('upper')|list }}|{{ messages|map(attribute='role')|list }}|{{ messages|map(attribute='n', default=0)|list }}|{{ messages|map(attribute='n')|list }}|{{ nested|map('first')|join }}|{{ nested|map(attribute=0)|list }}|{{ words|map('replace', 'a', 'z')|list }}
{{ messages|map(attribute='content.0.type')|list }}
{{ missing|map('upper')|list }}|{{ none_value|map('upper')|list }}|{{ none_value|select|list }}
{{ words|map('nonsense')|list }}
{{ messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|list }}|{{ messages|selectattr('n')|list|length }}|{{ messages|rejectattr('n', 'defined')|list|length }}|{{ messages|selectattr('role', 'in', ['user', 'system'])|list|length }}
{{ [1, 0, 2, none_value]|select|list }}|{{ [1, 2, 3]|select('odd')|list }}|{{ [1, 2, 3]|reject('even')|list }}|{{ [1, 2, 3]|select('>', 1)|list }}|{{ [1, 'a']|select('string')|list }}|{{ [1, 2]|reject('equalto', 1)|list }}
{{ dict|items|list }}|{{ missing|items|list }}|{{ dict|dictsort }}|{{ dict|dictsort(true) }}|{{ {'b': 2, 'a': 3}|dictsort(by='value') }}|{{ {'b': 2, 'a': 3}|dictsort(reverse=true) }}
{{ list|items|list }}
{{ dict|dictsort(by='value') }}
{{ list|sort }}|{{ words|sort }}|{{ words|sort(case_sensitive=true) }}|{{ list|sort(reverse=true) }}|{{ messages|sort(attribute='role')|map(attribute='role')|list }}|{{ [[2, 'a'], [1, 'b']]|sort }}|{{ ['B', 'b', 'a', 'A']|sort(reverse=true) }}
{{ [1, 'a']|sort }}
{{ [1, 2, 1, 3]|unique|list }}|{{ ['a', 'A', 'b']|unique|list }}|{{ ['a', 'A']|unique(true)|list }}|{{ list|sum }}|{{ list|sum(start=10) }}|{{ messages|sum('n') }}
{{ messages[1:]|sum('n') }}|{{ list|min }}{{ list|max }}{{ words|max }}{{ []|min }}|{{ messages[1:]|max(attribute='n') }}|{{ [1.5, 2]|sum }}
{{ 5|string + 'a' }}|{{ '5'|int + 1 }}|{{ 'x'|int }}|{{ 'x'|int(9) }}|{{ '2.9'|int }}|{{ 2.9|int }}|{{ 'ff'|int(base=16) }}|{{ '1.5'|float }}|{{ 'x'|float }}|{{ ' 12 '|int }}|{{ '-3'|int }}|{{ t|int }}|{{ none_value|int }}
{{ -3|abs }}{{ n|abs }}{{ -1.5|abs }}|{{ 2.5|round }}|{{ 3.5|round }}|{{ 2.345|round(2) }}|{{ 42|round }}|{{ 2.1|round(method='ceil') }}|{{ 2.97|round(1, 'floor') }}|{{ 1234|round(-2) }}
{{ missing|int }}
{{ '<a href="x">&\'</a>'|e }}|{{ '<b>'|safe }}|{{ '<b>'|escape|length }}
{{ 'a\nb\n\nc'|indent }}|{{ 'a\nb\n\nc\n'|indent(2, true) }}|{{ 'a\n\nb'|indent(1, blank=true) }}|{{ 'a\nb'|indent('> ', first=true) }}
{{ '%s-%s'|format('a', 1) }}
{{ s|nonsense }}
{{ s is nonsense }}
{{ s is defined }}{{ missing is defined }}{{ missing is undefined }}{{ none_value is none }}{{ s is none }}|{{ s is string }}{{ i is number }}{{ t is number }}{{ i is integer }}{{ t is integer }}{{ f is float }}{{ t is boolean }}{{ t is true }}{{ 1 is true }}{{ no is false }}
{{ dict is mapping }}{{ list is mapping }}|{{ list is iterable }}{{ s is iterable }}{{ i is iterable }}{{ missing is iterable }}|{{ list is sequence }}{{ dict is sequence }}{{ i is sequence }}{{ dict.items() is sequence }}{{ none_value is sequence }}
{{ 3 is odd }}{{ 4 is even }}{{ 6 is divisibleby 3 }}{{ 6 is divisibleby(4) }}|{{ 1 is eq 1 }}{{ 1 is equalto(2) }}{{ 1 is ne 2 }}{{ 2 is gt 1 }}{{ 1 is lt(2) }}{{ 2 is ge 2 }}{{ 1 is in list }}{{ 9 is not in list }}|{{ s.upper is callable }}{{ range is callable }}{{ s is callable }}
{{ s is not none and i is not string }}|{{ not s is string }}|{{ 'abc' is lower }}{{ 'ABC' is upper }}{{ 'aB' is lower }}{{ '1' is lower }}|{{ i is number and 'x' or 'y' }}
{% if t %}a{% elif no %}b{% else %}c{% endif %}|{% if no %}a{% elif t %}b{% else %}c{% endif %}|{% if no %}a{% endif %}|{% if [] or {} or '' or 0 or 0.0 %}x{% else %}y{% endif %}
{% for x in list %}{{ x }},{% endfor %}|{% for c in 'abc' %}{{ c }}.{% endfor %}|{% for k in dict %}{{ k }}{% endfor %}|{% for x in [] %}a{% else %}none{% endfor %}|{% for x in missing %}a{% else %}none{% endfor %}
{% for k, v in dict.items() %}{{ k }}={{ v }};{% endfor %}|{% for k, v in dict|items %}{{ k }}{% endfor %}|{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}|{% for a, b in ['xy'] %}{{ b }}{{ a }}{% endfor %}
{% for a, b in [1] %}{% endfor %}
{% for a, b in [(1, 2, 3)] %}{% endfor %}
{% for x in 5 %}{% endfor %}
{% for x in none_value %}{% endfor %}
{% for x in list %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }} {{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a', 'b') }};{% endfor %}
{% for x in [1, 1, 2] %}{{ loop.changed(x) }}{% endfor %}|{% for x in list %}{% for y in 'ab' %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}|{{ loop is defined }}
{% for x in list if x > 1 %}{{ x }}{{ loop.length }}{% endfor %}|{% for x in list if x > 9 %}{% else %}none{% endfor %}|{% set ns = namespace(done=false) %}{% for x in list if not ns.done %}{{ x }}{% set ns.done = true %}{% endfor %}
{% for x in range(9) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}|{% for x in list %}{% break %}{% else %}never{% endfor %}
{% break %}
{% for x in list %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}
{% set a = 1 %}{% set b, c = 2, 'x' %}{% set d = 1, 2 %}{{ a }}{{ b }}{{ c }}{{ d }}|{% if t %}{% set a = 5 %}{% endif %}{{ a }}|{% for x in list %}{% set a = x %}{{ a }}{% endfor %}{{ a }}
{% set a = 0 %}{% for x in list %}{% set a = a + x %}{{ a }},{% endfor %}{{ a }}|{% set ns = namespace(n=0, l=[]) %}{% for x in list %}{% set ns.n = ns.n + x %}{% set ns.l = ns.l + [x] %}{% endfor %}{{ ns.n }}{{ ns.l }}{{ ns.missing }}{{ ns['n'] }}
{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{{ ns }}|{% set ns.c = ns.a %}{{ ns.c is defined }}{{ ns.d is defined }}{{ ns is mapping }}{{ ns is iterable }}
{% set s.x = 1 %}
{% set missing.x = 1 %}
{% set x %}a{{ i }}b{% endset %}{{ x }}{{ x|length }}|{% set x | upper | replace('A', 'z') %}abc{% endset %}{{ x }}|{% set x %}{% set y = 1 %}{% endset %}[{{ x }}{{ y }}]
{% macro m(a, b='x', c=none) %}{{ a }}{{ b }}{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(a=3, c=4) }}{{ m() }}{{ m(1, b=m(2)) }}
{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}|{% macro v() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ v(1, 2, x=3) }}|{% macro w() %}{{ s }}{{ later }}{% endmacro %}{% set later = 'L' %}{{ w() }}
{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{% endmacro %}{{ m(b=2) }}
{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}
{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}|{% for x in list %}{% macro g() %}{{ x }}{% endmacro %}{{ g() }}{% endfor %}|{% macro h(x) %}{% set s = x %}{{ s }}{% endmacro %}{{ h(1) }}{{ s }}
{% macro outer() %}[{{ caller() }}]{% endmacro %}{% call outer() %}in {{ s }}{% endcall %}|{% macro each(l) %}{% for x in l %}{{ caller(x) }}{% endfor %}{% endmacro %}{% call(x) each(list) %}<{{ x }}>{% endcall %}
{% macro m() %}a{% endmacro %}{{ m()|upper }}{{ m() ~ 'b' }}{{ m() + 'c' }}{{ [m()] }}{{ m() is string }}
{% filter upper %}abc {{ s }}{% endfilter %}|{% filter replace('a', 'b')|upper %}aaa{% endfilter %}|{% with a = 1, b = s %}{{ a }}{{ b }}{% endwith %}{{ a }}|{% with %}{% set z = 1 %}{{ z }}{% endwith %}{{ z }}
{% generation %}gen {{ s }}{% set inner = 1 %}{% endgeneration %}{{ inner }}
{% raw %}{{ not }} {% this %}{# nor #}{% endraw %}|{%- raw -%}  x {{  {%- endraw -%}  y
a {# comment {{ x }} {% if %} #} b{#- strip -#} c {#+ keep +#} d
a   {%- if t -%}   b   {%- endif -%}   c|{{- s -}}  |  {{- 1 }}
{{ [1, 2,] }}{{ {'a': 1,} }}{{ (1, 2,) }}{{ m is defined }}{{ 'a' 'b' }}{{ dict(a=1, b=2) }}{{ dict({'x': 1}) }}{{ dict([('k', 'v')]) }}
{{ '%}' }}{{ "}}" }}{{ {'a': {'b': {}}}.a.b }}{{ [[1]][0][0] }}{{ {'}}': 1}['}}'] }}
{{ raise_exception('Only ' ~ i ~ ' roles') }}
{% if messages[0].role != 'user' %}{{ raise_exception("first must be user") }}{% endif %}
{{ range(100001)|length }}
{{ range(0)|list }}{{ range(1, 5)[2] }}{{ range(3)[-1] }}|{{ range(100000)|length }}
{{ s(1) }}
{{ none_value() }}
{{ strftime_now }}|{{ cycler_missing }}
{{ messages[2]['content'][0]['text'] }}{{ messages[1].content|trim }}{{ messages[-1].content[0].type }}{{ messages[0]['ro' ~ 'le'] }}
{{ i if i is defined else 'x' }}|{{ (list|length) > 2 }}|{{ list|length > 2 }}|{{ -list|length }}|{{ -i|abs }}|{{ 2 * 3|string }}|{{ not list|length == 3 }}
{{ *list }}
{{ dict(**{'a': 1}) }}|{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'b': 1, 'a': 2}) }}{{ m(*[1], **{'b': 3}) }}
{{ 1 is
{{ 1
{% if t %}
{% endif %}
{% for %}
{% set %}
{% set x = %}
{% unknown %}
{{ }}
{{ 'a }}
{{ a b }}
{{ (1 }}
{{ 1) }}
{{ [1} }}
{{ a. }}
{{ a| }}
{{ x is }}
{{ f(a=1, 2) }}
{{ 01 }}
{{ $ }}
{# open
{% raw %} open
{% macro m(a=1, b) %}{% endmacro %}
{% for x in list %}{% else %}{% else %}{% endfor %}
{% set 1 = 2 %}
{% set true = 2 %}
{% call s %}{% endcall %}
{% for true in [1] %}{% endfor %}
""".strip("\n").split("\n")

# White space needs templates of several lines.
BLOCKS = [
    "{% if t %}\na\n{% endif %}\nb\n", "  {% if t %}  \n  a\n  {% endif %}\nb\n\n", "x {% if t %} y {% endif %} z\n",
    "{% for x in list %}\n  * {{ x }}\n{% endfor %}\nend", "  {%+ if t %}a{%+ endif +%}\nb", "a\n\n  {%- if t %}\nb\n{%- endif %}\n\nc",
    "a\n  {# c #}  \nb\n{# c #}\nc {# d #}\n", "{{ s }}\n{{ s }}\n", "{{ s }}\n  {{ s -}}\n\n  x", "a\r\nb\rc\n{% if t %}\r\nd{% endif %}",
    "{% raw %}\n  {{ x }}\n{% endraw %}\ny", "  {% raw %} a {% endraw %}\n  b", "{% set x %}\n  a\n  {% if t %}\n b\n  {% endif %}\n{% endset %}[{{ x }}]",
    "{%- set a = 1 -%}\n\n{{ a }}\n{%- set b = [\n  1,\n  2\n] %}\n{{ b }}", "\t{% if t %}\t\n\ta{% endif %}", "\u3000{% if t %}a{% endif %}\u3000",
    "{{ 'a\nb' }}", "{% if t -%}\n  a\n{%- else +%}\n  b\n{% endif %}", "a{% if t %}\n\n{% endif %}b", "\n{% if t %}\n{% endif %}\n\n", "{{ s }}{# x\n\n#}\n\ny",
    "{{ 'line' }}\n{{ 1 +\n 'a' }}", "a\n{{- 1 -}}\nb\n{{ 2 }}", "{%- macro m(x) -%}\n  {{ x }}\n{%- endmacro -%}\n[{{ m(1) }}]",
]


NAMES = ["s", "i", "n", "f", "t", "no", "none_value", "list", "words", "dict", "missing", "empty", "messages", "nested"]
LITERALS = ["0", "1", "2", "-1", "3.5", "'a'", "'b c'", "''", "[]", "[1, 'x']", "{}", "{'a': 1}", "(1, 2)", "true", "none"]


def atom(source):
    return source.choice(NAMES + LITERALS)


def expression(source, depth):
    """An expression of random shape; most of them make sense, and many do not."""
    if depth == 0:
        return atom(source)
    inner = lambda: expression(source, depth - 1)  # noqa: E731
    kind = source.randrange(9)
    if kind == 0:
        operator = source.choice("+ - * / // % ~ == != < <= > >= and or in".split() + ["not in"])
        return f"({inner()} {operator} {inner()})"
    if kind == 1:
        name = source.choice(["length", "list", "first", "last", "trim", "upper", "lower", "string", "int", "tojson", "sort", "join('-')", "abs",
                              "default('z')", "default('z', true)", "unique|list", "reverse|list", "title", "capitalize", "round", "float", "sum",
                              "max", "min", "map('string')|list", "select|list", "replace('a', 'q')", "items|list", "dictsort", "indent"])
        return f"{inner()}|{name}"
    if kind == 2:
        name = source.choice("defined undefined none string number integer float boolean mapping iterable sequence true false odd even".split())
        return f"({inner()} is {source.choice(['', 'not '])}{name})"
    if kind == 3:
        return f"({inner()} if {inner()} else {inner()})"
    if kind == 4:
        return f"{atom(source)}[{inner()}]"
    if kind == 5:
        ends = [source.choice(["", "0", "1", "-1", "2", "-2", "9"]) for _ in range(2)]
        # jinja2 computes a slice of a literal early, and then without the error that Python gives for numbers.
        return f"{source.choice(NAMES)}[{ends[0]}:{ends[1]}{source.choice(['', ':', ':-1', ':2'])}]"
    if kind == 6:
        call = source.choice(["split()", "strip()", "upper()", "items()|list", "get('a')", "keys()|list", "startswith('H')", "replace('l', 'L')",
                              "find('o')", "title()", "split('b')", "join(words)", "values()|list", "rstrip('d')", "count('a')"])
        return f"{atom(source)}.{call}"
    if kind == 7:
        return f"[{inner()}, {inner()}]" if source.random() < 0.7 else f"{{'k': {inner()}}}"
    return f"(not {inner()})"


def templates(generated):
    source = random.Random(20251)
    made = ["{{ " + expression(source, source.choice([1, 2, 2, 3])) + " }}" for _ in range(generated)]
    return PROBES + BLOCKS + made


def lines(generated):
    engine = environment()
    for template in templates(generated):
        result = render(engine, template, VARIABLES)
        # What is printed with an address is no result.
        if " at 0x" not in result.get("text", ""):
            yield {"template": template, **result}


def golden(generated):
    head = {"variables": VARIABLES}
    return "".join(json.dumps(line, ensure_ascii=True) + "\n" for line in [head, *lines(generated)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the golden file (*.jsonl)")
    parser.add_argument("--generated", type=int, default=300, help="how many expressions of random shape to add")
    parser.add_argument("--check", action="store_true", help="compare with the golden file")
    arguments = parser.parse_args()
    text = golden(arguments.generated)
    if arguments.check:
        if arguments.out.read_text(encoding="utf-8") != text:
            sys.exit(f"{arguments.out}: differs from what jinja2 gives")
    else:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text, encoding="utf-8", newline="\n")
    print(f"{arguments.out}: {text.count(chr(10)) - 1} templates")
    return 0


if __name__ == "__main__":
    sys.exit(main())
