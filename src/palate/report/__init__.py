"""Reports: what checks found, as JSON, as one page that works offline, and as Markdown.

findings, plots     the nouns that checks return
document            the report made of them, and its JSON
markdown, render    the summary and the page; the page's templates, style and script are in `page/`
svg                 plots as drawings and as tables, by `svg_bars`, `svg_points` and `svg_parts`
measures, numbers, scales, excerpts
how bad a finding is, numbers for people, axes, long texts
"""
