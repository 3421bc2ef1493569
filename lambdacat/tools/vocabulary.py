"""The words of learners and the words of the reference that stand for them."""

import keyword
import re
from token import EXACT_TOKEN_TYPES

STOP = frozenset({
    "a", "about", "actually", "after", "all", "am", "an", "and", "another", "any", "anything", "are", "as", "at", "be",
    "because", "been", "before", "being", "between", "but", "by", "can", "cannot", "could", "did", "difference",
    "different", "do", "does", "doing", "done", "each", "else", "every", "exactly", "explain", "for", "from", "get",
    "gets", "give", "gives", "had", "happen", "happened", "happens", "has", "have", "having", "how", "i", "if", "in",
    "instead", "into", "is", "it", "its", "itself", "just", "kind", "kinds", "language", "let", "like", "make", "makes",
    "making", "many", "may", "me", "mean", "meaning", "means", "might", "mine", "more", "most", "much", "must", "my",
    "myself", "need", "needs", "not", "of", "off", "on", "once", "one", "ones", "only", "onto", "or", "other", "our",
    "out", "own", "please", "possible", "program", "python", "s", "same", "several", "should", "show", "so", "some",
    "someone", "something", "such", "t", "tell", "than", "that", "the", "their", "them", "then", "there", "these",
    "they", "thing", "things", "this", "those", "to", "too", "under", "up", "us", "use", "used", "uses", "using",
    "very", "want", "was", "way", "ways", "we", "were", "what", "when", "where", "whether", "which", "while", "who",
    "whole", "whose", "why", "will", "with", "without", "work", "working", "works", "would", "you", "your",
})  # fmt: skip
"""English words that say nothing about the subject."""

WEAK = frozenset({
    "class", "clause", "code", "element", "example", "function", "functions", "item", "keep", "keyword", "list", "look",
    "method", "methods", "module", "object", "objects", "operator", "purpose", "put", "say", "statement", "syntax",
    "take", "turn", "value", "values", "write",
})  # fmt: skip
"""Words that nearly every question could contain: they narrow a subject but seldom are one."""

KEYWORDS = frozenset(keyword.kwlist)
"""The words of Python's grammar; many of them are in ``STOP`` too."""

OPERATORS = frozenset(EXACT_TOKEN_TYPES) - frozenset("()[]{},;:.-!")
"""Operators that cannot be taken for the punctuation of a sentence."""

_CODE = re.compile(r"[\W_]+|__\w+__|\w+[+#]+")


def is_code(word: str) -> bool:
    """Whether a word is a keyword, an operator or a special name, which is to be matched as it is written.

    >>> [is_code(word) for word in ("with", ":=", "__add__", "c++", "withdraw")]
    [True, True, True, True, False]
    """
    return word in KEYWORDS or _CODE.fullmatch(word) is not None


_SUFFIXES = ("ations", "ation", "ings", "ing", "ions", "ion", "ies", "ers", "er", "ed", "es", "s", "ly", "e", "y")


_WHOLE = frozenset({"class", "string"})


def stem(word: str) -> str:
    """A word without its ending, so that its other forms are recognized.

    >>> stem("comparisons") == stem("comparison"), stem("running") == stem("runs")
    (True, True)
    """
    word = word.lower()
    word = word.removesuffix("s") if word.removesuffix("s") in _WHOLE else word
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3 and word not in _WHOLE:
            word = word.removesuffix(suffix)
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def stems(text: str) -> tuple[str, ...]:
    """The stems of the words of a text, in order; the parts of a compound name are words."""
    return tuple(map(stem, re.findall(r"[^\W_]+", text)))


def _table(text: str) -> dict[tuple[str, ...], tuple[str, ...]]:
    rows = (line.partition(":  ") for line in text.strip().splitlines())
    return {
        stems(name): tuple(kin.strip() for kin in right.split(", "))
        for left, _, right in rows
        for name in left.strip().split(", ")
    }


JARGON = _table("""
    anonymous function:  lambda
    args:  positional arguments, *expression
    attribute lookup, getter, setter:  attribute access
    boolean, truthy, falsy:  truth value
    catch, handle:  except
    closure, enclosing, outer, inner:  nonlocal, free variable, scope
    comprehension:  list display, displays
    constructor:  __init__
    context manager:  with, __enter__
    decorator:  @, decorated
    default argument, default list, default dict, default value:  default parameter values
    destructor:  __del__
    double star, double asterisk:  **
    dunder:  special method
    error, bug:  exception
    f string, fstring:  formatted string literal
    hex, octal, hexadecimal:  integer literal
    inheritance, inherit, superclass, parent class:  base class
    instance variable:  instance attribute
    kwargs:  keyword arguments, **expression
    memoize, remember:  cache, memoize
    modulo, remainder, modulus:  %, modulo
    multiline, multi line:  triple-quoted
    nil, null:  None
    overload, overloading:  special method, emulating
    power, exponent, exponentiation:  **, power operator
    scope, scoping:  naming, binding, nonlocal
    square bracket, bracket:  subscription, __getitem__
    short circuit, shortcircuit:  boolean operations, evaluated
    switch, pattern matching:  match statement
    ternary:  conditional expression
    throw:  raise
    type hint:  annotation
    unpack, unpacking, splat:  unpacking, target list
    variable:  name, variable
    walrus:  :=, assignment expression
""")
"""What learners call a part of the language, and what the reference calls it."""

SYNONYMS = _table("""
    average:  mean
    begin, start:  begin, start, open
    break, cut:  split, wrap
    change, modify, update:  change, modify, assign, rebind, replace
    check, test:  test, check, return True
    combine, merge, join:  merge, join, concatenate
    command line:  argparse, parser
    compress, unpack archive:  zip, gzip, archive
    convert, turn, transform:  convert, conversion, deserialize, parse
    copy, duplicate:  copy
    count, occur, frequency:  count, counting, elements
    current:  now, current
    delete, remove, erase, drop:  del, delete, remove, discard, pop
    dictionary, dict, hash map:  mapping, dict
    download, fetch, web page, website:  url, urlopen
    empty:  zero, empty, false
    entry, element, item:  item, element, key
    environment variable:  environ, getenv
    extension:  suffix, ext
    false, true:  false, true, boolean
    file:  file, path
    file name, filename:  path, pathname
    find, search, look:  find, search, lookup
    flatten:  chain, iterables
    folder:  directory
    group:  group, groupby
    hash, checksum:  digest, hashlib
    immutable, mutable:  immutable, mutable
    keep:  preserve, raw, unchanged
    list, array:  sequence, list
    loop, looping:  for, while, iterate
    middle:  median
    measure, benchmark, fast:  timeit, perf_counter
    order, sort:  sorted, order
    pad, fill:  fill, padded, justified
    parallel, concurrent:  thread, process, concurrent
    parse, decode:  parse, deserialize
    pause, wait:  sleep, wait, delay
    pick, choose:  choose, choice, random
    print, display:  print, output
    priority:  precedence
    private:  mangling, underscore
    random:  random, choice
    regex, regular expression:  pattern, re
    result:  return, value, call
    reverse, backwards:  reversed, reverse
    run, execute:  run, execute, executed
    save, store:  write, dump, serialize
    skip:  continue, skip
    stop, exit, quit, leave:  break, terminate, stop
    string:  string, str
    integer, whole number:  integer, int
    contain, member:  membership, contains
    matching:  matching, pattern
    step, next:  next, iteration
    temporary:  temporary, tempfile
    text:  string, text
    tighter, stronger, tightly:  precedence, binding
    tree:  recursive, tree
    twice, repeat, again:  again, repeat
    unique, distinct:  set, unique, duplicates
    variable:  name, variable
    whether, regardless, cleanup:  finally
    word:  word, string
""")
"""What learners say of a task, and what docstrings say."""
