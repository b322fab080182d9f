//! Whose credentials the function uses, for messages.

use aws_config::SdkConfig;

use crate::{
    aws::{calls::Calls, coalesce::Coalesced, operation::Operation},
    error::Error,
};

/// The principal of the credentials that tokens are signed with.
#[derive(Debug)]
pub(crate) struct Identity {
    client: aws_sdk_sts::Client,
    reading: Coalesced<(), (), String>,
}

impl Identity {
    pub(crate) fn new(sdk: &SdkConfig) -> Self {
        let reading = Coalesced::shared(Operation::GetCallerIdentity);
        Self { client: aws_sdk_sts::Client::new(sdk), reading }
    }

    /// The ARN of the role, if AWS STS answers. It lacks the role's path.
    pub(crate) async fn role_arn(&self, calls: &Calls) -> Option<String> {
        let arn = self.reading.get_one(&self.client, &calls.once(), &(), read).await;
        arn.inspect_err(|error| tracing::debug!(%error, "the role's ARN could not be read")).ok()
    }
}

async fn read(client: aws_sdk_sts::Client, calls: Calls, (): ()) -> Result<String, Error> {
    let request = client.get_caller_identity();
    let answer = calls.make(Operation::GetCallerIdentity, "the credentials", || request.clone().send()).await?;
    Ok(role_of_session(answer.arn().unwrap_or_default()))
}

/// The role of a session: `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION` becomes `arn:aws:iam::ACCOUNT:role/ROLE`.
fn role_of_session(arn: &str) -> String {
    match arn.split([':', '/']).collect::<Vec<_>>()[..] {
        ["arn", partition, "sts", "", account, "assumed-role", role, _] => {
            format!("arn:{partition}:iam::{account}:role/{role}")
        }
        _ => arn.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_entry_needs_the_arn_of_the_role_and_not_of_its_session() {
        for (session, role) in [
            ("arn:aws:sts::123456789012:assumed-role/handler/fn", "arn:aws:iam::123456789012:role/handler"),
            ("arn:aws-cn:sts::123456789012:assumed-role/r/s", "arn:aws-cn:iam::123456789012:role/r"),
            ("arn:aws:iam::123456789012:user/me", "arn:aws:iam::123456789012:user/me"),
            ("", ""),
        ] {
            assert_eq!(role_of_session(session), role);
        }
    }
}
