//! Compares the templates and the Kubernetes roles with the code: environment variables, parameter values, versions, IAM
//! actions and RBAC verbs.

#![expect(clippy::unwrap_used, reason = "an unwrap fails the test")]

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use spot_interruption_handler::config::Config;

const TEMPLATE: &str = include_str!("../template.yaml");
const MEMBER: &str = include_str!("../member.yaml");
const ACCESS: &str = include_str!("../kubernetes/access.yaml");

/// The calls to a Kubernetes API server, with the resource and the verb that each needs.
const KUBERNETES: [(&str, &str, &str); 7] = [
    ("GetNode", "nodes", "get"),
    ("ListNodes", "nodes", "list"),
    ("PatchNode", "nodes", "patch"),
    ("ListPodDisruptionBudgets", "poddisruptionbudgets", "list"),
    ("ListPods", "pods", "list"),
    ("EvictPod", "pods/eviction", "create"),
    ("DeletePod", "pods", "delete"),
];

/// AWS's calls that need no permission.
const ALLOWED_TO_ALL: [&str; 1] = ["GetCallerIdentity"];

/// AWS's calls that the role is not given. A rehearsal does without them.
const NOT_GRANTED: [&str; 1] = ["SimulatePrincipalPolicy"];

/// The actions with which Lambda connects the function to a VPC: those on EC2 in `AWSLambdaVPCAccessExecutionRole`,
/// except `DescribeNetworkInterfaces`, which the function calls as well.
const NETWORK_INTERFACES: [&str; 5] = [
    "AssignPrivateIpAddresses",
    "CreateNetworkInterface",
    "DeleteNetworkInterface",
    "DescribeSubnets",
    "UnassignPrivateIpAddresses",
];

/// The actions with which Lambda polls queues.
const QUEUES: [&str; 3] = ["DeleteMessage", "GetQueueAttributes", "ReceiveMessage"];

/// The actions that `RunTask` needs beside its own, for a task's roles and tags.
const WITH_RUN_TASK: [&str; 2] = ["PassRole", "TagResource"];

/// The services on which the function's role and a member's role allow the same actions.
const SERVICES: [&str; 6] = ["ecs", "ec2", "eks", "autoscaling", "elasticloadbalancing", "iam"];

/// The parameters that become environment variables.
const VARIABLES: [(&str, &str); 23] = [
    ("Strategy", "STRATEGY"),
    ("DryRun", "DRY_RUN"),
    ("Clusters", "CLUSTERS"),
    ("ExcludeClusters", "EXCLUDE_CLUSTERS"),
    ("ClusterTag", "CLUSTER_TAG"),
    ("ManagedDraining", "MANAGED_DRAINING"),
    ("StandaloneTasks", "STANDALONE_TASKS"),
    ("ReplaceInstances", "REPLACE_INSTANCES"),
    ("FargateSpot", "FARGATE_SPOT"),
    ("RunAgain", "RUN_AGAIN"),
    ("RunAgainOn", "RUN_AGAIN_ON"),
    ("LifecycleHooks", "LIFECYCLE_HOOKS"),
    ("RebalanceRecommendation", "REBALANCE_RECOMMENDATION"),
    ("ReactivateResumed", "REACTIVATE_RESUMED"),
    ("CleanUpTerminated", "CLEAN_UP_TERMINATED"),
    ("Accounts", "ACCOUNTS"),
    ("MemberRoleName", "MEMBER_ROLE_NAME"),
    ("ExternalId", "EXTERNAL_ID"),
    ("OutcomeBusArn", "OUTCOME_BUS"),
    ("EksClusters", "EKS_CLUSTERS"),
    ("EksStrategy", "EKS_STRATEGY"),
    ("PodDisruptionBudgets", "POD_DISRUPTION_BUDGETS"),
    ("RehearsalReads", "REHEARSAL_READS"),
];

#[test]
fn template_sets_exactly_the_variables_that_the_code_reads() {
    let read = RefCell::new(BTreeSet::new());
    Config::read(|name| {
        read.borrow_mut().insert(name.to_owned());
        None
    })
    .unwrap();
    let variables = TEMPLATE.split("Variables:\n").nth(1).unwrap().lines();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let depth = indent(variables.clone().next().unwrap());
    let set: BTreeSet<_> = variables
        .take_while(|line| indent(line) == depth)
        .map(|line| line.trim().split(':').next().unwrap().to_owned())
        .collect();
    assert_eq!(set, read.into_inner());
}

#[test]
fn defaults_and_allowed_values_are_those_of_the_code() {
    for (parameter, variable) in VARIABLES {
        assert!(TEMPLATE.contains(&format!("{variable}: !Ref {parameter}\n")), "{parameter}");
        let unquote = |value: &str| value.trim().trim_matches('"').to_owned();
        let config = |value: String| Config::read(|name| (name == variable).then(|| value.clone()));
        let default = unquote(&field(parameter, "Default:").unwrap());
        assert_eq!(
            format!("{:?}", config(default).unwrap()),
            format!("{:?}", Config::read(|_| None).unwrap()),
            "{parameter}"
        );
        for value in allowed_values(parameter) {
            assert!(config(value.clone()).is_ok(), "{parameter}: {value}");
        }
    }
}

/// Lambda measures the variables as JSON and rejects a function that exceeds the limit, late in a deployment.
#[test]
fn longest_values_fit_into_the_environment() {
    let longest = |parameter: &str, more: usize| {
        let Some(max) = field(parameter, "MaxLength:") else {
            return allowed_values(parameter).into_iter().max_by_key(String::len).unwrap();
        };
        let (start, fill) = match parameter {
            "Clusters" | "ExcludeClusters" | "EksClusters" => ("", "x,"),
            // The longest character has four bytes.
            "ClusterTag" => ("", "𝕏"),
            "Accounts" => ("", "123456789012,"),
            "OutcomeBusArn" => ("arn:aws:events:us-east-1:123456789012:event-bus/", "x"),
            _ => ("", "x"),
        };
        start.chars().chain(fill.chars().cycle()).take(max.parse::<usize>().unwrap() + more).collect()
    };
    let environment: BTreeMap<_, _> = VARIABLES.map(|(parameter, variable)| (variable, longest(parameter, 0))).into();
    let bytes = serde_json::to_string(&environment).unwrap().len();
    assert!((3_900..=4_096).contains(&bytes), "{bytes}");
    // The code has the same limits.
    Config::read(|name| environment.get(name).cloned()).unwrap();
    for (parameter, variable) in VARIABLES.iter().filter(|(parameter, _)| field(parameter, "MaxLength:").is_some()) {
        let too_long = longest(parameter, if *parameter == "Accounts" { 13 } else { 1 });
        assert!(Config::read(|name| (name == *variable).then(|| too_long.clone())).is_err(), "{parameter}");
    }
}

#[test]
fn versions_are_that_of_the_code() {
    let version = |template: &str, before: &str| {
        let version = template.split(before).nth(1).unwrap().lines().next().unwrap();
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
    };
    version(TEMPLATE, "\n      Version: ");
    version(TEMPLATE, "\n    SemanticVersion: ");
    version(MEMBER, "whose template this is\n    Value: ");
    assert_eq!(TEMPLATE.matches("!FindInMap [Release, Function, Version]").count(), 2, "a tag and an output");
}

#[test]
fn role_allows_exactly_the_operations_that_the_code_calls() {
    let mut allowed = actions(TEMPLATE, &[&SERVICES[..], &["sts", "events", "sqs"]].concat());
    for action in [&NETWORK_INTERFACES[..], &QUEUES, &WITH_RUN_TASK].concat() {
        assert!(allowed.remove(action), "{action}");
    }
    let operations = operations();
    let mut called = BTreeSet::new();
    for file in sources(Path::new("src")) {
        let source = fs::read_to_string(&file).unwrap();
        let code = source.split("#[cfg(test)]").next().unwrap().lines().filter(|line| !line.trim().starts_with("//"));
        let words = code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric())).map(str::to_owned);
        called.extend(words.filter(|word| !file.ends_with("operation.rs") && operations.contains(word)));
    }
    assert_eq!(operations, called, "every operation is called");
    let needs_no_action = |operation: &str| {
        ALLOWED_TO_ALL.contains(&operation)
            || NOT_GRANTED.contains(&operation)
            || KUBERNETES.iter().any(|(name, ..)| *name == operation)
    };
    called.retain(|operation| !needs_no_action(operation));
    assert_eq!(allowed, called);
}

#[test]
fn kubernetes_roles_allow_exactly_the_operations_that_the_code_calls() {
    let operations = operations();
    for (operation, ..) in KUBERNETES {
        assert!(operations.contains(operation), "{operation}");
    }
    let mut rules = BTreeSet::new();
    let mut resource = "";
    for line in ACCESS.lines().map(str::trim) {
        if let Some(of) = line.strip_prefix("resources: ") {
            resource = of.trim_matches(['[', ']']);
        } else if let Some(verbs) = line.strip_prefix("verbs: ") {
            rules.extend(verbs.trim_matches(['[', ']']).split(", ").map(|verb| (resource, verb)));
        }
    }
    let needed: BTreeSet<_> = KUBERNETES.iter().map(|(_, resource, verb)| (*resource, *verb)).collect();
    assert_eq!(rules, needed);
}

/// Not every strategy needs these actions otherwise.
#[test]
fn hooks_alone_allow_what_counting_tasks_calls() {
    for template in [TEMPLATE, MEMBER] {
        let policy = template.split("PolicyName: CompleteLifecycleActions\n").nth(1).unwrap();
        let policy = policy.split("PolicyName: ").next().unwrap();
        assert!(actions(policy, &["ecs"]).into_iter().eq(["DescribeTasks", "ListTasks"]), "{policy}");
    }
}

/// `tests/stack/templates.py` compares the statements one by one, for every setting.
#[test]
fn member_role_allows_the_same_actions() {
    let mut allowed = actions(TEMPLATE, &SERVICES);
    allowed.retain(|action| !NETWORK_INTERFACES.contains(&action.as_str()));
    assert_eq!(allowed, actions(MEMBER, &SERVICES));
}

/// The names of all operations.
fn operations() -> BTreeSet<String> {
    let source = include_str!("../src/aws/operation.rs");
    let variants = source.split("pub enum Operation {").nth(1).unwrap().split('}').next().unwrap();
    let lines = variants.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.map(|line| line.trim_end_matches(',').to_owned()).collect()
}

/// The value of a parameter's field.
fn field(parameter: &str, name: &str) -> Option<String> {
    let about = TEMPLATE.split(&format!("\n  {parameter}:\n    Type: ")).nth(1).unwrap().split("\n  ");
    let mut about = about.take_while(|line| line.starts_with("  ") || !line.ends_with(':'));
    about.find_map(|line| line.trim().strip_prefix(name)).map(|value| value.trim().to_owned())
}

fn allowed_values(parameter: &str) -> Vec<String> {
    let values = field(parameter, "AllowedValues:").unwrap_or_default();
    let values = values.trim_matches(['[', ']']).split(',').map(|value| value.trim().trim_matches('"').to_owned());
    values.filter(|value| !value.is_empty()).collect()
}

fn actions(template: &str, services: &[&str]) -> BTreeSet<String> {
    template
        .split_whitespace()
        .filter_map(|word| word.split_once(':').filter(|(service, _)| services.contains(service)))
        .map(|(_, action)| action)
        // A condition key ends with a colon.
        .filter(|action| action.starts_with(char::is_uppercase) && !action.ends_with(':'))
        .map(str::to_owned)
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}
