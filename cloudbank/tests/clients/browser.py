"""What a page does in a real browser: posts a form, and asks from another origin, which the browser asks about beforehand.

`PROGRAM` is Chromium. The page tells what it saw to the server that it is from.
"""

import http.server
import pathlib
import subprocess
import threading

from support import *

PAGE = """<!doctype html><meta charset="utf-8"><title>a page</title>
<form id="form" method="post" enctype="multipart/form-data" target="answer" action="%(url)s/%(bucket)s">%(fields)s
<input name="key" value="up/${filename}"><input name="Content-Type" value="image/png">
<input name="success_action_redirect" value="%(origin)s/posted"><input type="file" name="file" id="file"></form>
<iframe name="answer"></iframe>
<script>
const say = (name, what) => fetch("/said/" + name, {method: "POST", body: String(what)});
async function ask(name, target, options) {
  try {
    const answer = await fetch("%(url)s/%(bucket)s/" + target, options);
    await say(name, answer.status + " " + answer.headers.get("ETag") + " " + (await answer.text()).slice(0, 60));
  } catch (problem) { await say(name, "blocked"); }
}
async function all() {
  await ask("get", "public", {});
  await ask("put", %(put)s, {method: "PUT", body: "put by a page", headers: {"Content-Type": "text/plain", "x-amz-meta-colour": "green"}});
  await ask("delete", "public", {method: "DELETE"});
  await ask("other", "../%(bucket)s-2/public", {});
  const files = new DataTransfer();
  files.items.add(new File([new Uint8Array(300000).fill(7)], "a photo ä.png", {type: "image/png"}));
  document.getElementById("file").files = files.files;
  document.getElementById("form").submit();
}
all();
</script>
"""


class Site(http.server.BaseHTTPRequestHandler):
    said, page, over = {}, "", threading.Event()

    def do_GET(self):
        if self.path.startswith("/posted"):
            Site.said["posted"] = self.path
            Site.over.set()
        self.answer(Site.page.encode())

    def do_POST(self):
        Site.said[self.path.removeprefix("/said/")] = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.answer(b"")

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def case_a_page_posts_a_form_and_asks_from_another_origin():
    make_bucket(f"{BUCKET}-2")
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    origin = f"http://localhost:{site.server_address[1]}"
    rule = f"<AllowedOrigin>{origin}</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>"
    rule += "<AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>60</MaxAgeSeconds>"
    cors = f"<CORSConfiguration><CORSRule>{rule}</CORSRule></CORSConfiguration>".encode()
    md5 = base64.b64encode(hashlib.md5(cors).digest()).decode()
    assert ask("PUT", query={"cors": ""}, headers={"content-md5": md5}, body=cors).status == 200
    for bucket in [BUCKET, f"{BUCKET}-2"]:
        answer = ask("PUT", "public", headers={"x-amz-acl": "public-read"}, body=b"for everybody", bucket=bucket)
        assert answer.status == 200, answer.content
    fields = form_policy({"success_action_redirect": f"{origin}/posted", "Content-Type": "image/png"})
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{value}">'
        for name, value in fields.items()
        if name not in ("success_action_redirect", "Content-Type")
    )
    Site.page = PAGE % {"url": URL, "bucket": BUCKET, "origin": origin, "fields": hidden, "put": json.dumps(presigned("put by it"))}
    browser = subprocess.Popen(
        [
            PROGRAM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--no-proxy-server",
            f"--user-data-dir={pathlib.Path('profile').resolve()}", f"{origin}/",
        ],
        stdout=subprocess.DEVNULL,
        stderr=open("browser.log", "wb"),
        start_new_session=True,
    )
    try:
        wait_for(Site.over.is_set, browser)
    except AssertionError as problem:
        said = pathlib.Path("browser.log").read_text(errors="replace")[-2000:]
        raise AssertionError(f"{problem}; the page said {Site.said}; the browser said {said}") from problem
    finally:
        os.killpg(browser.pid, 9)
        browser.wait()
    said = Site.said
    assert said["get"].startswith('200 "') and said["get"].endswith("for everybody"), said
    assert said["put"].startswith('200 "'), said
    assert stored("put by it") == b"put by a page"
    assert ask("HEAD", "put by it").headers["x-amz-meta-colour"] == "green"
    # What no rule allows is not even sent, and what is of a bucket without rules is not shown.
    assert said["delete"] == "blocked" and said["other"] == "blocked", said
    assert stored("public") == b"for everybody"
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(said["posted"]).query)
    assert query["bucket"] == [BUCKET] and query["key"] == ["up/a photo ä.png"] and query["etag"], said
    assert stored("up/a photo ä.png") == bytes([7]) * 300_000
    assert ask("HEAD", "up/a photo ä.png").headers["Content-Type"] == "image/png"


def presigned(key):
    """The target, below the bucket, with which anybody may put a key for a minute."""
    moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{REGION}/s3/aws4_request"
    query = urllib.parse.urlencode(
        {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{ACCESS}/{scope}", "X-Amz-Date": moment,
            "X-Amz-Expires": "60", "X-Amz-SignedHeaders": "host;x-amz-meta-colour",
        },
        quote_via=urllib.parse.quote,
        safe="~",
    )
    key = urllib.parse.quote(key, safe="~")
    lines = f"host:{HOST}\nx-amz-meta-colour:green\n"
    request = "\n".join(["PUT", f"/{BUCKET}/{key}", query, lines, "host;x-amz-meta-colour", "UNSIGNED-PAYLOAD"])
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(request.encode()).hexdigest()])
    return f"{key}?{query}&X-Amz-Signature={hmac.new(signing_key(scope), text.encode(), 'sha256').hexdigest()}"


if __name__ == "__main__":
    main(globals())
