//! What `RunTask` accepts.

use crate::ecs::params::Params;
use crate::error::ApiError;
use crate::model::{Kind, TaskDefinition};
use crate::state::CallContext;

/// Where tasks are to run, with a capacity provider unless the launch type says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Launch {
    Ec2(Option<String>),
    Fargate(Option<String>),
}

/// What holds for each task of a call.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) task_definition: &'a str,
    pub(super) count: u64,
    pub(super) token: Option<String>,
}

/// The network configuration; empty where none was given.
#[derive(Debug, Default)]
pub(super) struct Network {
    pub(super) subnet: String,
    pub(super) security_groups: Vec<String>,
    pub(super) public_ip: bool,
}

/// Checks what depends on the parameters alone.
pub(super) fn check(params: Params<'_>) -> Result<Asked<'_>, ApiError> {
    let task_definition = params.required("taskDefinition", "Task definition can not be blank.")?;
    let count = params.number("count")?.unwrap_or(1);
    if !(1..=10).contains(&count) {
        return Err(ApiError::parameter("Count should be between 1 and 10."));
    }
    let token = params.text("clientToken")?;
    if token
        .is_some_and(|token| token.is_empty() || token.len() > 64 || !token.bytes().all(|b| (33..=126).contains(&b)))
    {
        return Err(ApiError::parameter("clientToken should be up to 64 ASCII characters in the range of 33-126."));
    }
    let started_by = params.text("startedBy")?.unwrap_or_default();
    if started_by.len() > 128 || !started_by.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_/".contains(&b)) {
        return Err(ApiError::parameter("Invalid startedBy."));
    }
    let group = params.text("group")?.unwrap_or_default();
    if group.len() > 255 || group.starts_with("service:") {
        return Err(ApiError::parameter("Invalid namespace for group."));
    }
    match params.text("propagateTags")? {
        None | Some("TASK_DEFINITION" | "NONE") => {}
        Some(_) => return Err(ApiError::parameter("Invalid value for propagateTags.")),
    }
    if params.0["overrides"].is_object() && params.0["overrides"].to_string().chars().count() > 8_192 {
        return Err(ApiError::parameter("Overrides length must be at most 8192."));
    }
    check_tags(params)?;
    Ok(Asked { task_definition, count, token: token.map(str::to_owned) })
}

fn check_tags(params: Params<'_>) -> Result<(), ApiError> {
    let tags = params.objects("tags")?;
    if tags.len() > 50 {
        return Err(ApiError::parameter("Tags cannot have more than 50 elements."));
    }
    for tag in tags {
        let (key, value) = (tag.required("key", "Tag key can not be blank.")?, tag.text("value")?.unwrap_or_default());
        if key.to_ascii_lowercase().starts_with("aws:") || value.to_ascii_lowercase().starts_with("aws:") {
            return Err(ApiError::parameter("Tags can not start with reserved prefix: aws:"));
        }
        if key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(ApiError::parameter("The key or the value of a tag is too long."));
        }
    }
    Ok(())
}

/// Checks that the overrides are of containers that the definition has.
pub(super) fn check_overrides(params: Params<'_>, definition: &TaskDefinition) -> Result<(), ApiError> {
    let containers = definition.all_containers();
    for overridden in params.0["overrides"]["containerOverrides"].as_array().into_iter().flatten() {
        let name = overridden["name"].as_str().unwrap_or_default();
        if !containers.iter().any(|container| container.name == name) {
            let message = format!("Override for container named {name} is not a container in the TaskDefinition.");
            return Err(ApiError::parameter(message));
        }
    }
    Ok(())
}

/// Where the tasks are to run: by launch type, by a capacity provider strategy or by the cluster's default.
pub(super) fn launch(context: &CallContext<'_>, cluster: &str, params: Params<'_>) -> Result<Launch, ApiError> {
    let strategy = params.objects("capacityProviderStrategy")?;
    if strategy.len() > 20 {
        return Err(ApiError::parameter("capacityProviderStrategy cannot have more than 20 items."));
    }
    let launch = match params.text("launchType")? {
        Some(_) if !strategy.is_empty() => {
            return Err(ApiError::parameter(
                "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
            ));
        }
        Some("EC2") => Launch::Ec2(None),
        Some("FARGATE") => Launch::Fargate(None),
        Some(_) => return Err(ApiError::parameter("Invalid launch type.")),
        None => match strategy.first() {
            Some(first) => by_provider(context, cluster, first.required("capacityProvider", "Blank provider.")?)?,
            None => match context.resources.clusters[cluster].default_strategy.first() {
                Some(provider) => by_provider(context, cluster, provider)?,
                None => Launch::Ec2(None),
            },
        },
    };
    if matches!(launch, Launch::Ec2(_)) && params.text("platformVersion")?.is_some() {
        return Err(ApiError::parameter("The platform version must be null when specifying an EC2 launch type."));
    }
    Ok(launch)
}

fn by_provider(context: &CallContext<'_>, cluster: &str, name: &str) -> Result<Launch, ApiError> {
    let is_managed = matches!(
        context.resources.providers.get(name).map(|provider| &provider.kind),
        Some(Kind::ManagedInstances { cluster: of }) if of == cluster
    );
    if !is_managed && !context.resources.clusters[cluster].capacity_providers.iter().any(|listed| listed == name) {
        let message = "The specified capacity provider strategy contains a capacity provider that is not associated \
                       with the cluster. Associate the capacity provider with the cluster and try again.";
        return Err(ApiError::parameter(message));
    }
    let name = name.to_owned();
    Ok(if name.starts_with("FARGATE") { Launch::Fargate(Some(name)) } else { Launch::Ec2(Some(name)) })
}

/// Checks the network configuration against the definition's network mode.
pub(super) fn network(params: Params<'_>, definition: &TaskDefinition, launch: &Launch) -> Result<Network, ApiError> {
    if matches!(launch, Launch::Fargate(_)) && !definition.awsvpc {
        return Err(ApiError::parameter("Task definition does not support launch_type FARGATE."));
    }
    let configuration = &params.0["networkConfiguration"]["awsvpcConfiguration"];
    match (definition.awsvpc, configuration.is_object()) {
        (true, false) => {
            let message = "Network Configuration must be provided when networkMode 'awsvpc' is specified.";
            return Err(ApiError::parameter(message));
        }
        (false, true) => {
            let message = "Network Configuration is not valid for the given networkMode of this task definition.";
            return Err(ApiError::parameter(message));
        }
        (false, false) => return Ok(Network::default()),
        (true, true) => {}
    }
    let configuration = Params(configuration);
    let subnets = configuration.bounded("subnets", 16)?;
    let groups = configuration.list("securityGroups")?;
    if groups.len() > 5 {
        return Err(ApiError::parameter("securityGroups can have at most 5 items."));
    }
    let public_ip = match configuration.text("assignPublicIp")? {
        Some("ENABLED") if matches!(launch, Launch::Ec2(_)) => {
            return Err(ApiError::parameter("Assign public IP is not supported for this launch type."));
        }
        Some("ENABLED") => true,
        None | Some("DISABLED") => false,
        Some(_) => return Err(ApiError::parameter("Invalid value for assignPublicIp.")),
    };
    let default = || vec!["sg-0fedcba9876543210".to_owned()];
    let security_groups = if groups.is_empty() { default() } else { groups.into_iter().map(str::to_owned).collect() };
    Ok(Network { subnet: subnets[0].to_owned(), security_groups, public_ip })
}
