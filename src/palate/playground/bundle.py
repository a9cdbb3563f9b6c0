"""Many small JavaScript modules into one script, since a page opened from disk may load no other file.

A module becomes a function that is called once, after those that it imports, and returns what it exports. Names stay
private to their module, and the files stay plain ES modules, which editors and other engines read as they are. Of the
language's forms, those that the page uses are known: `export function`, `export const`, and named imports by a relative
path. Anything else is refused here, and not found out in a reader's browser.
"""

import posixpath
import re
from collections.abc import Mapping

_IMPORT = re.compile(r'^import \{ ([\w, ]+) \} from "(\.{1,2}/[\w./]+\.js)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const) (\w+))", re.MULTILINE)
_OTHER = re.compile(r"^\s*(?:import|export)\b.*$", re.MULTILINE)


def bundle(modules: Mapping[str, str], entry: str) -> str:
    r"""One strict script that runs `entry` and keeps every module's exports in `window.palate`, by path.

    Args:
        modules: source by path, such as `maths/pair.js`.
        entry: path of the module to run.

    Raises:
        ValueError: an import or export of another form, of a module that is not there, or in a circle; or a module
            that nothing imports.

    >>> print(bundle({"a.js": 'import { b } from "./b.js";\nb();', "b.js": "export const b = () => 1;"}, "a.js"))
    "use strict";
    window.palate = {};
    window.palate["b.js"] = (() => {
    const b = () => 1;
    return { b };
    })();
    window.palate["a.js"] = (() => {
    const { b } = window.palate["b.js"];
    b();
    return {  };
    })();
    <BLANKLINE>
    """
    order: list[str] = []
    _visit(entry, modules, order, ())
    if unused := sorted(set(modules) - set(order)):
        raise ValueError(f"nothing imports {', '.join(unused)}")
    parts = [f'window.palate["{path}"] = (() => {{\n{_wrap(path, modules[path])}\n}})();\n' for path in order]
    return "".join(['"use strict";\nwindow.palate = {};\n', *parts])


def _visit(path: str, modules: Mapping[str, str], order: list[str], above: tuple[str, ...]) -> None:
    """Append a module after all that it imports."""
    if path in order:
        return
    if path in above:
        raise ValueError(f"modules import each other: {' -> '.join([*above, path])}")
    if path not in modules:
        raise ValueError(f"{above[-1] if above else 'the page'} imports {path}, which is not there")
    for _, target in _IMPORT.findall(modules[path]):
        _visit(_resolve(path, target), modules, order, (*above, path))
    order.append(path)


def _wrap(path: str, source: str) -> str:
    exports = _EXPORT.findall(source)
    body = _EXPORT.sub("", source)
    body = _IMPORT.sub(lambda m: f'const {{ {m[1]} }} = window.palate["{_resolve(path, m[2])}"];', body)
    if other := _OTHER.search(body):
        raise ValueError(f"{path}: {other[0].strip()!r} is of a form that the bundle does not know")
    return f"{body.strip()}\nreturn {{ {', '.join(exports)} }};"


def _resolve(path: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
