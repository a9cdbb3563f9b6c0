"""`palate playground`: one page on which a reader moves what a reward model is made of, and sees what follows.

    shapes    dimensions of published models, and the parameters that follow from them
    sample    made-up answers whose rewards a reader bends
    bundle    the page's JavaScript modules into one script
    page      the page: one file that loads nothing
    page/     its parts as plain files: templates, style, JavaScript, a tokenized example

What the page computes is computed in the reader's browser by small pure functions (`page/js/maths`), which the tests
hold to palate's own in a real browser.
"""
