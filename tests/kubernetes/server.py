"""A real kube-apiserver with etcd, for the time of a block, and a client for it."""

import json
import ssl
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from local import free_port, listens, running, until

GROUP = "spot-interruption-handler"
ADMIN = "admin-token"
# A user of the function's group, for requests that the function does not make by itself.
MEMBER = "member-token"


@dataclass
class Answer:
    status: int
    headers: dict
    body: object


@dataclass
class Client:
    """Sends requests with a token. A status of 400 or more is an answer like any other."""

    url: str
    ca: str
    token: str
    tls: ssl.SSLContext = field(init=False)

    def __post_init__(self):
        self.tls = ssl.create_default_context(cadata=self.ca)

    def send(self, method, path, body=None, kind="application/json"):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, context=self.tls, timeout=30) as answer:
                return Answer(answer.status, dict(answer.headers), parsed(answer.read()))
        except urllib.error.HTTPError as error:
            return Answer(error.code, dict(error.headers), parsed(error.read()))

    def get(self, path):
        return self.done("GET", path)

    def create(self, path, body):
        return self.done("POST", path, body)

    def merge(self, path, body):
        return self.done("PATCH", path, body, "application/merge-patch+json")

    def done(self, *request):
        """The body of an answer that has to be a success."""
        answer = self.send(*request)
        if answer.status >= 300:
            raise RuntimeError(f"{request[0]} {request[1]}: {answer.status} {answer.body}")
        return answer.body


def parsed(body):
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


@contextmanager
def kubernetes(folder, binaries, reviewer):
    """Yields the administrator's client and the file with the audit log.

    `reviewer` is the address of a server that answers TokenReview. Members of the function's group are audited.
    """
    certificates(folder)
    (folder / "tokens.csv").write_text(f'{ADMIN},admin,1,"system:masters"\n{MEMBER},member,2,"{GROUP}"\n')
    write(folder / "webhook.json", webhook(reviewer))
    write(folder / "audit.json", AUDIT)
    store, peer, port = free_port(), free_port(), free_port()
    etcd = [
        binaries / "etcd",
        f"--data-dir={folder / 'etcd'}",
        "--unsafe-no-fsync",
        f"--listen-client-urls=http://127.0.0.1:{store}",
        f"--advertise-client-urls=http://127.0.0.1:{store}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
    ]
    server = [
        binaries / "kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{store}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        "--service-cluster-ip-range=10.0.0.0/24",
        f"--tls-cert-file={folder / 'server.crt'}",
        f"--tls-private-key-file={folder / 'server.key'}",
        "--authorization-mode=RBAC",
        # No controller creates the service accounts that pods would get.
        "--disable-admission-plugins=ServiceAccount",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'server.key'}",
        f"--service-account-signing-key-file={folder / 'server.key'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        f"--authentication-token-webhook-config-file={folder / 'webhook.json'}",
        "--authentication-token-webhook-version=v1",
        "--authentication-token-webhook-cache-ttl=0s",
        f"--audit-policy-file={folder / 'audit.json'}",
        f"--audit-log-path={folder / 'audit.log'}",
    ]
    with running(etcd, folder / "etcd.log") as storage:
        until("etcd", storage, lambda: listens(store))
        with running(server, folder / "kube-apiserver.log") as process:
            client = Client(f"https://127.0.0.1:{port}", (folder / "ca.crt").read_text(), ADMIN)
            until("kube-apiserver", process, lambda: listens(port) and client.send("GET", "/readyz").status == 200)
            yield client, folder / "audit.log"


AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "RequestResponse", "userGroups": [GROUP]}, {"level": "None"}],
}


def webhook(address):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "reviewer", "cluster": {"server": f"http://{address}/review"}}],
        "users": [{"name": "server"}],
        "contexts": [{"name": "webhook", "context": {"cluster": "reviewer", "user": "server"}}],
        "current-context": "webhook",
    }


def write(path, value):
    path.write_text(json.dumps(value))


def certificates(folder):
    """Writes `ca.crt`, and `server.crt` with `server.key` for 127.0.0.1, valid for a day."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    ca = (
        certificate("a CA of its own", ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage("key_cert_sign"), critical=True)
        .add_extension(issuer, critical=False)
    )
    server = (
        certificate("kube-apiserver", key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False)
    )
    pem = serialization.Encoding.PEM
    for name, unsigned in ("ca", ca), ("server", server):
        (folder / f"{name}.crt").write_bytes(unsigned.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    # Kubernetes reads the public key of a service-account issuer from no other format of EC keys.
    sec1 = serialization.PrivateFormat.TraditionalOpenSSL
    (folder / "server.key").write_bytes(key.private_bytes(pem, sec1, serialization.NoEncryption()))


def certificate(subject, key):
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(common_name(subject))
        .issuer_name(common_name("a CA of its own"))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )


def common_name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def usage(allowed):
    usages = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign "
        "encipher_only decipher_only"
    )
    return x509.KeyUsage(**{usage: usage == allowed for usage in usages.split()})
