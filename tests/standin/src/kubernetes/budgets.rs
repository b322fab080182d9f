//! `PodDisruptionBudgets`: list.

use serde_json::json;

use super::answer::Answer;
use super::request::Request;
use super::{Context, list};

pub(super) fn list(context: &Context<'_>, request: &Request) -> Result<Answer, Answer> {
    let budgets: Vec<_> = context.world.counted_budgets(context.now).collect();
    let mut items: Vec<_> = budgets
        .iter()
        .map(|budget| {
            let model = budget.model;
            let object = json!({
                "metadata": {"namespace": model.namespace, "name": model.name},
                "spec": {"selector": {"matchLabels": {"app": model.app}}},
                "status": {
                    "disruptionsAllowed": budget.disruptions_allowed,
                    "currentHealthy": budget.healthy,
                    "desiredHealthy": budget.desired,
                    "expectedPods": budget.expected,
                },
            });
            (format!("{}/{}", model.namespace, model.name), object)
        })
        .collect();
    items.sort_by(|(a, _), (b, _)| a.cmp(b));
    let items = items.iter().map(|(key, object)| (key.as_str(), object.clone()));
    list::answer(context, request, "PodDisruptionBudgetList", items)
}
