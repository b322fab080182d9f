//! Evictions: `POST …/pods/NAME/eviction`, as the API server of 1.30 and later answers them.

use std::time::Duration;

use serde_json::{Value, json};

use super::answer::{Answer, details};
use super::pods::{Options, find};
use super::request::Request;
use super::world::{Budgets, PlacedPod, StopRequest, Verdict};
use super::{Context, is_dry_run};

/// How long the API server retries what conflicts: 20 times half a second.
const RETRIES: Duration = Duration::from_secs(10);

const VIOLATES: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

pub(super) fn evict(context: &mut Context<'_>, request: &Request) -> Result<Answer, Answer> {
    let warnings = check_body(request)?;
    let mut answer = evicted(context, request).unwrap_or_else(|failed| failed);
    answer.headers.extend(warnings);
    Ok(answer)
}

fn evicted(context: &mut Context<'_>, request: &Request) -> Result<Answer, Answer> {
    let options = Options::read(&request.body["deleteOptions"])?;
    let is_dry_run = is_dry_run(request, &request.body["deleteOptions"]["dryRun"])?;
    if context.terminating.contains(&request.namespace) {
        return Err(terminating(&request.namespace, &request.name));
    }
    let index = find(context, request)?;
    let pod = context.world.at(index).clone();
    if ignores_budgets(&pod) {
        // A conflict is retried until it is given up, unless the caller wants one version only.
        let retries = if options.resource_version.is_none() { RETRIES } else { Duration::ZERO };
        check(&options, &pod).map_err(|conflict| conflict.takes(retries))?;
    } else {
        within_budget(context, &pod, is_dry_run)?;
        check(&options, &pod)?;
    }
    if !is_dry_run {
        context.world.delete(index, StopRequest::Evicted, options.grace_s, context.now, context.history);
    }
    Ok(Answer::created())
}

/// Refuses a pod that is not the one that is meant, in the words of the eviction API.
fn check(options: &Options, pod: &PlacedPod) -> Result<(), Answer> {
    let failed = |what: &str, asked: &str, found: &str, how: &str| {
        let message = format!(
            "the {what} in the precondition ({asked}) does not match the {what} in record ({found}). The object might \
             have been {how}"
        );
        Err(Answer::conflict("Pod", &pod.pod.name, &message))
    };
    let version = pod.version.to_string();
    match (&options.uid, &options.resource_version) {
        (Some(uid), _) if *uid != pod.pod.uid => failed("UID", uid, &pod.pod.uid, "deleted and then recreated"),
        (_, Some(asked)) if *asked != version => failed("ResourceVersion", asked, &version, "modified"),
        _ => Ok(()),
    }
}

fn ignores_budgets(pod: &PlacedPod) -> bool {
    matches!(pod.pod.phase.as_str(), "Pending" | "Succeeded" | "Failed") || pod.deletion.is_some()
}

fn within_budget(context: &mut Context<'_>, pod: &PlacedPod, is_dry_run: bool) -> Result<(), Answer> {
    let budget = match context.world.budgets_of(pod) {
        Budgets::None => return Ok(()),
        Budgets::One(budget) => budget,
        Budgets::Many => {
            let message =
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Err(Answer::failed_with_201(message));
        }
    };
    let verdict = context.world.disrupt(budget, pod, is_dry_run, context.now);
    let (cause, retry_after_s) = match verdict {
        Verdict::Allowed | Verdict::NotCounted => return Ok(()),
        Verdict::Conflicting(name) => {
            let message = format!("Timeout: couldn't update PodDisruptionBudget \"{name}\" due to conflicts");
            let failed = Answer::failure(504, "Timeout", message, json!({"retryAfterSeconds": 10}));
            return Err(failed.takes(RETRIES));
        }
        Verdict::Negative(name) => {
            let message = "pdb disruptions allowed is negative";
            return Err(Answer::forbidden("poddisruptionbudget.policy", &name, message));
        }
        Verdict::TooMany(name) => {
            let message = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
            return Err(Answer::forbidden("poddisruptionbudget.policy", &name, message));
        }
        Verdict::NotObserved(name) => {
            (format!("The disruption budget {name} is still being processed by the server."), 10)
        }
        Verdict::NoRoom { budget, desired, healthy } => {
            let cause =
                format!("The disruption budget {budget} needs {desired} healthy pods and has {healthy} currently");
            (cause, 0)
        }
    };
    let mut details = json!({"causes": [{"reason": "DisruptionBudget", "message": cause}]});
    if retry_after_s > 0 {
        details["retryAfterSeconds"] = retry_after_s.into();
    }
    Err(Answer::failure(429, "TooManyRequests", VIOLATES, details))
}

fn terminating(namespace: &str, name: &str) -> Answer {
    let message = format!(
        "pods \"{name}\" is forbidden: unable to create new content in namespace {namespace} because it is being terminated"
    );
    let mut details = details("pods", name);
    details["causes"] = json!([{
        "reason": "NamespaceTerminating",
        "message": format!("namespace {namespace} is being terminated"),
        "field": "metadata.namespace",
    }]);
    Answer::failure(403, "Forbidden", message, details)
}

/// Checks the body's shape. Unknown fields are warnings, or errors if validation is strict.
fn check_body(request: &Request) -> Result<Vec<(&'static str, String)>, Answer> {
    let body = &request.body;
    let cannot =
        |what: &str| Answer::bad_request(format!("Eviction in version \"v1\" cannot be handled as a Eviction: {what}"));
    if request.is_malformed || !body.is_object() {
        return Err(cannot("couldn't get version/kind; json parse error"));
    }
    let version = body["apiVersion"].as_str().unwrap_or("policy/v1");
    let kind = body["kind"].as_str().unwrap_or("Eviction");
    if !matches!(version, "policy/v1" | "policy/v1beta1") || kind != "Eviction" {
        let message = format!("no kind \"{kind}\" is registered for version \"{version}\"");
        return Err(Answer::bad_request(message));
    }
    let unknown = unknown_fields(body);
    let warnings = match request.param("fieldValidation") {
        "Strict" if !unknown.is_empty() => {
            let list: Vec<_> = unknown.iter().map(|field| format!("unknown field \"{field}\"")).collect();
            return Err(cannot(&format!("strict decoding error: {}", list.join(", "))));
        }
        "Ignore" => Vec::new(),
        _ => unknown,
    };
    if body["metadata"]["name"] != request.name.as_str() {
        return Err(Answer::bad_request("name in URL does not match name in Eviction object"));
    }
    let namespace = &body["metadata"]["namespace"];
    if !namespace.is_null() && *namespace != request.namespace.as_str() {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Answer::bad_request(message));
    }
    let warning = |field: String| ("warning", format!("299 - \"unknown field \\\"{field}\\\"\""));
    Ok(warnings.into_iter().map(warning).collect())
}

fn unknown_fields(body: &Value) -> Vec<String> {
    const METADATA: [&str; 14] = [
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "labels",
        "managedFields",
        "name",
        "namespace",
        "ownerReferences",
        "resourceVersion",
        "uid",
    ];
    const OPTIONS: [&str; 8] = [
        "apiVersion",
        "dryRun",
        "gracePeriodSeconds",
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        "kind",
        "orphanDependents",
        "preconditions",
        "propagationPolicy",
    ];
    let known: [(&str, &[&str]); 4] = [
        ("", &["apiVersion", "kind", "metadata", "deleteOptions"]),
        ("/metadata", &METADATA),
        ("/deleteOptions", &OPTIONS),
        ("/deleteOptions/preconditions", &["resourceVersion", "uid"]),
    ];
    let mut unknown = Vec::new();
    for (path, fields) in known {
        let object = body.pointer(path).and_then(Value::as_object);
        let others = object.into_iter().flat_map(|object| object.keys()).filter(|key| !fields.contains(&key.as_str()));
        let prefix = path.trim_start_matches('/').replace('/', ".");
        unknown.extend(others.map(|key| if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") }));
    }
    unknown
}
