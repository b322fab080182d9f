//! What a rehearsal notes down while it reads: findings, and what it could not read.

use std::collections::BTreeSet;

use super::finding::{Findings, Kind};
use crate::{
    aws::operation::Operation,
    eks::api_server::{UNAUTHORIZED, UNREACHABLE},
    error::{Error, ErrorClass},
};

/// The most failed reads that are noted, 20.
const MAX_INCOMPLETE: usize = 20;

/// Findings, and what could not be read.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) findings: Findings,
    /// What could not be read, and why.
    pub(crate) incomplete: BTreeSet<String>,
    /// What could not be tried.
    pub(crate) not_checked: BTreeSet<String>,
}

impl Notes {
    pub(crate) fn add(&mut self, kind: Kind, example: &str) {
        self.findings.add(kind, example);
    }

    /// The answers of reads. Failed reads are noted.
    pub(crate) fn answers<T>(&mut self, reads: Vec<Result<T, Error>>) -> Vec<T> {
        let answer = |read: Result<T, Error>| read.inspect_err(|error| self.failed(error)).ok();
        reads.into_iter().filter_map(answer).collect()
    }

    /// Notes a failed read.
    pub(crate) fn failed(&mut self, error: &Error) {
        match (error, error.code()) {
            (Error::Call { resource, .. }, Some(UNAUTHORIZED)) => {
                self.add(Kind::EksNoAccessEntry, cluster_of(resource).unwrap_or(resource));
            }
            (Error::Call { resource, .. }, Some(UNREACHABLE)) => {
                self.add(Kind::EksUnreachable, cluster_of(resource).unwrap_or(resource));
            }
            // Denied calls are counted where they are made.
            (Error::Call { class: ErrorClass::Denied, .. }, _) => {}
            (error, _) if self.incomplete.len() < MAX_INCOMPLETE => {
                self.incomplete.insert(error.to_string());
            }
            _ => {}
        }
    }

    /// Notes the calls that were denied.
    pub(crate) fn denied(&mut self, denied: impl IntoIterator<Item = (Operation, String)>) {
        for (operation, resource) in denied {
            // The role need not have it.
            if operation == Operation::SimulatePrincipalPolicy {
                continue;
            }
            match cluster_of(&resource) {
                Some(cluster) => self.add(Kind::PermissionMissing, &format!("{operation} in EKS cluster {cluster}")),
                None => self.add(Kind::PermissionMissing, &action(operation)),
            }
        }
    }
}

/// The EKS cluster that the resource of a call to a Kubernetes API server names.
fn cluster_of(resource: &str) -> Option<&str> {
    resource.rsplit_once(" of cluster ").map(|(_, cluster)| cluster)
}

/// The IAM action of an operation of AWS.
pub(crate) fn action(operation: Operation) -> String {
    let service = match operation {
        Operation::AssumeRole | Operation::GetCallerIdentity => "sts",
        Operation::DescribeInstances | Operation::DescribeInstanceAttribute => "ec2",
        Operation::DescribeCluster => "eks",
        Operation::DescribeAutoScalingGroups | Operation::DescribeAutoScalingInstances | Operation::DetachInstances => {
            "autoscaling"
        }
        Operation::DescribeTargetGroupAttributes | Operation::DescribeTargetGroups => "elasticloadbalancing",
        Operation::PutEvents => "events",
        _ => "ecs",
    };
    format!("{service}:{operation}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(class: ErrorClass, code: Option<&str>, resource: &str) -> Error {
        let (resource, code) = (resource.to_owned(), code.map(str::to_owned));
        Error::Call { operation: Operation::GetNode, resource, class, code, cause: "x".into(), retry_after: None }
    }

    #[test]
    fn each_failed_read_is_noted_once_by_its_kind() {
        let mut notes = Notes::default();
        for node in ["a", "b"] {
            let resource = format!("nodes/{node} of cluster shop");
            notes.failed(&error(ErrorClass::Denied, Some(UNAUTHORIZED), &resource));
            notes.failed(&error(ErrorClass::Unavailable, Some(UNREACHABLE), &resource));
            notes.failed(&error(ErrorClass::Denied, Some("Forbidden"), &resource));
        }
        notes.failed(&error(ErrorClass::Throttled, None, "web"));
        let denied =
            [(Operation::ListPods, "pods of cluster shop".to_owned()), (Operation::ListTasks, "web".to_owned())];
        notes.denied(denied);
        assert_eq!(notes.incomplete.len(), 1, "{:?}", notes.incomplete);
        let found: Vec<_> =
            notes.findings.into_list().into_iter().map(|finding| (finding.kind, finding.examples)).collect();
        let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            found,
            [
                (Kind::PermissionMissing, strings(&["ListPods in EKS cluster shop", "ecs:ListTasks"])),
                (Kind::EksNoAccessEntry, strings(&["shop"])),
                (Kind::EksUnreachable, strings(&["shop"])),
            ]
        );
    }
}
