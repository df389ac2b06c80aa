"""nginx, for files and ranges over HTTP and HTTPS; from Debian."""

import os
import subprocess

from tests.support.stores.file_server import FileServer
from tests.support.stores.server import Process, answers, free_ports, program

_SETTINGS = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000;
    root {folder}/data;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{secure} ssl;
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
    }}
}}
"""


class NginxServer(FileServer):
    """Files with etags and ranges; `secure_url` is the same by HTTPS, past the proxy."""

    name, bucket = "nginx", "data"

    def _start(self) -> tuple[Process, int]:
        nginx = program("nginx", remedy="apt-get install nginx-light")
        self._make_certificate()
        (self.folder / "data").mkdir()
        port, secure = free_ports(2)
        self.secure_url = f"https://127.0.0.1:{secure}"
        settings = _SETTINGS.format(folder=self.folder, port=port, secure=secure)
        (self.folder / "nginx.conf").write_text(settings)
        user = ["-g", "user root;"] if os.geteuid() == 0 else []
        command = [nginx, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), *user]
        process = Process(command, self.folder)
        process.wait_until(lambda: answers(f"http://127.0.0.1:{port}/", 403, 404))
        return process, port

    def environment_of(self, address: str) -> dict[str, str]:
        trusted = {"SSL_CERT_FILE": str(self.folder / "certificate.pem")}
        return super().environment_of(address) | trusted

    def _make_certificate(self) -> None:
        openssl = program("openssl", remedy="apt-get install openssl")
        command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        command += ["-keyout", "key.pem", "-out", "certificate.pem"]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
