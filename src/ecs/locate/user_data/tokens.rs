//! Splits a line of a script or a configuration into words and signs.

use std::borrow::Cow;

/// The variable that sets the ECS agent's cluster.
pub(super) const VARIABLE: &str = "ECS_CLUSTER";

#[derive(PartialEq)]
pub(super) enum Token {
    /// A word, without its quotes.
    Word(Word),
    /// A sign that ends a word. `\n` is written as a backslash and `n`.
    Sign(char),
    /// White space; two gaps never follow each other.
    Gap,
}

#[derive(Default, PartialEq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) is_quoted: bool,
    has_brace: bool,
}

/// The words of PowerShell that a block may follow without a gap.
const BEFORE_BLOCK: [&str; 6] = ["@", "catch", "do", "else", "finally", "try"];

/// Splits a line, up to a comment. The rules approximate those of all the languages.
pub(super) fn tokens(line: &str) -> Vec<Token> {
    let (mut tokens, mut word, mut is_open) = (Vec::new(), None::<Word>, false);
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let (char, mut after) = rest.split_at(c.len_utf8());
        let piece = match c {
            '#' if word.is_none() => {
                // A quoted text that goes on in another line may have lines of its own.
                let Some((_, line)) = after.split_once("\\n").filter(|_| is_open) else { break };
                after = line;
                Err(Token::Sign('\n'))
            }
            '"' | '\'' => {
                if let Some((text, rest)) = unquote(after, c) {
                    after = rest;
                    word.get_or_insert_default().is_quoted = true;
                    Ok(Cow::Owned(text))
                } else {
                    // The closing quote is in another line.
                    is_open = true;
                    Err(Token::Gap)
                }
            }
            '$' if after.starts_with('{') => {
                let Some((inside, rest)) = after.split_once('}') else { break };
                after = rest;
                Ok(Cow::Owned(format!("${inside}}}")))
            }
            '\\' => {
                let escaped = after.chars().next();
                let (char, rest) = after.split_at(escaped.map_or(0, char::len_utf8));
                after = rest;
                match escaped {
                    Some('"' | '\'') => Ok(Cow::Borrowed("")),
                    Some(c) if !"nrt".contains(c) => Ok(Cow::Owned(format!("\\{char}"))),
                    _ => Err(Token::Sign('\n')),
                }
            }
            ':' if after.starts_with(|c: char| !c.is_whitespace() && !"\"'".contains(c)) => Ok(Cow::Borrowed(char)),
            // `a-{{ b }}` is not a name.
            '{' | '}' if word.as_ref().is_some_and(|word| word.takes(c)) => {
                word.get_or_insert_default().has_brace = true;
                Ok(Cow::Borrowed(char))
            }
            _ if is_sign(c) => Err(Token::Sign(c)),
            _ if c.is_whitespace() => Err(Token::Gap),
            _ => {
                let end = after.find(|c: char| is_sign(c) || c.is_whitespace() || matches!(c, '"' | '\'' | '$' | '\\'));
                let (text, rest) = rest.split_at(char.len() + end.unwrap_or(after.len()));
                after = rest;
                Ok(Cow::Borrowed(text))
            }
        };
        rest = after;
        match piece {
            Ok(text) => word.get_or_insert_default().text += &text,
            Err(token) => {
                tokens.extend(word.take().map(Token::Word));
                if !matches!((tokens.last(), &token), (Some(Token::Gap), Token::Gap)) {
                    tokens.push(token);
                }
            }
        }
    }
    tokens.extend(word.map(Token::Word));
    tokens
}

/// Whether a name or a command may begin after a token.
pub(super) fn is_first(previous: Option<&Token>) -> bool {
    match previous {
        None => true,
        Some(Token::Sign(sign)) => ";{}],\n&|()".contains(*sign),
        Some(Token::Word(word)) => matches!(word.text.as_str(), "then" | "do" | "else" | "-" | "!"),
        Some(Token::Gap) => false,
    }
}

/// Whether a script may assign a variable after a token.
pub(super) fn begins_command(previous: Option<&Token>) -> bool {
    let declares = ["export", "local", "declare", "readonly", "typeset"];
    is_first(previous) || matches!(previous, Some(Token::Word(word)) if declares.contains(&word.text.as_str()))
}

fn is_sign(c: char) -> bool {
    matches!(c, '=' | ':' | ',' | ';' | '|' | '&' | '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}')
}

impl Word {
    /// Whether a brace is a part of the word.
    fn takes(&self, brace: char) -> bool {
        self.has_brace || (brace == '{' && !BEFORE_BLOCK.iter().any(|word| self.text.eq_ignore_ascii_case(word)))
    }
}

/// Splits off the text up to the closing quote.
fn unquote(text: &str, quote: char) -> Option<(String, &str)> {
    let mut inside = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            c if c == quote => return Some((inside, chars.as_str())),
            '\\' => match chars.next()? {
                c @ ('"' | '\'' | '\\') => inside.push(c),
                'n' | 'r' => inside.push('\n'),
                't' => inside.push('\t'),
                c => inside.extend(['\\', c]),
            },
            c => inside.push(c),
        }
    }
}
