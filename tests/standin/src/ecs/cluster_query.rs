//! The cluster query language, as far as container instances have what it asks about.

use crate::model::Record;

/// A filter over container instances.
///
/// ```text
/// expression := conjunction (("or" | "||") conjunction)*
/// conjunction := term (("and" | "&&") term)*
/// term := ("not" | "!") term | "(" expression ")" | subject operator value
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ClusterQuery {
    Not(Box<ClusterQuery>),
    And(Box<ClusterQuery>, Box<ClusterQuery>),
    Or(Box<ClusterQuery>, Box<ClusterQuery>),
    Test(Subject, Operator, Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Ec2InstanceId,
    AgentConnected,
    RunningTasksCount,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    In,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl ClusterQuery {
    /// Reads a filter; the error is the message that goes with `InvalidParameterException`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text).ok_or_else(|| invalid(text))?;
        let mut parser = Parser { tokens: &tokens };
        let filter = parser.expression().filter(|_| parser.tokens.is_empty());
        filter.ok_or_else(|| invalid(text))
    }

    pub(super) fn fits(&self, record: &Record) -> bool {
        match self {
            Self::Not(filter) => !filter.fits(record),
            Self::And(left, right) => left.fits(record) && right.fits(record),
            Self::Or(left, right) => left.fits(record) || right.fits(record),
            Self::Test(subject, operator, values) => subject.test(record, *operator, values),
        }
    }

    /// How many values the longest list has.
    pub(super) fn longest_list(&self) -> usize {
        match self {
            Self::Not(filter) => filter.longest_list(),
            Self::And(left, right) | Self::Or(left, right) => left.longest_list().max(right.longest_list()),
            Self::Test(_, _, values) => values.len(),
        }
    }
}

fn invalid(text: &str) -> String {
    format!("Invalid filter expression: {text}")
}

impl Subject {
    fn test(self, record: &Record, operator: Operator, values: &[String]) -> bool {
        let actual = match self {
            Self::Ec2InstanceId => record.model.ec2_instance_id.clone(),
            Self::AgentConnected => record.model.agent_connected.to_string(),
            Self::RunningTasksCount => record.running_tasks().to_string(),
        };
        if operator == Operator::In {
            return values.contains(&actual);
        }
        let (Ok(actual), Some(Ok(bound))) = (actual.parse::<u64>(), values.first().map(|value| value.parse::<u64>()))
        else {
            return false;
        };
        match operator {
            Operator::Less => actual < bound,
            Operator::LessOrEqual => actual <= bound,
            Operator::Greater => actual > bound,
            _ => actual >= bound,
        }
    }

    fn accepts(self, operator: Operator, value: &Token) -> bool {
        match (self, value) {
            // Ids hold hyphens and have to be quoted.
            (Self::Ec2InstanceId, Token::Text(_)) => operator == Operator::In,
            (Self::AgentConnected, Token::Word(word)) => {
                operator == Operator::In && matches!(word.as_str(), "true" | "false")
            }
            (Self::RunningTasksCount, Token::Word(word)) => word.parse::<u64>().is_ok(),
            _ => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(&'static str),
}

/// Longer signs first, so that `==` is not read as two.
const SIGNS: [&str; 14] = ["&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ","];

fn tokens(mut rest: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else {
            return Some(tokens);
        };
        if first == '\'' {
            let (text, after) = rest[1..].split_once('\'')?;
            tokens.push(Token::Text(text.to_owned()));
            rest = after;
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else {
            let is_word = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
}

impl Parser<'_> {
    fn expression(&mut self) -> Option<ClusterQuery> {
        let mut left = self.conjunction()?;
        while self.eat("or") || self.eat("||") {
            left = ClusterQuery::Or(Box::new(left), Box::new(self.conjunction()?));
        }
        Some(left)
    }

    fn conjunction(&mut self) -> Option<ClusterQuery> {
        let mut left = self.term()?;
        while self.eat("and") || self.eat("&&") {
            left = ClusterQuery::And(Box::new(left), Box::new(self.term()?));
        }
        Some(left)
    }

    fn term(&mut self) -> Option<ClusterQuery> {
        if self.eat("not") || self.eat("!") {
            return Some(ClusterQuery::Not(Box::new(self.term()?)));
        }
        if self.eat("(") {
            let inner = self.expression()?;
            return self.eat(")").then_some(inner);
        }
        self.test()
    }

    fn test(&mut self) -> Option<ClusterQuery> {
        let subject = match self.next()? {
            Token::Word(word) => match word.as_str() {
                "ec2InstanceId" => Subject::Ec2InstanceId,
                "agentConnected" => Subject::AgentConnected,
                "runningTasksCount" => Subject::RunningTasksCount,
                _ => return None,
            },
            _ => return None,
        };
        let (operator, negated, many) = self.operator()?;
        let values = if many { self.list()? } else { vec![self.next()?.clone()] };
        if !values.iter().all(|value| subject.accepts(operator, value)) {
            return None;
        }
        let values = values.into_iter().filter_map(|value| match value {
            Token::Word(text) | Token::Text(text) => Some(text),
            Token::Sign(_) => None,
        });
        let test = ClusterQuery::Test(subject, operator, values.collect());
        Some(if negated { ClusterQuery::Not(Box::new(test)) } else { test })
    }

    /// An operator, whether it is negated and whether a list follows.
    fn operator(&mut self) -> Option<(Operator, bool, bool)> {
        let many = |negated| (Operator::In, negated, true);
        let one = |operator, negated| (operator, negated, false);
        if self.eat("!") {
            return self.eat("in").then_some(many(true));
        }
        let token = self.next()?;
        Some(match token {
            Token::Sign("==") => one(Operator::In, false),
            Token::Sign("!=") => one(Operator::In, true),
            Token::Sign("<") => one(Operator::Less, false),
            Token::Sign("<=") => one(Operator::LessOrEqual, false),
            Token::Sign(">") => one(Operator::Greater, false),
            Token::Sign(">=") => one(Operator::GreaterOrEqual, false),
            Token::Word(word) => match word.as_str() {
                "equals" => one(Operator::In, false),
                "not_equals" => one(Operator::In, true),
                "less_than" => one(Operator::Less, false),
                "less_than_equal" => one(Operator::LessOrEqual, false),
                "greater_than" => one(Operator::Greater, false),
                "greater_than_equal" => one(Operator::GreaterOrEqual, false),
                "in" => many(false),
                "not_in" => many(true),
                _ => return None,
            },
            _ => return None,
        })
    }

    fn list(&mut self) -> Option<Vec<Token>> {
        if !self.eat("[") {
            return None;
        }
        let mut values = Vec::new();
        loop {
            values.push(self.next()?.clone());
            if self.eat("]") {
                return Some(values);
            }
            if !self.eat(",") {
                return None;
            }
        }
    }

    fn next(&mut self) -> Option<&Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    /// Takes the next token if it is this word or sign.
    fn eat(&mut self, wanted: &str) -> bool {
        let fits = match self.tokens.first() {
            Some(Token::Word(word)) => word == wanted,
            Some(Token::Sign(sign)) => *sign == wanted,
            _ => false,
        };
        if fits {
            self.tokens = &self.tokens[1..];
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::model::{ContainerInstance, Task};
    use crate::resources::PlacedTask;

    fn fits(filter: &str) -> bool {
        let mut record = Record::new(ContainerInstance::new("i-1"));
        for task in [Task::of_service("app"), Task::standalone("job")] {
            record.runs.push(PlacedTask::new(task, &record.model, Instant::now(), 0));
        }
        ClusterQuery::parse(filter).unwrap().fits(&record)
    }

    #[test]
    fn filters_that_fit() {
        for filter in [
            "ec2InstanceId == 'i-1'",
            "ec2InstanceId equals 'i-1'",
            "ec2InstanceId=='i-1'",
            "ec2InstanceId in ['i-2', 'i-1']",
            "ec2InstanceId in ['i-1','i-2']",
            "ec2InstanceId != 'i-2'",
            "ec2InstanceId !in ['i-2']",
            "not ec2InstanceId not_in ['i-1']",
            "ec2InstanceId == 'i-2' or ec2InstanceId == 'i-1' and runningTasksCount == 2",
            "(ec2InstanceId == 'i-1' or ec2InstanceId == 'i-2') && runningTasksCount >= 2",
            "agentConnected == true",
        ] {
            assert!(fits(filter), "{filter}");
        }
    }

    #[test]
    fn filters_that_do_not_fit() {
        for filter in [
            "ec2InstanceId == 'i-11'",
            "ec2InstanceId == ''",
            "ec2InstanceId in ['i-2', 'i-3']",
            "(ec2InstanceId == 'i-1' or ec2InstanceId == 'i-2') and runningTasksCount > 2",
            "agentConnected == false",
        ] {
            assert!(!fits(filter), "{filter}");
        }
    }

    #[test]
    fn rejected() {
        for filter in [
            "",
            "ec2InstanceId",
            "ec2InstanceId == i-1",
            "ec2InstanceId = 'i-1'",
            "ec2InstanceId == 'i-1",
            "ec2InstanceId == ['i-1']",
            "ec2InstanceId in 'i-1'",
            "ec2InstanceId in []",
            "ec2InstanceId in ['i-1',]",
            "ec2InstanceId in ['i-1' 'i-2']",
            "ec2InstanceId == 'i-1' and",
            "ec2InstanceId == 'i-1' ec2InstanceId == 'i-2'",
            "ec2instanceid == 'i-1'",
            "attribute:stack == 'prod'",
            "instanceId == 'i-1'",
        ] {
            assert!(ClusterQuery::parse(filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn lists_are_measured() {
        let filter = ClusterQuery::parse("ec2InstanceId in ['a', 'b', 'c'] or ec2InstanceId == 'd'").unwrap();
        assert_eq!(filter.longest_list(), 3);
    }
}
