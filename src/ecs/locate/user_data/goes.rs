//! Where the text that a line writes goes to.

use super::tokens::Token;

/// Where a text goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Goes {
    /// To the agent, as a file or as an argument of a command.
    ToAgent,
    ToOtherFile,
    Anywhere,
}

impl Goes {
    /// Where the output of the command goes to that these tokens begin with; `None` if it does not say.
    pub(super) fn of(tokens: &[Token]) -> Option<Self> {
        let (mut goes, mut is_file, mut previous) = (None, false, None);
        for token in tokens {
            match token {
                Token::Sign(';' | '\n') => break,
                Token::Sign('&' | '|') if previous == Some(token) => break,
                Token::Sign(sign) => is_file = *sign == '>',
                Token::Word(word) if is_file && word.text.contains("ecs.config") => return Some(Self::ToAgent),
                Token::Word(word) if is_file && is_other_file(&word.text) => goes = Some(Self::ToOtherFile),
                Token::Word(word) => is_file |= word.text == "tee",
                Token::Gap => continue,
            }
            previous = Some(token);
        }
        goes
    }

    /// What is quoted or in a here-document is given to the agent, if nothing is known.
    pub(super) fn or_agent(self) -> Self {
        if self == Self::Anywhere { Self::ToAgent } else { self }
    }
}

/// Whether a file is not that of the agent. One that is called by a variable or a single word may be.
pub(super) fn is_other_file(file: &str) -> bool {
    file.contains(['/', '.']) && !["ecs.config", "/dev/", "$"].iter().any(|it| file.contains(it))
}
