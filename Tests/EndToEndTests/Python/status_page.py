"""Looks at the status page in a real Chromium: as it is on a desk, in the dark, and on a phone.

Environment: STATUS_URL; MESSAGE_URL and API_KEY for sending a message; SCREENSHOTS, a folder. Prints what it found; exits 1 with
what is wrong.
"""

import json
import os
import socket
import sys
import time
import urllib.request

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

STATUS_URL, SCREENSHOTS = os.environ["STATUS_URL"], os.environ["SCREENSHOTS"]
VIEWS = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 375, "height": 800}, "color_scheme": "light", "device_scale_factor": 2,
              "is_mobile": True, "has_touch": True},
}


def check(is_so, what):
    if not is_so:
        print("WRONG:", what)
        sys.exit(1)


def send():
    request = urllib.request.Request(
        os.environ["MESSAGE_URL"], b'{"data":{}}', {"Authorization": "Bearer " + os.environ["API_KEY"],
                                                    "Gateway-Region": "EU", "Content-Type": "application/json"})
    check(urllib.request.urlopen(request).status == 202, "the message was not accepted")


def figure(page, name):
    return page.locator("#figures div", has_text=name).locator("dd").inner_text()


def read_plots(page):
    """Values at another time, by keyboard and by pointer; axes with numbers, units and times."""
    check(page.locator("#outcomes-ticks li").last.inner_text() == "0/s", "the axis of outcomes does not begin with 0/s")
    check(page.locator("#latency-ticks li").first.inner_text().endswith("s"), "the axis of times has no unit")
    check(page.locator("#rate-times span").count() == 3, "the axis has no times")
    check("failed here, 5xx" in page.locator("#outcomes-values").inner_text(), "what the gateway fails is not plotted")

    def when():
        return page.locator("#outcomes-values span").last.inner_text()

    page.wait_for_function("() => document.querySelector('#rate path').getAttribute('d').split('L').length > 2")
    page.locator("#outcomes").focus()
    latest = when()
    page.keyboard.press("ArrowLeft")
    before = when()
    check(before.startswith("at ") and before != latest, f"the arrow keys change nothing: {before}")
    check(page.locator("#latency path.cursor").count() == 1, "the other plots do not follow")
    page.keyboard.press("Escape")
    check(page.locator("path.cursor").count() == 0, "Escape does not go back to now")
    page.locator("#rate").hover(position={"x": 5, "y": 20})
    check(page.locator("path.cursor").count() == 3, "pointing shows no values")
    page.mouse.move(0, 0)
    page.locator("#outcomes").blur()


def look(browser, name, options):
    context = browser.new_context(**options)
    page = context.new_page()
    complaints, asked = [], []
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append("failed: " + request.url))
    page.on("request", lambda request: asked.append(request.url))
    answer = page.goto(STATUS_URL)
    policy = answer.headers["content-security-policy"]
    check("default-src 'none'" in policy and "unsafe" not in policy, "the policy is " + policy)
    page.wait_for_selector("#state.good")
    check(page.locator("#state").inner_text() == "Ready", "it does not say that the gateway is ready")

    before = int(figure(page, "Accepted by Amazon"))
    send()
    sent = time.monotonic()
    page.wait_for_function(
        "n => [...document.querySelectorAll('#figures div')].some(d => d.innerText.startsWith('Accepted by Amazon') "
        "&& parseInt(d.querySelector('dd').innerText) > n)", arg=before, timeout=2000, polling=20)
    print(f"{name}: a message was shown after {time.monotonic() - sent:.2f} s")
    page.wait_for_function("() => document.querySelectorAll('#rate path[d]:not([d=\"\"])').length == 3")
    moved = page.locator("#rate path").nth(1).get_attribute("d")
    page.wait_for_function("old => document.querySelectorAll('#rate path')[1].getAttribute('d') != old", arg=moved)

    for text in ["NA", "EU", "FE", "closed", "of 512", "weather", "valid", "In this process’s memory", "upstream-connection-refused",
                 "skillgate; error=connection_refused"]:
        check(text in page.locator("main").inner_text(), f"`{text}` is not there")
    check(socket.gethostname() in page.locator("#about").inner_text(), "it does not say on which machine it is")
    for text in ["[native code]", "[object", "undefined", "NaN", "null"]:
        check(text not in page.locator("body").inner_text(), f"`{text}` is there")
    width = page.evaluate("document.documentElement.scrollWidth")
    check(width <= options["viewport"]["width"], f"it is {width} pixels wide")
    results = Axe().run(page)
    check(results.violations_count == 0, results.generate_report())
    page.screenshot(path=f"{SCREENSHOTS}/status-{name}.png", full_page=True)

    page.keyboard.press("Tab")
    check(page.evaluate("document.activeElement.className") == "skip", "the first stop of the keyboard is not the skip link")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    check(page.locator("#pause").get_attribute("aria-pressed") == "true", "Enter does not pause")
    paused = page.locator("#about").inner_text()
    page.wait_for_timeout(1500)
    check(page.locator("#about").inner_text() == paused, "it goes on while it is paused")
    page.keyboard.press("Enter")
    page.wait_for_function("old => document.getElementById('about').innerText != old", arg=paused)

    read_plots(page)

    check(not complaints, "the browser complains: " + json.dumps(complaints))
    strangers = [url for url in asked if not url.startswith(STATUS_URL) and not url.startswith("data:")]
    check(not strangers, "it asked others: " + json.dumps(strangers))

    context.set_offline(True)
    page.wait_for_selector("#trouble:not([hidden])")
    check("has not responded since" in page.locator("#trouble").inner_text(), "it does not say that its figures are old")
    context.set_offline(False)
    page.wait_for_selector("#trouble", state="hidden")
    context.close()


with sync_playwright() as playwright:
    # The tests may run as root, where Chromium's sandbox does not work.
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    for name, options in VIEWS.items():
        look(browser, name, options)
    browser.close()
print("all is well")
