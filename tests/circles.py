"""Finds files of a Rust package that import each other in a circle.

A file imports another if it names something that is defined there, with `use` or by a path.
Declaring a module (`mod x;`) is no import. Nor is handing a name on (`pub use x::Name`),
unless the same file also uses the name. Test code is left out. Prints each circle with its
imports; exits with 1 if there is one.
"""

import re
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent

TOKEN = re.compile(
    r"""
    (?P<skip> \s+ | //[^\n]*
      | (?: b | c )? " (?: \\. | [^"\\] )* "
      | b? ' (?: \\ (?: u\{[^}]*\} | x[0-9a-fA-F]{2} | . ) | [^'\\] ) '
      | '[A-Za-z_]\w* )
    | (?P<name> (?: r\# )? [A-Za-z_]\w* )
    | (?P<mark> :: | . )
    """,
    re.VERBOSE | re.DOTALL,
)
RAW_STRING = re.compile(r'(?:b|c)?r(#*)".*?"\1', re.DOTALL)
COMMENT_MARK = re.compile(r"/\*|\*/")

OPENING = {"{": "}", "(": ")", "[": "]"}
# What a braceless item or a field can end with instead.
TO_SEMICOLON = {"use", "const", "static", "type"}
TO_BRACE = {"fn", "mod", "impl", "struct", "enum", "trait", "union", "macro_rules"}
QUALIFIERS = {"pub", "unsafe", "async", "extern", "default"}


@dataclass(frozen=True)
class Token:
    text: str
    line: int


@dataclass(eq=False)
class Module:
    """A module, in a file of its own or within one."""

    file: Path
    parent: "Module | None" = None
    children: dict = field(default_factory=dict)
    uses: list = field(default_factory=list)
    code: list = field(default_factory=list)  # Without the uses.

    def root(self):
        return self.parent.root() if self.parent else self

    def used(self, name):
        """The path of a name that a `use` brings into scope."""
        return next((use.path for use in self.uses if use.name == name), None)

    def names(self, name):
        """Whether its code uses a name that is in scope."""
        variants = variants_of(self.code)
        return any(
            token.text == name and self.code[at - 1].text not in ("::", ".") and at not in variants
            for at, token in enumerate(self.code)
        )


@dataclass(frozen=True)
class Use:
    """One name that a `use` brings in."""

    path: tuple
    name: str
    is_handed_on: bool
    line: int


def tokens(source):
    """The names and marks of a source, without comments, strings and lifetimes."""
    found, at, line = [], 0, 1
    while at < len(source):
        start = at
        if source.startswith("/*", at):
            at = end_of_comment(source, at)
        elif match := RAW_STRING.match(source, at):
            at = match.end()
        else:
            match = TOKEN.match(source, at)
            at = match.end()
            if match.lastgroup != "skip":
                found.append(Token(match.group().removeprefix("r#"), line))
        line += source.count("\n", start, at)
    return found


def end_of_comment(source, at):
    """Block comments nest."""
    depth = 0
    for mark in COMMENT_MARK.finditer(source, at):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(source)


def end_of_group(code, at):
    """Behind the bracket that closes the one at `at`."""
    depth = 0
    for index in range(at, len(code)):
        if code[index].text in OPENING:
            depth += 1
        elif code[index].text in OPENING.values():
            depth -= 1
            if depth == 0:
                return index + 1
    return len(code)


def texts(code):
    return [token.text for token in code]


def is_attribute(code, at):
    return texts(code[at : at + 2]) == ["#", "["]


def is_for_tests(attribute):
    words = [text for text in attribute if text not in ("(", ")", "[", "]", "#", ",")]
    return words == ["cfg", "test"] or words[:3] == ["cfg", "all", "test"]


def end_of_item(code, at):
    """Behind the item, field or statement that begins at `at`."""
    while is_attribute(code, at):
        at = end_of_group(code, at + 1)
    start = at
    while code[start].text in QUALIFIERS:
        start += 1
        if code[start].text == "(":
            start = end_of_group(code, start)
    keyword = code[start].text
    if keyword == "const" and code[start + 1].text in ("fn", "unsafe", "async"):
        keyword = "fn"
    while at < len(code):
        text = code[at].text
        if text in OPENING:
            at = end_of_group(code, at)
            if text == "{" and keyword not in TO_SEMICOLON:
                return at
            continue
        if text in OPENING.values():
            return at
        at += 1
        if text == ";" or (text == "," and keyword not in TO_BRACE | TO_SEMICOLON):
            return at
    return at


def without_tests(code):
    """The code without what only tests compile."""
    kept, at = [], 0
    while at < len(code):
        if is_attribute(code, at):
            end = end_of_group(code, at + 1)
            if is_for_tests(texts(code[at:end])):
                at = end_of_item(code, end)
                continue
        kept.append(code[at])
        at += 1
    return kept


def use_tree(code, at, prefix=()):
    """The paths of one branch of a `use`, each with its name and line; and where it ends."""
    path = list(prefix)
    while at < len(code):
        token = code[at]
        if token.text == "{":
            branches, at = [], at + 1
            while code[at].text != "}":
                found, at = use_tree(code, at, tuple(path))
                branches += found
                if code[at].text == ",":
                    at += 1
            return branches, at + 1
        if token.text in (",", ";", "}"):
            break
        if token.text == "as":
            return [(tuple(path), code[at + 1].text, token.line)], at + 2
        if token.text == "self" and path:
            pass
        elif token.text != "::":
            path.append(token.text)
        at += 1
    return [(tuple(path), path[-1] if path else "", code[at - 1].line)], at


class Package:
    """The modules of a package, and which of its files import which."""

    def __init__(self, folder):
        self.folder = folder
        self.modules = []
        self.imports = defaultdict(dict)  # file -> file -> {name: line}
        sources = folder / "src"
        for root in [sources / "lib.rs", sources / "main.rs", *sorted(sources.glob("bin/*.rs"))]:
            if root.is_file():
                self.read(Module(root), root.parent)
        self.link()

    def read(self, module, folder):
        code = without_tests(tokens(module.file.read_text()))
        self.read_items(module, code, folder)

    def read_items(self, module, code, folder):
        """Reads a module's code; its modules with files of their own are below `folder`."""
        self.modules.append(module)
        at, is_handed_on = 0, False
        while at < len(code):
            token = code[at]
            before = code[at - 1].text if at else ""
            if token.text == "pub":
                is_handed_on = True
            elif token.text == "use" and before in ("", ";", "}", "{", ")", "]", "pub"):
                found, at = use_tree(code, at + 1)
                module.uses += [Use(path, name, is_handed_on, line) for path, name, line in found]
                is_handed_on = False
                continue
            elif token.text == "mod" and code[at + 2].text in (";", "{"):
                at = self.read_module(module, code, at + 1, folder)
                is_handed_on = False
                continue
            elif token.text in (";", "{", "}", "fn", "struct"):
                is_handed_on = False
            module.code.append(token)
            at += 1

    def read_module(self, parent, code, at, folder):
        name = code[at].text
        child = Module(parent.file, parent)
        parent.children[name] = child
        if code[at + 1].text == "{":
            end = end_of_group(code, at + 1)
            self.read_items(child, code[at + 2 : end - 1], folder / name)
            return end
        for file in (folder / f"{name}.rs", folder / name / "mod.rs"):
            if file.is_file():
                child.file = file
                self.read(child, folder / name)
        return at + 2

    def link(self):
        for module in self.modules:
            for use in module.uses:
                if not use.is_handed_on or module.names(use.name):
                    self.note(module, use.path, use.line)
            for path, line in paths(module.code):
                self.note(module, path, line)

    def note(self, module, path, line):
        file = self.resolve(module, path)
        if file and file != module.file:
            self.imports[module.file].setdefault(file, {}).setdefault(path[-1], line)

    def resolve(self, module, path, seen=()):
        """The file that defines what a path names; None for a module, or another crate's."""
        at, first = module, path[0] if path else ""
        if first == "crate":
            at, path = module.root(), path[1:]
        elif first == "self":
            path = path[1:]
        elif first == "super":
            while path and path[0] == "super":
                at, path = at.parent or at, path[1:]
        elif first not in module.children and not module.used(first):
            return None
        for index, name in enumerate(path):
            if name in at.children:
                at = at.children[name]
                continue
            if at.used(name) and (at, name) not in seen:
                onward = at.used(name) + tuple(path[index + 1 :])
                return self.resolve(at, onward, (*seen, (at, name)))
            return at.file
        return None


def paths(code):
    """Each path `a::b` of the code that begins with a name, and its line."""
    at = 0
    while at < len(code):
        is_name = code[at].text.isidentifier()
        behind = at and code[at - 1].text in ("::", ".")
        if not is_name or behind or texts(code[at + 1 : at + 2]) != ["::"]:
            at += 1
            continue
        path, line = [code[at].text], code[at].line
        while texts(code[at + 1 : at + 2]) == ["::"] and code[at + 2].text.isidentifier():
            path.append(code[at + 2].text)
            at += 2
        at += 1
        yield tuple(path), line


def variants_of(code):
    """Where the names of the enums' variants stand: they are no uses of what has the same name."""
    found = set()
    for start, token in enumerate(code):
        if token.text != "enum":
            continue
        at = next((at for at in range(start, len(code)) if code[at].text == "{"), len(code))
        end, at = end_of_group(code, at) - 1, at + 1
        while at < end:
            while is_attribute(code, at):
                at = end_of_group(code, at + 1)
            found.add(at)
            while at < end and code[at].text != ",":
                at = end_of_group(code, at) if code[at].text in OPENING else at + 1
            at += 1
    return found


def circles(imports):
    """The sets of files that reach each other, largest first. (Tarjan's algorithm.)"""
    found, order, low, stack = [], {}, {}, []

    def visit(file):
        order[file] = low[file] = len(order)
        stack.append(file)
        for other in imports.get(file, ()):
            if other not in order:
                visit(other)
                low[file] = min(low[file], low[other])
            elif other in stack:
                low[file] = min(low[file], order[other])
        if low[file] == order[file]:
            at = stack.index(file)
            if len(stack) - at > 1:
                found.append(set(stack[at:]))
            del stack[at:]

    for file in list(imports):
        if file not in order:
            visit(file)
    return sorted(found, key=len, reverse=True)


def report(package, root):
    """A message for each circle of a package."""
    imports = package.imports
    for circle in circles(imports):
        name = package.folder.relative_to(root)
        lines = [f"{name}: {len(circle)} files import each other in a circle"]
        for file in sorted(circle):
            for other in sorted(circle & imports[file].keys()):
                names = imports[file][other]
                place = f"{file.relative_to(root)}:{min(names.values())}"
                lines.append(f"  {place} imports {', '.join(sorted(names))} of {other.relative_to(root)}")
        yield "\n".join(lines)


def packages(root):
    """The folders of the packages of a workspace."""
    manifests = [*root.glob("*/Cargo.toml"), *root.glob("*/*/Cargo.toml")]
    return sorted(manifest.parent for manifest in manifests if (manifest.parent / "src").is_dir())


def main(root=HERE.parent):
    found = [message for folder in packages(root) for message in report(Package(folder), root)]
    for message in found:
        print(message)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
