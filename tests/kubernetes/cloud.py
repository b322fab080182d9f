"""Stands in for what the function and the API server need of AWS: EC2, EKS, ECS and STS, and the check of tokens."""

import base64
import hashlib
import hmac
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit
from xml.sax.saxutils import escape

from function import served
from local import ACCOUNT, REGION, environment
from server import GROUP

CLUSTER = "shop"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/spot-interruption-handler"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/spot-interruption-handler/function"
# The access key whose role has no access entry.
UNKNOWN = "AKIAUNKNOWN"


@dataclass
class Cloud:
    """`names` has the private DNS name of each instance. Endpoint and CA are known once the API server runs."""

    names: dict = field(default_factory=dict)
    endpoint: str = ""
    ca: str = ""
    refused: list = field(default_factory=list)
    calls: list = field(default_factory=list)


@contextmanager
def serve(cloud):
    """Yields the address of a server that answers for AWS, and for the API server's webhook at `/review`."""

    class Api(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            path = urlsplit(self.path).path
            cloud.calls.append(f"GET {path}")
            if path == f"/clusters/{CLUSTER}":
                self.answer(200, {"cluster": cluster(cloud)})
            else:
                self.answer(404, {"message": f"No cluster found for {path}."}, "ResourceNotFoundException")

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if self.path.startswith("/review"):
                self.answer(200, review(cloud, json.loads(body)))
                return
            if target := self.headers["X-Amz-Target"]:
                cloud.calls.append(target.split(".")[-1])
                # Of ECS, only the look for clusters is expected.
                known = target.endswith(".ListClusters")
                self.answer(*((200, {"clusterArns": []}) if known else (400, {"__type": "UnsupportedOperation"})))
                return
            form = parse_qs(body)
            cloud.calls.append(form["Action"][0])
            answers = {"DescribeInstances": instances, "GetCallerIdentity": identity}
            self.answer(200, answers[form["Action"][0]](cloud, form))

        def answer(self, status, body, error=None):
            text = body if isinstance(body, str) else json.dumps(body)
            self.send_response(status)
            self.send_header("Content-Type", "text/xml" if isinstance(body, str) else "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            if error:
                self.send_header("X-Amzn-ErrorType", error)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    with served(Api) as address:
        yield address


def cluster(cloud):
    return {
        "name": CLUSTER,
        "arn": f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{CLUSTER}",
        "status": "ACTIVE",
        "version": "1.34",
        "endpoint": cloud.endpoint,
        "certificateAuthority": {"data": base64.b64encode(cloud.ca.encode()).decode()},
        "accessConfig": {"authenticationMode": "API"},
        "resourcesVpcConfig": {
            "endpointPublicAccess": True,
            "endpointPrivateAccess": False,
            "publicAccessCidrs": ["0.0.0.0/0"],
        },
    }


def instances(cloud, form):
    asked = [value for name, [value] in form.items() if name.startswith(("Filter.1.Value.", "InstanceId."))]
    described = "".join(instance(id, cloud.names[id]) for id in asked if id in cloud.names)
    return (
        '<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId>'
        f"<reservationSet>{described}</reservationSet></DescribeInstancesResponse>"
    )


def instance(id, name):
    return (
        f"<item><reservationId>r-{id[2:]}</reservationId><ownerId>{ACCOUNT}</ownerId><instancesSet><item>"
        f"<instanceId>{id}</instanceId><instanceState><code>16</code><name>running</name></instanceState>"
        f"<privateDnsName>{escape(name)}</privateDnsName><instanceType>m5.large</instanceType>"
        f"<placement><availabilityZone>{REGION}a</availabilityZone></placement>"
        "<instanceLifecycle>spot</instanceLifecycle><tagSet>"
        f"<item><key>aws:eks:cluster-name</key><value>{CLUSTER}</value></item>"
        f"<item><key>kubernetes.io/cluster/{CLUSTER}</key><value>owned</value></item>"
        "</tagSet></item></instancesSet></item>"
    )


def identity(*_):
    return (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        f"<Arn>{SESSION}</Arn><UserId>AROAEXAMPLE:function</UserId><Account>{ACCOUNT}</Account>"
        "</GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>"
        "</GetCallerIdentityResponse>"
    )


def review(cloud, question):
    """Answers a TokenReview. What is wrong with a refused token is kept in `cloud.refused`."""
    wrong = fault(question["spec"]["token"])
    cloud.refused += [wrong] if wrong else []
    user = {"username": ROLE, "uid": f"aws-iam-authenticator:{ACCOUNT}:AROAEXAMPLE", "groups": [GROUP]}
    status = {"authenticated": False, "error": wrong} if wrong else {"authenticated": True, "user": user}
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}


def fault(token):
    """What is wrong with a bearer token, or `None`."""
    version, _, encoded = token.partition(".")
    if version != "k8s-aws-v1" or "=" in encoded or len(token) > 4096:
        return "not a token"
    try:
        url = urlsplit(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode())
    except ValueError:
        return "not base64url"
    query = parse_qsl(url.query, keep_blank_values=True)
    found = {name.lower(): value for name, value in query}
    key, _, scope = found.get("x-amz-credential", "").partition("/")
    date, expires = found.get("x-amz-date", ""), found.get("x-amz-expires", "0")
    session = {"x-amz-security-token"} & set(found)
    checks = {
        "scheme": ("https", url.scheme),
        "host": (f"sts.{REGION}.amazonaws.com", url.netloc),
        "path": ("/", url.path),
        "parameters": (sorted(PARAMETERS | session), sorted(name.lower() for name, _ in query)),
        "action": ("GetCallerIdentity", found.get("action")),
        "signed headers": ("host;x-k8s-aws-id", found.get("x-amz-signedheaders")),
        "scope": (f"{date[:8]}/{REGION}/sts/aws4_request", scope),
        "expires": (True, expires.isdigit() and int(expires) <= 900),
        "signature": (signature(url.netloc, query, date, scope), found.get("x-amz-signature")),
        "access entry": (True, key != UNKNOWN),
    }
    return ", ".join(f"{what}: {had}" for what, (wanted, had) in checks.items() if wanted != had) or None


PARAMETERS = {"action", "version", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires"} | {
    "x-amz-signature",
    "x-amz-signedheaders",
}


def signature(host, query, date, scope):
    """Signature Version 4 of the request that the API server makes: only its header names the cluster."""
    pairs = sorted((quote(name, ""), quote(value, "")) for name, value in query if name.lower() != "x-amz-signature")
    parameters = "&".join(f"{name}={value}" for name, value in pairs)
    headers = f"host:{host}\nx-k8s-aws-id:{CLUSTER}\n\nhost;x-k8s-aws-id"
    canonical = f"GET\n/\n{parameters}\n{headers}\n{hashlib.sha256(b'').hexdigest()}"
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    secret = b"AWS4" + environment("")["AWS_SECRET_ACCESS_KEY"].encode()
    for part in [*scope.split("/"), text]:
        secret = hmac.digest(secret, part.encode(), "sha256")
    return secret.hex()
