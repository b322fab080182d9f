//! The destination of the text that a line writes.

use super::tokens::Token;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// The agent's configuration file, or an argument of its command.
    Agent,
    OtherFile,
}

impl Destination {
    /// The destination of the output of the command that these tokens begin with; `None` if it has none.
    pub(super) fn of(tokens: &[Token]) -> Option<Self> {
        let (mut destination, mut is_file, mut previous) = (None, false, None);
        for token in tokens {
            match token {
                Token::Sign(';' | '\n') => break,
                Token::Sign('&' | '|') if previous == Some(token) => break,
                Token::Sign(sign) => is_file = *sign == '>',
                Token::Word(word) if is_file && word.text.contains("ecs.config") => return Some(Self::Agent),
                Token::Word(word) if is_file && is_other_file(&word.text) => destination = Some(Self::OtherFile),
                Token::Word(word) => is_file |= word.text == "tee",
                Token::Gap => continue,
            }
            previous = Some(token);
        }
        destination
    }
}

/// Whether a file is not the agent's. A file that is named by a variable or a single word may be.
pub(super) fn is_other_file(file: &str) -> bool {
    file.contains(['/', '.']) && !["ecs.config", "/dev/", "$"].iter().any(|it| file.contains(it))
}
