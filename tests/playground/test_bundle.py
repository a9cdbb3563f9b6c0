"""Modules into one script: in the right order, and nothing that the bundle does not know."""

import pytest

from palate.playground.bundle import bundle

ONE = "export const one = 1;"


def test_what_is_imported_runs_first_and_once() -> None:
    modules = {
        "main.js": 'import { a } from "./parts/a.js";\nimport { one } from "./one.js";\na(one);',
        "parts/a.js": 'import { one } from "../one.js";\nexport function a(x) {\n  return x + one;\n}',
        "one.js": ONE,
    }
    script = bundle(modules, "main.js")
    places = [script.index(f'window.palate["{path}"] = (() =>') for path in ("one.js", "parts/a.js", "main.js")]
    assert places == sorted(places)
    assert script.count("const one = 1;") == 1
    assert 'const { one } = window.palate["one.js"];' in script
    assert "return { a };" in script
    assert script.startswith('"use strict";')


@pytest.mark.parametrize(
    ("modules", "fault"),
    [
        ({"m.js": 'import { a } from "./a.js";'}, "m.js imports a.js, which is not there"),
        ({}, "the page imports m.js"),
        ({"m.js": 'import { m } from "./a.js";', "a.js": 'import { m } from "./m.js";'}, "m.js -> a.js -> m.js"),
        ({"m.js": "", "lost.js": ONE}, "nothing imports lost.js"),
        ({"m.js": 'import a from "./a.js";', "a.js": ONE}, "form that the bundle does not know|nothing imports"),
        ({"m.js": 'import * as a from "https://example.com/a.js";'}, "form that the bundle does not know"),
        ({"m.js": "export default 1;"}, "form that the bundle does not know"),
        ({"m.js": "const a = 1;\nexport { a };"}, "form that the bundle does not know"),
        ({"m.js": "export let a = 1;"}, "form that the bundle does not know"),
    ],
)
def test_what_would_break_in_the_browser_is_refused(modules: dict[str, str], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        bundle(modules, "m.js")
