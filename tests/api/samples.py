"""Runs the reference page's code samples as a reader would paste them: with a client's values, and a token in the environment.

The Rust ones are built in the crate that tests/api/clients.py generates, which has their dependencies."""

import html
import os
import re
import subprocess
import sys

import clients
import server

RUST = clients.TARGET / "rust" / "examples" / "sample.rs"
COMMANDS = {
    "curl": ["bash"],
    "Python": [sys.executable, "-"],
    "JavaScript": ["node", "--input-type=module", "-"],
    "Rust": [*clients.RUN_EXAMPLE, RUST.stem],
}


def samples(operation):
    """Each example's samples, by language."""
    page = server.session.get(f"{server.ORIGIN}/docs").text
    _, section = page.split(f"<section class=operation id={operation}>")
    card = section[: section.index("</section>")].split('<div class="card code">')[1].split("</div>")[0]
    languages = re.findall(r">([^<>]+)</label>", card)
    texts = [html.unescape(text) for text in re.findall(r"<pre>(.*?)</pre>", card, re.DOTALL)]
    return [dict(zip(languages, texts[at:])) for at in range(0, len(texts), len(languages))]


def run(language, sample, values, **tokens):
    for example, value in values.items():
        assert example in sample, f"{language}: no {example} in {sample}"
        sample = sample.replace(example, value)
    if language == "Rust":
        RUST.parent.mkdir(exist_ok=True)
        RUST.write_text(sample)
    made = subprocess.run(COMMANDS[language], input=sample, capture_output=True, text=True, env=os.environ | tokens)
    assert made.returncode == 0, f"{language}: {made.stderr}\n{sample}"
    return made.stdout


def main():
    client = server.CLIENTS["valid"]
    by_secret, *_, rotation = samples("issueLongTermToken")
    exchange, *_ = samples("issueShortTermToken")
    (revocation,) = samples("revokeToken")
    for language in COMMANDS:
        client_id = {"c2m_abc123": client["client_id"]}
        secret = {"aecs_supersecret123": client["client_secret"]}
        assert "tok_lt_" in run(language, by_secret[language], client_id | secret)

        long = server.issued(server.long())["access_token"]
        assert "tok_st_" in run(language, exchange[language], {}, LONG_TOKEN=long)

        short = server.issued(server.short(long))
        assert "tok_lt_" in run(language, rotation[language], client_id, SHORT_TOKEN=short["access_token"])

        token_id = {"tok_st_AGsFQchYVV3lEMGhD15AYrwGq4E_jS7BRww6K9a1xjpR": short["token_id"]}
        assert "204" in run(language, revocation[language], token_id, SHORT_TOKEN=short["access_token"])
    print(f"The samples of the token operations work in {', '.join(COMMANDS)}")
