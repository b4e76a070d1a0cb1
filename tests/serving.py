"""A file on a local server that goes on after a byte, and can break off."""

import contextlib
import http.server
import threading

import pytest


class Served:
    """content: what is at `url`. breaks: bytes after which the next connections break off, one each. asked: ranges."""

    def __init__(self, content: bytes):
        self.content, self.etag, self.breaks, self.asked, self.url = content, '"first"', [], [], ""


def handler(served: Served):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers.get("Range")
            served.asked.append(wanted)
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
            if self.headers.get("If-Range") != served.etag:
                start = 0
            if start >= len(served.content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(served.content) - 1}/{len(served.content)}")
            self.send_header("Content-Length", str(len(served.content) - start))
            if served.etag:
                self.send_header("ETag", served.etag)
            self.end_headers()
            end = start + served.breaks.pop(0) if served.breaks else None
            self.wfile.write(served.content[start:end])

        def log_message(self, *_):
            pass

    return Handler


@contextlib.contextmanager
def serve(content: bytes, file: str):
    served = Served(content)
    with pytest.MonkeyPatch.context() as patch, http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(served)) as s:
        patch.setenv("no_proxy", "127.0.0.1")
        thread = threading.Thread(target=s.serve_forever)
        thread.start()
        served.url = f"http://127.0.0.1:{s.server_port}/{file}"
        try:
            yield served
        finally:
            s.shutdown()
            thread.join()
