//! Requests to the API server, by path and method.

use std::collections::BTreeMap;

use hyper::Method;
use hyper::http::request::Parts;
use serde_json::{Map, Value, json};

/// A request, as the API server understands it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// The name in the call log; empty where the path is none of the API's.
    pub(super) api: &'static str,
    /// The verb of RBAC.
    pub(super) verb: &'static str,
    /// The resource of RBAC, with its subresource.
    pub(super) resource: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) content_type: String,
    /// `Null` where there is none.
    pub(super) body: Value,
    /// Whether the body is not JSON.
    pub(super) is_malformed: bool,
}

/// API, verb and resource.
type Call = (&'static str, &'static str, &'static str);

impl Request {
    pub(super) fn parse(parts: &Parts, body: &[u8]) -> Self {
        let path: Vec<String> = parts.uri.path().split('/').skip(1).map(decoded).collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let ((api, verb, resource), namespace, name) = route(&parts.method, &path);
        let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let content_type = parts.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (body, is_malformed) = match serde_json::from_slice(body) {
            Ok(value) => (value, false),
            Err(_) => (Value::Null, !body.is_empty()),
        };
        Self {
            api,
            verb,
            resource,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            query,
            content_type: content_type.split(';').next().unwrap_or_default().trim().to_owned(),
            body,
            is_malformed,
        }
    }

    /// The key of the pod that it is about.
    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    pub(super) fn param(&self, key: &str) -> &str {
        self.query.get(key).map_or("", String::as_str)
    }

    /// Its parameters for the call log.
    pub(super) fn params(&self, cluster: &str) -> Value {
        let mut params = Map::from_iter([("cluster".to_owned(), cluster.into())]);
        for (key, value) in [("namespace", &self.namespace), ("name", &self.name)] {
            if !value.is_empty() {
                params.insert(key.to_owned(), value.as_str().into());
            }
        }
        if !self.query.is_empty() {
            params.insert("query".to_owned(), json!(self.query));
        }
        if !self.body.is_null() {
            params.insert("body".to_owned(), self.body.clone());
        }
        Value::Object(params)
    }
}

fn route<'a>(method: &Method, path: &[&'a str]) -> (Call, &'a str, &'a str) {
    let none = ("", "", "");
    match (method.as_str(), path) {
        ("GET", ["version"]) => (("GetVersion", "", ""), "", ""),
        ("GET", ["api", "v1", "nodes"]) => (("ListNodes", "list", "nodes"), "", ""),
        ("GET", ["api", "v1", "nodes", name]) => (("GetNode", "get", "nodes"), "", name),
        ("PATCH", ["api", "v1", "nodes", name]) => (("PatchNode", "patch", "nodes"), "", name),
        ("GET", ["apis", "policy", "v1", "poddisruptionbudgets"]) => {
            (("ListPodDisruptionBudgets", "list", "poddisruptionbudgets"), "", "")
        }
        ("GET", ["api", "v1", "pods"]) => (("ListPods", "list", "pods"), "", ""),
        (method, ["api", "v1", "namespaces", namespace, "pods", rest @ ..]) => match (method, rest) {
            ("GET", []) => (("ListPods", "list", "pods"), namespace, ""),
            ("GET", [name]) => (("GetPod", "get", "pods"), namespace, name),
            ("DELETE", [name]) => (("DeletePod", "delete", "pods"), namespace, name),
            ("POST", [name, "eviction"]) => (("EvictPod", "create", "pods/eviction"), namespace, name),
            _ => (none, "", ""),
        },
        _ => (none, "", ""),
    }
}

fn decoded(segment: &str) -> String {
    // A plus sign stands for itself in a path.
    let pair = format!("={}", segment.replace('+', "%2B"));
    form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}
