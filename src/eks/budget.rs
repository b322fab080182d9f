//! `PodDisruptionBudgets`, as far as they may never allow an eviction.

use std::collections::HashMap;

use serde::Deserialize;

use super::{api_server::ApiServer, pod::Pod};
use crate::{
    aws::{calls::Calls, operation::Operation},
    error::Error,
};

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Budget {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Debug, Deserialize)]
struct Metadata {
    name: String,
    namespace: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Spec {
    selector: Option<Selector>,
}

/// A label selector. All terms have to fit; without any, every pod does.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Selector {
    match_labels: HashMap<String, String>,
    match_expressions: Vec<Expression>,
}

#[derive(Clone, Debug, Deserialize)]
struct Expression {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    disruptions_allowed: i64,
    desired_healthy: i64,
    expected_pods: i64,
}

impl Budget {
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.metadata.namespace, self.metadata.name)
    }

    /// Whether it allows no eviction even while all its pods are healthy.
    pub(crate) fn never_allows(&self) -> bool {
        let Status { disruptions_allowed, desired_healthy, expected_pods } = self.status;
        disruptions_allowed <= 0 && expected_pods > 0 && desired_healthy >= expected_pods
    }

    /// Whether it covers a pod.
    pub(crate) fn covers(&self, pod: &Pod) -> bool {
        self.metadata.namespace == pod.metadata.namespace
            && self.spec.selector.as_ref().is_some_and(|selector| selector.fits(&pod.metadata.labels))
    }
}

impl Selector {
    fn fits(&self, labels: &HashMap<String, String>) -> bool {
        let fits = |term: &Expression| {
            let value = labels.get(&term.key);
            let is_one = value.is_some_and(|value| term.values.contains(value));
            match term.operator.as_str() {
                "In" => is_one,
                "NotIn" => !is_one,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        };
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(fits)
    }
}

impl ApiServer {
    /// Reads all budgets of the cluster.
    pub(crate) async fn budgets(&self, calls: &Calls) -> Result<Vec<Budget>, Error> {
        let path = "/apis/policy/v1/poddisruptionbudgets?limit=500";
        self.list(calls, Operation::ListPodDisruptionBudgets, path, Some).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn budget(selector: &Value, status: &Value) -> Budget {
        let budget = json!({
            "metadata": { "name": "b", "namespace": "n" }, "spec": { "selector": selector }, "status": status,
        });
        serde_json::from_value(budget).unwrap()
    }

    #[test]
    fn budget_that_wants_all_pods_never_allows_an_eviction() {
        for (allowed, desired, expected, never) in
            [(0, 3, 3, true), (0, 4, 3, true), (0, 2, 3, false), (1, 2, 3, false), (0, 0, 0, false)]
        {
            let status = json!({"disruptionsAllowed": allowed, "desiredHealthy": desired, "expectedPods": expected});
            assert_eq!(budget(&json!({}), &status).never_allows(), never, "{status}");
        }
    }

    #[test]
    fn selector_fits_by_all_of_its_terms() {
        let term = |operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": "app", "operator": operator, "values": values}]});
        let pod = |namespace: &str| -> Pod {
            let metadata =
                json!({"name": "p", "namespace": namespace, "uid": "u", "labels": {"app": "web", "tier": "1"}});
            serde_json::from_value(json!({"metadata": metadata})).unwrap()
        };
        for (selector, fits) in [
            (json!({}), true),
            (json!(null), false),
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "web", "tier": "2"}}), false),
            (term("In", &["api", "web"]), true),
            (term("In", &["api"]), false),
            (term("NotIn", &["api"]), true),
            (term("NotIn", &["web"]), false),
            (term("Exists", &[]), true),
            (term("DoesNotExist", &[]), false),
            (term("New", &[]), false),
        ] {
            assert_eq!(budget(&selector, &json!({})).covers(&pod("n")), fits, "{selector}");
            assert!(!budget(&selector, &json!({})).covers(&pod("other")));
        }
    }
}
