//! Splits a line of a script or a configuration into words and signs.

/// A piece of a line.
pub(super) enum Token {
    /// Without its quotes.
    Word(Word),
    /// What ends a word and means something; `\n` is one that is written as `\` and `n`.
    Sign(char),
    /// White space, never two in a row.
    Gap,
}

#[derive(Default)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) is_quoted: bool,
}

/// Splits a line, up to a comment, more or less as all the languages have it.
pub(super) fn tokens(line: &str) -> Vec<Token> {
    let (mut tokens, mut word) = (Vec::new(), None::<Word>);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let rest = chars.as_str();
        let piece = match c {
            '#' if word.is_none() => break,
            '"' | '\'' => match unquote(rest, c) {
                Some((text, after)) => {
                    chars = after.chars();
                    word.get_or_insert_default().is_quoted = true;
                    Ok(text)
                }
                // Its other half is in another line.
                None => Err(Token::Gap),
            },
            '$' if rest.starts_with('{') => {
                let Some((inside, after)) = rest.split_once('}') else { break };
                chars = after.chars();
                Ok(format!("${inside}}}"))
            }
            '\\' => match chars.next() {
                Some('"' | '\'') => Ok(String::new()),
                Some(c) if !"nrt".contains(c) => Ok(format!("\\{c}")),
                _ => Err(Token::Sign('\n')),
            },
            ':' if rest.starts_with(|c: char| !c.is_whitespace() && !"\"'".contains(c)) => Ok(c.to_string()),
            // `a-{{ b }}` is no name.
            '{' | '}' if word.as_ref().is_some_and(|word| c == '{' || word.text.contains('{')) => Ok(c.to_string()),
            _ if "=:,;|&<>()[]{}".contains(c) => Err(Token::Sign(c)),
            _ if c.is_whitespace() => Err(Token::Gap),
            _ => Ok(c.to_string()),
        };
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

/// Splits off the text up to the quote that closes it.
fn unquote(text: &str, quote: char) -> Option<(String, &str)> {
    let mut inside = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            c if c == quote => return Some((inside, chars.as_str())),
            '\\' => match chars.next()? {
                c @ ('"' | '\'' | '\\') => inside.push(c),
                c => inside.extend(['\\', c]),
            },
            c => inside.push(c),
        }
    }
}
