"""The page of `postroom template preview`: one HTML document with its style and script.

Everything that comes from templates is put in as text, never as HTML; mail itself stands in frames.
"""

import json
from collections.abc import Sequence

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Templates</title>
<style nonce="NONCE">
body { margin: 0; display: grid; grid-template-columns: 260px 1fr; min-height: 100vh; font: 15px/1.5 sans-serif; color: #1b1f24; background: #e4e8ec; }
nav { background: #fff; padding: 16px; overflow-y: auto; max-height: 100vh; box-sizing: border-box; position: sticky; top: 0; }
nav h2 { font-size: 15px; margin: 16px 0 4px; }
nav button { font: inherit; border: 0; background: none; padding: 2px 6px; cursor: pointer; color: #0b4a9e; border-radius: 4px; }
nav button[aria-current] { background: #0b4a9e; color: #fff; }
main { padding: 16px; min-width: 0; }
h1 { font-size: 18px; margin: 0 0 12px; }
pre { background: #fff; padding: 12px; overflow: auto; max-height: 600px; white-space: pre-wrap; }
#problems { background: #fdecea; border-left: 4px solid #b42318; }
#problems:empty { display: none; }
.frames { display: flex; flex-wrap: wrap; gap: 16px; align-items: flex-start; }
figure { margin: 0; } figcaption { font-size: 13px; }
iframe { border: 1px solid #b3bcc6; height: 760px; background: #fff; }
.desktop { width: 640px; } .phone { width: 320px; }
</style>
</head>
<body>
<nav aria-label="Templates"></nav>
<main>
<pre id="problems" role="alert"></pre>
<h1 id="subject"></h1>
<p id="test" hidden><label>Test mail to <select id="to"></select></label> <button id="send">Send</button> <span id="sent" role="status"></span></p>
<div class="frames">
<figure><figcaption>Desktop, light</figcaption><iframe class="desktop" data-mode="light" sandbox title="Desktop, light"></iframe></figure>
<figure><figcaption>Desktop, dark</figcaption><iframe class="desktop" data-mode="dark" sandbox title="Desktop, dark"></iframe></figure>
<figure><figcaption>Telephone, light</figcaption><iframe class="phone" data-mode="light" sandbox title="Telephone, light"></iframe></figure>
<figure><figcaption>Telephone, dark</figcaption><iframe class="phone" data-mode="dark" sandbox title="Telephone, dark"></iframe></figure>
</div>
<h2>Text</h2><pre id="text"></pre>
<h2>Source</h2><pre id="source"></pre>
</main>
<script nonce="NONCE">
"use strict";
const sendTo = SEND_TO;
const $ = id => document.getElementById(id);
const chosen = {template: "", locale: "", sample: ""};
async function asked(path) { const answer = await fetch(path); if (!answer.ok) throw new Error(await answer.text()); return answer.json(); }
async function show() {
  const query = new URLSearchParams(chosen);
  try {
    const mail = await asked("/mail?" + query);
    $("subject").textContent = mail.subject; $("text").textContent = mail.text; $("source").textContent = mail.source;
  } catch (error) { $("subject").textContent = error.message; }
  for (const frame of document.querySelectorAll("iframe")) {
    query.set("mode", frame.dataset.mode); frame.src = "/html?" + query;
  }
  for (const button of document.querySelectorAll("nav button")) {
    button.toggleAttribute("aria-current", button.dataset.key === JSON.stringify(Object.values(chosen)));
  }
}
function button(label, choice) {
  const made = document.createElement("button");
  made.textContent = label; made.dataset.key = JSON.stringify(Object.values(choice));
  made.onclick = () => { Object.assign(chosen, choice); show(); };
  return made;
}
async function list() {
  const known = await asked("/templates");
  $("problems").textContent = known.problems;
  const nav = document.querySelector("nav");
  nav.replaceChildren();
  for (const template of known.templates) {
    const title = document.createElement("h2"); title.textContent = template.name; nav.append(title);
    for (const locale of template.locales) {
      const line = document.createElement("div"); line.append(locale + " ");
      for (const sample of template.samples) {
        const choice = {template: template.name, locale, sample};
        if (!chosen.template) Object.assign(chosen, choice);
        line.append(button(sample, choice));
      }
      nav.append(line);
    }
  }
  await show();
  return known.generation;
}
async function follow() {
  let generation = await list();
  for (;;) {
    try {
      const now = await asked("/changes?after=" + generation);
      if (now.generation !== generation) generation = await list();
    } catch { await new Promise(done => setTimeout(done, 1000)); }
  }
}
for (const address of sendTo) { const option = document.createElement("option"); option.textContent = address; $("to").append(option); }
$("test").hidden = sendTo.length === 0;
$("send").onclick = async () => {
  $("sent").textContent = "sending";
  const answer = await fetch("/send", {method: "POST", body: JSON.stringify({...chosen, to: $("to").value})});
  const said = await answer.json().catch(() => ({}));
  $("sent").textContent = answer.ok ? "accepted " + said.answer.id : "refused: " + JSON.stringify(said.answer ?? answer.status);
};
follow();
</script>
</body>
</html>
"""  # noqa: E501 - a page, not code


def page(nonce: str, send_to: Sequence[str]) -> str:
    """The document; `send_to` are the addresses offered for test mail."""
    # "<" cannot end the script early: an address holds none, and if one did, it is escaped.
    return _PAGE.replace("NONCE", nonce).replace("SEND_TO", json.dumps(list(send_to)).replace("<", "\\u003c"))
