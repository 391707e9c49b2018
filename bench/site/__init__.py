"""A static site of many cards: a leaderboard, a page for each card, a page for each two cards, and the data.

    files = site.pages(paths, prices=prices)                 # an iterator of (relative path, bytes)
    folder.publish(Path("public"), files)                    # writes them; removes what an earlier site left there

Every page is made of the report's own sections (:mod:`bench.report`) and is complete by itself. All links are relative,
so that the site works from a folder, a sub-path of a server, or a fork's own GitHub Pages.
"""

from bench.site.folder import publish
from bench.site.pages import pages

__all__ = ["pages", "publish"]
