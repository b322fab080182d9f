//! The values among the tokens of a line.

use std::borrow::Cow;

use super::{
    tokens::{Token, VARIABLE},
    unpack::after_prefix,
};

/// A value that can't be resolved.
pub(super) const UNKNOWN: &str = "$";

/// The signs that end the arguments of a command.
pub(super) const END: &str = ";|&()<>\n";

pub(super) fn without_gap(tokens: &[Token]) -> &[Token] {
    if let [Token::Gap, rest @ ..] = tokens { rest } else { tokens }
}

/// The value after an assignment sign.
pub(super) fn value(after: &[Token]) -> Cow<'_, str> {
    let after = without_gap(after);
    let inside = if let [Token::Sign('(' | ':'), rest @ ..] = after { without_gap(rest) } else { after };
    match (after, inside) {
        // `[Environment]::GetEnvironmentVariable('A', 'Machine')`
        (_, [Token::Sign('['), _, _, Token::Word(get), Token::Sign('('), Token::Word(name), ..])
            if ends_with(&get.text, "GetEnvironmentVariable") =>
        {
            Cow::Owned(format!("${}", name.text))
        }
        ([Token::Word(word), ..], _) | ([Token::Sign(':'), ..], [Token::Word(word), ..]) => Cow::Borrowed(&word.text),
        ([Token::Sign('(' | '[' | '{'), ..], _) => Cow::Borrowed(UNKNOWN),
        _ => Cow::Borrowed(""),
    }
}

/// The value that is assigned to a PowerShell variable: a string or a variable, but not the output of a command.
pub(super) fn expression(after: &[Token]) -> Cow<'_, str> {
    match without_gap(after) {
        [Token::Word(word), rest @ ..]
            if (word.is_quoted || word.text.starts_with('$'))
                && matches!(without_gap(rest), [] | [Token::Sign(';' | '}' | ')' | '\n'), ..]) =>
        {
            Cow::Borrowed(&word.text)
        }
        after @ [Token::Sign('[' | '('), ..] => value(after),
        [] | [Token::Sign(';' | '}' | '\n'), ..] => Cow::Borrowed(""),
        _ => Cow::Borrowed(UNKNOWN),
    }
}

/// The arguments of a command.
pub(super) fn arguments(after: &[Token]) -> Vec<String> {
    let (mut arguments, mut argument) = (Vec::new(), String::new());
    for token in after {
        match token {
            Token::Sign(sign) if END.contains(*sign) => break,
            Token::Sign(sign) => argument.push(*sign),
            Token::Word(word) => argument += &word.text,
            Token::Gap => arguments.push(std::mem::take(&mut argument)),
        }
    }
    arguments.push(argument);
    arguments.retain(|argument| !argument.is_empty());
    arguments
}

/// The value that `setx ECS_CLUSTER x`, `Set-Item Env:ECS_CLUSTER x` and the like set; `UNKNOWN` if it is computed.
pub(super) fn set_value(arguments: &[String]) -> Option<&str> {
    let is_cluster = |argument: &String| {
        let name = after_prefix(argument, "env:").unwrap_or(argument);
        name.trim_start_matches(['\\', '/']).eq_ignore_ascii_case(VARIABLE)
    };
    let at = arguments.iter().position(is_cluster)?;
    let mut rest = arguments.iter();
    let named = rest.find_map(|argument| match argument.to_ascii_lowercase().as_str() {
        "-value" | "/d" => Some(None::<&str>),
        _ => after_prefix(argument, "-value:").map(Some),
    });
    Some(
        match named {
            Some(value) => value.or(rest.next().map(String::as_str)),
            None => {
                arguments.iter().skip(at + 1).map(String::as_str).find(|argument| !argument.starts_with(['-', '/']))
            }
        }
        .unwrap_or(UNKNOWN),
    )
}

/// Whether a name ends with a word, ignoring case.
pub(super) fn ends_with(name: &str, word: &str) -> bool {
    name.to_ascii_lowercase().ends_with(&word.to_ascii_lowercase())
}

/// Fills a format, as in `printf '%s' a`, with the words that follow it, up to a number of bytes.
pub(super) fn formatted(format: &str, after: &[Token], limit: usize) -> String {
    let mut words = after.iter().filter_map(|token| match token {
        Token::Word(word) => Some(word.text.as_str()),
        _ => None,
    });
    let mut pieces = format.split("%s");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        text += words.next().unwrap_or("%s");
        text += piece;
        if text.len() > limit {
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{super::tokens::tokens, *};

    #[test]
    fn format_is_filled_up_to_the_limit() {
        let line = format!("'{}'{}", "%s".repeat(1000), format!(" '{}'", "x".repeat(1000)).repeat(1000));
        let tokens = tokens(&line);
        let text = formatted(&"%s".repeat(1000), &tokens[1..], 5000);
        assert!((5000..=6000).contains(&text.len()), "{}", text.len());
    }
}
