//! The function's identity, and its answer on the command line.

use std::{env, io::Write, process::ExitCode};

use lambda_runtime::Context;

use crate::{config::variables, identifier::AccountId};

/// The function's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

const NAME_AND_VERSION: &str = concat!("spot-interruption-handler ", env!("CARGO_PKG_VERSION"));

const ABOUT: &str = "takes interrupted EC2 Spot instances out of their Amazon ECS and Amazon EKS clusters: AWS Lambda \
                     starts it, and `cargo run --example demo` shows it";

/// The variables that Lambda sets. Its runtime panics without them.
const SET_BY_LAMBDA: [&str; 4] = [
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
];

/// Prints what this program is, and returns the exit code, if it was asked for that or was not started by Lambda.
#[must_use]
pub fn answer_command_line() -> Option<ExitCode> {
    let asks = |options: [&str; 2]| env::args_os().skip(1).any(|arg| options.iter().any(|option| arg == *option));
    let missing = SET_BY_LAMBDA.iter().find(|name| env::var_os(name).is_none_or(|value| value.is_empty()));
    // A closed output is no error: nobody reads the answer.
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    if asks(["-V", "--version"]) {
        let _ = writeln!(out, "{NAME_AND_VERSION}");
        Some(ExitCode::SUCCESS)
    } else if asks(["-h", "--help"]) {
        let variables = variables().join("\n  ");
        let _ = writeln!(out, "{NAME_AND_VERSION} {ABOUT}.\n\nIt reads these environment variables:\n  {variables}");
        Some(ExitCode::SUCCESS)
    } else if let Some(missing) = missing {
        let _ = writeln!(err, "{NAME_AND_VERSION} {ABOUT}. {missing} is not set.");
        Some(ExitCode::FAILURE)
    } else {
        None
    }
}

/// The function, as its ARN names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// The partition, such as `aws`: that of all accounts that the function can act in.
    pub partition: String,
    /// The account, if it is known: local runtimes may not provide it.
    pub account: Option<AccountId>,
    /// The name.
    pub name: String,
}

impl Function {
    /// Reads the ARN that Lambda passes with every event.
    pub(crate) fn of(context: &Context) -> Self {
        let parts: Vec<_> = context.invoked_function_arn.split(':').collect();
        let (partition, account) = match parts[..] {
            ["arn", partition, "lambda", _, account, ..] => (partition, AccountId::try_from(account.to_owned()).ok()),
            _ => ("aws", None),
        };
        let name = parts.get(6).copied().unwrap_or("spot-interruption-handler").to_owned();
        Self { partition: partition.to_owned(), account, name }
    }

    /// Whether an account is the function's own. Every account is if the function's own is not known.
    pub(crate) fn is_own_account(&self, account: &AccountId) -> bool {
        self.account.as_ref().is_none_or(|own| own == account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_is_read_from_its_arn() {
        let of = |arn: &str| {
            let mut context = Context::default();
            arn.clone_into(&mut context.invoked_function_arn);
            Function::of(&context)
        };
        let function = of("arn:aws-cn:lambda:cn-north-1:123456789012:function:handler:live");
        assert_eq!((function.partition.as_str(), function.name.as_str()), ("aws-cn", "handler"));
        let account = |id: &str| AccountId::try_from(id.to_owned()).unwrap();
        assert!(
            function.is_own_account(&account("123456789012")) && !function.is_own_account(&account("210987654321"))
        );
        let unknown = of("");
        assert_eq!((unknown.partition.as_str(), unknown.account.clone()), ("aws", None));
        assert!(unknown.is_own_account(&account("210987654321")));
    }
}
