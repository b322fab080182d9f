//! Pods: reads and deletions.

use serde_json::{Value, json};

use super::answer::Answer;
use super::list::{self, Selector};
use super::request::Request;
use super::world::{PlacedPod, StopRequest};
use super::{Context, is_dry_run};

pub(super) fn get(context: &Context<'_>, request: &Request) -> Result<Answer, Answer> {
    let index = find(context, request)?;
    Ok(Answer::ok(show(context, context.world.at(index))))
}

pub(super) fn find(context: &Context<'_>, request: &Request) -> Result<usize, Answer> {
    context.world.index_of(&request.key()).ok_or_else(|| Answer::not_found("pods", &request.name))
}

pub(super) fn list(context: &Context<'_>, request: &Request) -> Result<Answer, Answer> {
    let supported = ["metadata.name", "metadata.namespace", "spec.nodeName", "status.phase"];
    let fields = Selector::fields(request.param("fieldSelector"), &supported)?;
    let labels = Selector::parse(request.param("labelSelector"));
    let fits = |pod: &PlacedPod| {
        let field = |key: &str| match key {
            "metadata.name" => pod.pod.name.clone(),
            "metadata.namespace" => pod.pod.namespace.clone(),
            "spec.nodeName" => pod.node.clone(),
            _ => pod.pod.phase.clone(),
        };
        (request.namespace.is_empty() || pod.pod.namespace == request.namespace)
            && fields.fits(field)
            && labels.fits(|key| pod.pod.labels.get(key).cloned().unwrap_or_default())
    };
    let pods = context.world.listed(fields.value("spec.nodeName"));
    let pods = pods.into_iter().filter(|(_, pod)| fits(pod));
    list::answer(context, request, "PodList", pods.map(|(key, pod)| (key, show(context, pod))))
}

/// The options of a deletion.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) grace_s: Option<i64>,
    pub(super) uid: Option<String>,
    pub(super) resource_version: Option<String>,
}

impl Options {
    pub(super) fn read(options: &Value) -> Result<Self, Answer> {
        let bad = |field: &str| Answer::bad_request(format!("json: cannot unmarshal into Go struct field {field}"));
        let text = |field: &str| match &options["preconditions"][field] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            _ => Err(bad(&format!("Preconditions.{field}"))),
        };
        let grace_s = match &options["gracePeriodSeconds"] {
            Value::Null => None,
            value => Some(value.as_i64().ok_or_else(|| bad("DeleteOptions.gracePeriodSeconds"))?),
        };
        Ok(Self { grace_s, uid: text("uid")?, resource_version: text("resourceVersion")? })
    }

    /// Refuses a pod that is not the one that is meant.
    pub(super) fn check(&self, pod: &PlacedPod) -> Result<(), Answer> {
        let failed = |what: &str, asked: &str, found: &str| {
            let message =
                format!("Precondition failed: {what} in precondition: {asked}, {what} in object meta: {found}");
            Err(Answer::conflict("pods", &pod.pod.name, &message))
        };
        let version = pod.version.to_string();
        match (&self.uid, &self.resource_version) {
            (Some(uid), _) if *uid != pod.pod.uid => failed("UID", uid, &pod.pod.uid),
            (_, Some(asked)) if *asked != version => failed("ResourceVersion", asked, &version),
            _ => Ok(()),
        }
    }
}

pub(super) fn delete(context: &mut Context<'_>, request: &Request) -> Result<Answer, Answer> {
    let mut options = Options::read(&request.body)?;
    if let Ok(seconds) = request.param("gracePeriodSeconds").parse() {
        options.grace_s.get_or_insert(seconds);
    }
    let is_dry_run = is_dry_run(request, &request.body["dryRun"])?;
    let index = find(context, request)?;
    options.check(context.world.at(index))?;
    if !is_dry_run {
        context.world.delete(index, StopRequest::Deleted, options.grace_s, context.now, context.history);
    }
    Ok(Answer::ok(show(context, context.world.at(index))))
}

fn show(context: &Context<'_>, placed: &PlacedPod) -> Value {
    let pod = &placed.pod;
    let mut metadata = json!({
        "name": pod.name,
        "namespace": pod.namespace,
        "uid": pod.uid,
        "resourceVersion": placed.version.to_string(),
        "creationTimestamp": context.date(placed.created),
    });
    for (key, values) in [("labels", &pod.labels), ("annotations", &pod.annotations)] {
        if !values.is_empty() {
            metadata[key] = json!(values);
        }
    }
    if let Some(owner) = &pod.owner {
        let api_version = match owner.kind.as_str() {
            "Job" => "batch/v1",
            "Node" => "v1",
            _ => "apps/v1",
        };
        metadata["ownerReferences"] = json!([{
            "apiVersion": api_version, "kind": owner.kind, "name": owner.name,
            "uid": "00000000-0000-0000-0000-000000000000", "controller": true, "blockOwnerDeletion": true,
        }]);
    }
    if let (Some(deletion), Some(grace)) = (placed.deletion, placed.grace) {
        metadata["deletionTimestamp"] = context.date(deletion).into();
        metadata["deletionGracePeriodSeconds"] = grace.as_secs().into();
    }
    let ready = if placed.pod.ready && placed.ended.is_none() { "True" } else { "False" };
    let mut conditions = vec![json!({"type": "Ready", "status": ready})];
    if placed.stop_request == StopRequest::Evicted {
        conditions.push(json!({
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
        }));
    }
    json!({
        "kind": "Pod", "apiVersion": "v1", "metadata": metadata,
        "spec": {
            "nodeName": placed.node,
            "terminationGracePeriodSeconds": pod.grace_period_s,
            "containers": [{"name": "app", "image": "app:1"}],
        },
        "status": {"phase": pod.phase, "conditions": conditions},
    })
}
