"""Looks at the status page of a gateway in trouble: the badge and REASON are seen without scrolling.

Environment: STATUS_URL; REASON, the words to be found; INCIDENT, for the names of the screenshots in the folder SCREENSHOTS. Exits 1
with what is wrong.
"""

import os
import sys

from playwright.sync_api import sync_playwright

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 800}

with sync_playwright() as playwright:
    # The tests may run as root, where Chromium's sandbox does not work.
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    for name, viewport in [("desk", DESK), ("phone", PHONE)]:
        for scheme in ("light", "dark"):
            page = browser.new_context(viewport=viewport, color_scheme=scheme).new_page()
            page.goto(os.environ["STATUS_URL"])
            page.wait_for_selector("#reasons:not([hidden])")
            reason = page.locator("#reasons li", has_text=os.environ["REASON"]).first
            box = reason.bounding_box(timeout=5000)
            if box["y"] + box["height"] > viewport["height"]:
                sys.exit(f"WRONG: on a {name} one has to scroll to the reason")
            badge = page.locator("#state")
            if badge.inner_text() not in ("Degraded", "Not ready") or "good" in badge.get_attribute("class"):
                sys.exit(f"WRONG: the badge says {badge.inner_text()}")
            page.screenshot(path=f"{os.environ['SCREENSHOTS']}/{os.environ['INCIDENT']}-{name}-{scheme}.png", full_page=True)
            page.context.close()
    browser.close()
